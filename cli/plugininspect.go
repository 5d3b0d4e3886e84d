package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
)

func newPluginInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect [DIR | NAME | FILE.wasm]",
		Short: "Say what a module is, what it can do, and why it would be refused",
		Long: "Look into a module without running it: the ABI that it speaks, the language that it was probably written in, its imports,\n" +
			"exports, sections and memory, and whether the relay would take it. Exit code 1 = it would be refused.",
		Example: `  edgerelay plugin inspect
  edgerelay plugin inspect my-orders/plugin.wasm
  edgerelay plugin inspect stranger.wasm --json | jq .refusal`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wasm, manifest, err := readModule(args)
			if err != nil {
				return err
			}
			return withHost(cmd.Context(), func(h *kit.Host) error {
				i := h.Inspect(cmd.Context(), wasm)
				i.Manifest = manifest
				if asJSON {
					if err := printJSON(cmd.OutOrStdout(), i); err != nil {
						return err
					}
				} else {
					printInspection(cmd.OutOrStdout(), i)
				}
				if !i.Accepted {
					return fmt.Errorf("the relay would refuse it: %s", printable(i.Refusal))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// readModule reads a bare module, or the one of a plugin with its manifest.
func readModule(args []string) ([]byte, *kit.Manifest, error) {
	if len(args) > 0 {
		if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
			wasm, err := os.ReadFile(args[0])
			return wasm, nil, err
		}
	}
	p, err := loadPlugin(args)
	if err != nil {
		return nil, nil, err
	}
	wasm, err := p.Wasm()
	return wasm, &p.Manifest, err
}

func printInspection(out io.Writer, i *kit.Inspection) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-10s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	if m := i.Manifest; m != nil {
		line("plugin", "%s %s", m.Name, m.Version)
		if m.Description != "" {
			line("", "%s", m.Description)
		}
		line("may", "%s", orNone(strings.Join(m.Capabilities, ", ")))
	}
	line("abi", "%s", i.ABI)
	language := i.Language
	if i.Tools != "" {
		language += " (" + i.Tools + ")"
	}
	line("language", "%s", language)
	line("size", "%s, sha256 %s", sizeText(int64(i.Bytes)), i.SHA256)
	most := "as much as it is given"
	if i.MemoryMax > 0 {
		most = "at most " + sizeText(int64(i.MemoryMax))
	}
	line("memory", "begins with %s, %s", sizeText(int64(i.MemoryMin)), most)
	if i.Isolation != "" {
		line("isolation", "%s", map[string]string{"reset": "its state can be put back after every event",
			"fresh": "its state cannot be put back: every event costs a new instance"}[i.Isolation])
	}
	line("does", "%s", orNone(strings.Join(i.Does, ", ")))
	fmt.Fprintln(out, "imports")
	for _, s := range i.Imports {
		fmt.Fprintf(out, "  %s\n", printable(fmt.Sprintf("%s %s.%s %s", s.Kind, s.Module, s.Name, s.Type)))
	}
	fmt.Fprintln(out, "exports")
	for _, s := range i.Exports {
		fmt.Fprintf(out, "  %s\n", printable(fmt.Sprintf("%s %s %s", s.Kind, s.Name, s.Type)))
	}
	fmt.Fprintln(out, "sections")
	for _, s := range i.Sections {
		fmt.Fprintf(out, "  %-12s %s\n", printable(s.Name), sizeText(int64(s.Bytes)))
	}
	if i.Accepted {
		line("verdict", "the relay takes it")
	} else {
		line("verdict", "refused")
	}
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
