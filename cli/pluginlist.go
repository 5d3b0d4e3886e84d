package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"edgerelay/plugins"
	"edgerelay/plugins/kit"
)

// pluginEntry is one line of `plugin ls`.
type pluginEntry struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	Where       string `json:"where"` // its directory, or builtIn
	Built       bool   `json:"built"`
	Tests       int    `json:"tests"`
}

// builtIn is where the plugins are that come with the program.
const builtIn = "built in"

func newPluginList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [DIR...]",
		Aliases: []string{"list"},
		Short:   "List plugins: those that come with the program, and those in directories",
		Long: "List the plugins that come with the program and those in the current directory and right below it, or only those in each\n" +
			"DIR and right below it.",
		Example: `  edgerelay plugin ls
  edgerelay plugin ls plugins/ vendor/plugins --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var all []pluginEntry
			if len(args) == 0 {
				args = []string{"."}
				for _, p := range plugins.List() {
					all = append(all, pluginEntry{Name: p.Name, Version: p.Version, Description: p.Description, Where: builtIn, Built: true})
				}
			}
			for _, dir := range args {
				found, err := listPlugins(dir)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			return printPlugins(cmd, all, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	return cmd
}

func printPlugins(cmd *cobra.Command, all []pluginEntry, asJSON bool) error {
	if asJSON {
		for _, e := range all {
			if err := printJSON(cmd.OutOrStdout(), e); err != nil {
				return err
			}
		}
		return nil
	}
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if len(all) > 0 {
		fmt.Fprintln(out, "NAME\tVERSION\tWHERE\tDESCRIPTION")
	}
	for _, e := range all {
		where := oneLine(e.Where)
		if !e.Built {
			where += " (not built)"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.Name, e.Version, where, oneLine(e.Description))
	}
	return out.Flush()
}

// listPlugins loads the plugin in dir and those right below it.
func listPlugins(dir string) (all []pluginEntry, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list plugins: %w", err)
	}
	dirs := []string{dir}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	for _, d := range dirs {
		if _, err := os.Stat(filepath.Join(d, kit.ManifestFile)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		p, err := loadPlugin([]string{d})
		if err != nil {
			return nil, err
		}
		_, err = os.Stat(filepath.Join(d, filepath.FromSlash(p.Module)))
		all = append(all, pluginEntry{Name: p.Name, Version: p.Version, Description: p.Description, Where: d,
			Built: err == nil, Tests: len(p.Cases)})
	}
	return all, nil
}
