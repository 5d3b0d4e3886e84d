package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
)

// pluginTestFlags are the flags of `plugin test`.
type pluginTestFlags struct {
	only   string
	update bool
	again  bool
	asJSON bool
	junit  string
}

func newPluginTest() *cobra.Command {
	var f pluginTestFlags
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the golden tests of a plugin",
		Long: "Run the tests in DIR/tests (default: here). Bodies are compared by meaning: the order of JSON members and form fields and\n" +
			"the white space between XML elements do not matter. Each case runs twice, which must give the same bytes and the same fuel,\n" +
			"and once after another event, of which nothing may be left. Exit code 1 = a test failed.",
		Example: `  edgerelay plugin test
  edgerelay plugin test my-orders --run '^order'
  edgerelay plugin test --update && git diff tests/
  edgerelay plugin test --junit report.xml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return withHost(ctx, func(h *kit.Host) error {
				if !f.again {
					return f.run(ctx, cmd, h, args)
				}
				p, err := loadPlugin(args)
				if err != nil {
					return err
				}
				return p.Watch(ctx, kit.PartAll, nil, func() {
					if err := f.run(ctx, cmd, h, args); err != nil && ctx.Err() == nil {
						fmt.Fprintf(cmd.ErrOrStderr(), "edgerelay: %v\n", err)
					}
				})
			})
		},
	}
	cmd.Flags().StringVar(&f.only, "run", "", "only cases whose name matches this regular expression")
	cmd.Flags().BoolVar(&f.update, "update", false, "make what the plugin does now the expectation; read the difference before you commit it")
	cmd.Flags().BoolVar(&f.again, "watch", false, "test again after every change, until interrupted")
	cmd.Flags().StringVar(&f.junit, "junit", "", "also write a JUnit report to this file")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	cmd.MarkFlagsMutuallyExclusive("update", "watch") // what it writes would be a change
	return cmd
}

func (f *pluginTestFlags) run(ctx context.Context, cmd *cobra.Command, h *kit.Host, args []string) error {
	p, err := loadPlugin(args)
	if err != nil {
		return err
	}
	o := kit.TestOptions{Update: f.update}
	if f.only != "" {
		if o.Only, err = regexp.Compile(f.only); err != nil {
			return usageErrorf("--run: %v", err)
		}
	}
	r, err := h.Test(ctx, p, o)
	if err != nil {
		return err
	}
	if len(r.Cases) == 0 {
		return fmt.Errorf("plugin %q has no tests that match: a test is a directory below tests/", p.Name)
	}
	if f.junit != "" {
		text, err := r.JUnit()
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.junit, text, 0o644); err != nil {
			return fmt.Errorf("write JUnit report: %w", err)
		}
	}
	if f.asJSON {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		printReport(cmd.OutOrStdout(), r)
	}
	if err == nil && r.Failed > 0 {
		return fmt.Errorf("plugin %q: %s failed", p.Name, count(r.Failed, "test"))
	}
	return err
}

func printReport(out io.Writer, r *kit.Report) {
	printCases(out, r.Cases)
	fmt.Fprintf(out, "%s %s: %d passed, %d failed\n", r.Plugin, r.Version, r.Passed, r.Failed)
}

// printFailures prints what has not passed only.
func printFailures(out io.Writer, r *kit.Report) {
	printCases(out, slices.DeleteFunc(slices.Clone(r.Cases), func(c kit.CaseResult) bool { return c.Passed }))
}

func printCases(out io.Writer, cases []kit.CaseResult) {
	colour := newPalette(out)
	width := 0
	for _, c := range cases {
		width = max(width, len(c.Name))
	}
	for _, c := range cases {
		word := colour.green("ok  ")
		if !c.Passed {
			word = colour.red("FAIL")
		}
		fmt.Fprintf(out, "%s  %-*s  %10d fuel  %8.0f µs\n", word, width, c.Name, c.Outcome.Fuel, c.Outcome.Micros)
		for _, file := range c.Updated {
			fmt.Fprintf(out, "      updated tests/%s/%s\n", c.Name, file)
		}
		for _, problem := range c.Problems {
			fmt.Fprintf(out, "      %s\n", printable(problem))
		}
		for line := range strings.Lines(c.Diff) {
			fmt.Fprintf(out, "        %s\n", paintDiff(colour, printable(strings.TrimSuffix(line, "\n"))))
		}
		if c.Passed {
			continue
		}
		for _, l := range c.Outcome.Log {
			fmt.Fprintf(out, "      log %s: %s\n", l.Level, printable(l.Text))
		}
		for _, line := range c.Outcome.Trace {
			fmt.Fprintf(out, "        at %s\n", oneLine(line))
		}
	}
}

func paintDiff(colour palette, line string) string {
	switch {
	case strings.HasPrefix(line, "-"):
		return colour.red(line)
	case strings.HasPrefix(line, "+"):
		return colour.green(line)
	}
	return line
}
