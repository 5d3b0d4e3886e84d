package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"edgerelay/config"
)

// newConfigCommand makes the commands around the config file.
func newConfigCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Make, print and describe config files",
		Example: `  edgerelay config init
  edgerelay config print -c edgerelay.yaml
  edgerelay config schema > edgerelay.schema.json
  edgerelay config export > made.yaml`,
	}, newConfigInitCommand(), newConfigPrintCommand(), newConfigSchemaCommand(), newConfigExportCommand())
}

// starterName is the file that `config init` writes when it is told no other.
const starterName = "edgerelay.yaml"

func newConfigInitCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented config file to begin with",
		Long:  "Write a commented config file to begin with: " + starterName + ", or FILE, or with - to the standard output.",
		Example: `  edgerelay config init
  edgerelay config init /etc/edgerelay/edgerelay.yaml
  edgerelay config init - | less`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := starterName
			if len(args) == 1 {
				name = args[0]
			}
			if name == "-" {
				_, err := cmd.OutOrStdout().Write(config.Starter())
				return err
			}
			if err := writeStarter(name, force); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s\nnext: edgerelay validate -c %s\n", name, name)
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite FILE if it exists")
	return cmd
}

// writeStarter makes the file readable for its owner only: secrets will stand in it.
func writeStarter(name string, force bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: choose another name, or overwrite it with --force", name)
	}
	if err != nil {
		return fmt.Errorf("write config file: %w", err)
	}
	_, err = f.Write(config.Starter())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write config file %q: %w", name, err)
	}
	return nil
}

func newConfigPrintCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "print [-c FILE]...",
		Short: "Print the config as the relay understands it, without secrets",
		Long: "Print the config with everything resolved: defaults filled in, variables replaced, files joined, file names absolute.\n" +
			"Secrets are printed as ***. Without a file these are the defaults.",
		Example: `  edgerelay config print -c edgerelay.yaml
  edgerelay config print`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(files)
			if err != nil {
				return err
			}
			text, err := c.Print()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	addConfigFlag(cmd, &files)
	return cmd
}

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the config, for editors",
		Long:    "Print the JSON Schema (2020-12) of the config. Editors with a YAML language server complete and check with it.",
		Example: "  edgerelay config schema > edgerelay.schema.json\n  # then, as the first line of the config:\n  # yaml-language-server: $schema=edgerelay.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.Schema())
			return err
		},
	}
}
