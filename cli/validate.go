package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"edgerelay/config"
)

// addConfigFlag gives cmd the flag that names config files.
func addConfigFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "config", "c", nil, "config file, or a directory of them; repeatable")
}

// loadConfig reads the files; its error holds every mistake and ends the program with exitConfig.
func loadConfig(files []string) (*config.Config, error) {
	c, err := config.Load(files...)
	if err != nil {
		return nil, &exitError{exitConfig, fmt.Errorf("invalid config:\n%w", err)}
	}
	return c, nil
}

// validation is what `validate --json` prints.
type validation struct {
	Valid          bool            `json:"valid"`
	Webhooks       int             `json:"webhooks"`
	Authorizations int             `json:"authorizations"`
	Errors         config.Problems `json:"errors"`
	Warnings       config.Problems `json:"warnings"`
}

// newValidateCommand makes the validate command. check compiles what the config names (expressions, definitions, WASM modules) and
// returns the mistakes; it runs only on a config that loads.
func newValidateCommand(check func(context.Context, *config.Config) config.Problems) *cobra.Command {
	var files []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate -c FILE...",
		Short: "Check a config and print every mistake in it",
		Long: "Load the config exactly as run does, with its secrets, and compile its expressions and WASM modules, but start nothing.\n" +
			"Every mistake is one line on the standard output: file:line:col: path: message. Warnings go to the error output.\n" +
			"Exit code 0 = valid (there may be warnings), 78 = invalid.",
		Example: `  edgerelay validate -c edgerelay.yaml
  edgerelay validate -c base.yaml -c conf.d/
  edgerelay validate -c edgerelay.yaml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := validate(cmd.Context(), files, check)
			if err != nil {
				return err
			}
			return v.print(cmd, asJSON)
		},
	}
	addConfigFlag(cmd, &files)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

func validate(ctx context.Context, files []string, check func(context.Context, *config.Config) config.Problems) (validation, error) {
	v := validation{Errors: config.Problems{}, Warnings: config.Problems{}} // not nil: an empty list in JSON
	c, err := config.Load(files...)
	if err != nil {
		if !errors.As(err, &v.Errors) {
			return v, err
		}
		return v, nil
	}
	v.Webhooks, v.Authorizations = len(c.Webhooks), len(c.Authorizations)
	v.Warnings = append(v.Warnings, c.Warnings()...)
	v.Errors = append(v.Errors, check(ctx, c)...)
	v.Errors.Sort()
	v.Valid = len(v.Errors) == 0
	return v, nil
}

func (v validation) print(cmd *cobra.Command, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		for _, p := range v.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", p)
		}
		for _, p := range v.Errors {
			fmt.Fprintln(out, p)
		}
		if v.Valid {
			fmt.Fprintf(out, "ok: %s, %s\n", count(v.Webhooks, "webhook"), count(v.Authorizations, "authorization"))
		}
	}
	if !v.Valid {
		return &exitError{exitConfig, fmt.Errorf("the config is invalid: %s", count(len(v.Errors), "mistake"))}
	}
	return nil
}

// count writes "1 webhook", "2 webhooks".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
