package cli

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
)

func newPluginBench() *cobra.Command {
	var f struct {
		config   configFlags
		events   []string
		baseline string
		asJSON   bool
		opt      kit.BenchOptions
	}
	cmd := &cobra.Command{
		Use:   "bench [DIR]",
		Short: "Measure a plugin: time, fuel, memory",
		Long: "Run the plugin in DIR (default: here) on its sample events and print how long it takes, with 1 to N workers, with every\n" +
			"isolation and without the accounting of fuel, what it takes to compile and to start, and the fuel and memory of each event. Fuel is the same on every machine:\n" +
			"with --baseline the command fails when an event takes more of it than with the other module.",
		Example: `  edgerelay plugin bench
  edgerelay plugin bench --for 3s -e order --workers 4
  git show main:plugin.wasm >old.wasm && edgerelay plugin bench --baseline old.wasm --allow 1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadPlugin(args)
			if err != nil {
				return err
			}
			if f.opt.Workers < 0 || f.opt.For <= 0 || f.opt.Allow < 0 {
				return usageErrorf("--workers, --for and --allow cannot be negative")
			}
			if f.opt.Config, err = f.config.json(); err != nil {
				return err
			}
			for _, name := range f.events {
				e, err := readEvent(cmd, p, name)
				if err != nil {
					return err
				}
				f.opt.Events = append(f.opt.Events, e)
			}
			if f.baseline != "" {
				if f.opt.Baseline, err = os.ReadFile(f.baseline); err != nil {
					return fmt.Errorf("read baseline: %w", err)
				}
			}
			b, err := kit.RunBench(cmd.Context(), p, f.opt)
			if err != nil {
				return err
			}
			if f.asJSON {
				err = printJSON(cmd.OutOrStdout(), b)
			} else {
				err = printBench(cmd, b)
			}
			if err == nil && len(b.Regressions) > 0 {
				return fmt.Errorf("more fuel than the baseline:\n  %s", strings.Join(b.Regressions, "\n  "))
			}
			return err
		},
	}
	f.config.add(cmd)
	cmd.Flags().StringArrayVarP(&f.events, "event", "e", nil, "only these events: a file, or the name of one in events/; repeatable (default: all of events/)")
	cmd.Flags().DurationVar(&f.opt.For, "for", time.Second, "how long each row is measured")
	cmd.Flags().IntVar(&f.opt.Workers, "workers", 0, "the most that run at the same time (default: one per processor)")
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "another module of the plugin to compare with")
	cmd.Flags().Float64Var(&f.opt.Allow, "allow", 0, "by how many percent an event's fuel may be above the baseline's")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	return cmd
}

func printBench(cmd *cobra.Command, b *kit.Bench) error {
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "%s: %s, compiled in %.1f ms, from the cache in %.1f ms, started in %.0f µs\n\n", b.Plugin, sizeText(int64(b.Bytes)),
		b.CompileMillis, b.CachedMillis, b.InstantiateMicros)
	fmt.Fprint(out, "MODULE\tISOLATION\tWORKERS\tP50 µs\tP99 µs\tPER SECOND\t÷ UNMETERED\t\n")
	for _, r := range b.Rows {
		ratio := ""
		if r.Ratio != 0 {
			ratio = fmt.Sprintf("%.2f", r.Ratio)
		}
		fmt.Fprintf(out, "%s\t%s\t%d\t%.1f\t%.1f\t%.0f\t%s\t\n", r.Module, r.Isolation, r.Workers, r.P50, r.P99, r.PerSecond, ratio)
	}
	fmt.Fprint(out, "\nEVENT\tACTION\tFUEL\tBASELINE\tMEMORY\t\n")
	for _, e := range b.Events {
		before := "-"
		if e.Baseline != 0 {
			before = fmt.Sprint(e.Baseline)
		}
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t\n", oneLine(e.Event), e.Action, e.Fuel, before, sizeText(e.Memory))
	}
	return out.Flush()
}
