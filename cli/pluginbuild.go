package cli

import (
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/plugins/kit"
)

func newPluginBuild() *cobra.Command {
	var again, asJSON bool
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Compile a plugin with the toolchain of its language",
		Long: "Compile the plugin in DIR (default: here) with the right toolchain and flags, and check that the relay would take the\n" +
			"module: its imports, its exports, its size. Only then the old module is replaced. A toolchain that is missing is named\n" +
			"together with the line that installs it.",
		Example: `  edgerelay plugin build
  edgerelay plugin build my-orders
  edgerelay plugin build --watch`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadPlugin(args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return withHost(ctx, func(h *kit.Host) error {
				build := func() error {
					b, err := h.Build(ctx, p, cmd.ErrOrStderr())
					if err != nil {
						return err
					}
					return printBuilt(cmd, b, asJSON)
				}
				if !again {
					return build()
				}
				return p.Watch(ctx, kit.PartFiles, nil, func() {
					if err := build(); err != nil && ctx.Err() == nil {
						fmt.Fprintf(cmd.ErrOrStderr(), "edgerelay: %v\n", err)
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&again, "watch", false, "build again after every change, until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func printBuilt(cmd *cobra.Command, b *kit.Built, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), b)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "built %s: %s in %.2f s, imports %s\n", b.Module, sizeText(int64(b.Bytes)), b.Seconds, importsText(b.Imports))
	return err
}

// importsText names the imports that make a plugin, and counts those that its language's runtime wants.
func importsText(imports []string) string {
	var own []string
	for _, i := range imports {
		if name, ok := strings.CutPrefix(i, "edgerelay_v1."); ok {
			own = append(own, name)
		}
	}
	switch others := len(imports) - len(own); {
	case len(own) == 0:
		return count(others, "function") + " of its runtime"
	case others == 0:
		return strings.Join(own, " ")
	default:
		return fmt.Sprintf("%s and %s of its runtime", strings.Join(own, " "), count(others, "function"))
	}
}

// sizeText writes a number of bytes for people.
func sizeText(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return config.Size(n).String()
}
