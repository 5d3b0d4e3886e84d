package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
	"edgerelay/plugins/playground"
)

// pluginDevFlags are the flags of `plugin dev`.
type pluginDevFlags struct {
	clientFlags
	config configFlags
	listen string
	event  string
	asJSON bool
}

func newPluginDev() *cobra.Command {
	var f pluginDevFlags
	cmd := &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Work on a plugin: build, run and test it after every change, with a page to look at",
		Long: "Watch the plugin in DIR (default: here). After every change of a file it is built, one event is run through it, and its golden\n" +
			"tests are run. The result is printed, and shown on a page of this machine: an editor, an event and a configuration to try,\n" +
			"the exact request, what has changed in it, the log, the fuel and the tests.\n\n" +
			"The page is for this machine only, and its address holds a secret: who has it can write the plugin's files. With --url and\n" +
			"--token (or $EDGERELAY_ADMIN_TOKEN) of a running relay, the page can fetch the event of a delivery and run that.",
		Example: `  edgerelay plugin dev
  edgerelay plugin dev my-orders -e quotes -c channel='#wins'
  edgerelay plugin dev --listen ''           # no page
  edgerelay plugin dev --url http://127.0.0.1:8081`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return withHost(ctx, func(h *kit.Host) error { return f.run(ctx, cmd, h, args) })
		},
	}
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "where the page listens, a loopback address; '' = no page")
	cmd.Flags().StringVarP(&f.event, "event", "e", "", "the sample event to begin with (default: the first one of events/)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object for every round")
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API, for events of deliveries")
	return cmd
}

func (f *pluginDevFlags) run(ctx context.Context, cmd *cobra.Command, h *kit.Host, args []string) error {
	p, err := loadPlugin(args)
	if err != nil {
		return err
	}
	if p.Dir == "" {
		return usageErrorf("%s comes with the program: copy its source, or make a plugin of your own with edgerelay plugin new", p.Name)
	}
	o := playground.Options{Dir: p.Dir, Event: f.event, Report: func(s *playground.State) { f.report(cmd, s) }}
	if o.Config, err = f.config.json(); err != nil {
		return err
	}
	if f.event != "" {
		if _, err := p.Event(f.event); err != nil {
			return err
		}
	}
	from := pluginRunFlags{clientFlags: f.clientFlags}
	o.Fetch = func(ctx context.Context, id string) (kit.Event, error) { return from.fetch(ctx, cmd, id) }
	s := playground.NewSession(h, o)
	if f.listen == "" {
		return s.Run(ctx)
	}
	v, err := playground.Listen(s, f.listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "the page is at %s\n", v.URL())
	return errors.Join(s.Run(ctx), v.Close())
}

// report prints a round.
func (f *pluginDevFlags) report(cmd *cobra.Command, s *playground.State) {
	out := cmd.OutOrStdout()
	if f.asJSON {
		_ = printJSON(out, s) // the reader is gone when that fails
		return
	}
	colour := newPalette(out)
	if s.Compiler != "" {
		io.WriteString(out, s.Compiler)
	}
	if s.Problem != "" {
		fmt.Fprintf(out, "%s %s\n", colour.red("FAIL"), printable(s.Problem))
		return
	}
	var parts []string
	if s.Built != nil {
		parts = append(parts, fmt.Sprintf("built %s in %.0f ms", sizeText(int64(s.Built.Bytes)), s.Built.Seconds*1000))
	}
	if r := s.Run; r != nil {
		parts = append(parts, fmt.Sprintf("%s: %s, %d fuel, %.0f µs", oneLine(r.Event), outcomeText(r.Outcome), r.Outcome.Fuel, r.Outcome.Micros))
	}
	word := colour.green("ok  ")
	if t := s.Tests; t != nil {
		parts = append(parts, fmt.Sprintf("%d passed, %d failed", t.Passed, t.Failed))
		if t.Failed > 0 {
			word = colour.red("FAIL")
		}
	}
	if s.Changed > 0 {
		parts = append(parts, fmt.Sprintf("%.0f ms after the edit", s.Changed))
	}
	fmt.Fprintf(out, "%s %s\n", word, strings.Join(parts, " · "))
	if r := s.Run; r != nil {
		for _, l := range r.Outcome.Log {
			fmt.Fprintf(out, "     log %s: %s\n", l.Level, printable(l.Text))
		}
		for line := range strings.Lines(r.Diff) {
			fmt.Fprintf(out, "     %s\n", paintDiff(colour, printable(strings.TrimSuffix(line, "\n"))))
		}
	}
	if t := s.Tests; t != nil && t.Failed > 0 {
		printFailures(out, t)
	}
}
