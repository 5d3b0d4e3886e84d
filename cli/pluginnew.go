package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
)

func newPluginNew() *cobra.Command {
	var language, output string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new NAME --lang LANGUAGE",
		Short: "Write a new plugin that works: source, SDK, sample events, golden tests",
		Long: "Write a new plugin into the directory NAME. It turns an order into a Slack message, an XML document or an HTML form, in\n" +
			"about twenty lines that are yours to change. Nothing is downloaded: the SDK is a file of the plugin.",
		Example: `  edgerelay plugin new my-orders --lang go
  edgerelay plugin new erp-export --lang c --for xml
  edgerelay plugin new plugins/my-orders --lang assemblyscript`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if language == "" {
				return usageErrorf("--lang is missing: one of %s", strings.Join(kit.Languages(), ", "))
			}
			if err := kit.CheckLanguage(language); err != nil {
				return &exitError{exitUsage, err}
			}
			files, err := kit.New(args[0], language, output)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{"plugin": filepath.Base(args[0]), "dir": args[0], "files": files})
			}
			for _, f := range files {
				fmt.Fprintln(out, filepath.Join(args[0], f))
			}
			fmt.Fprintf(out, "\nNow:\n  cd %s\n", args[0])
			if kit.NeedsNPM(language) {
				fmt.Fprintln(out, "  npm install")
			}
			fmt.Fprintln(out, "  edgerelay plugin build\n  edgerelay plugin test\n  edgerelay plugin run -e events/order.json")
			return nil
		},
	}
	cmd.Flags().StringVar(&language, "lang", "", "what it is written in: "+strings.Join(kit.Languages(), ", "))
	cmd.Flags().StringVar(&output, "for", "slack", "what it makes of the sample event: "+strings.Join(kit.Outputs(), ", "))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}
