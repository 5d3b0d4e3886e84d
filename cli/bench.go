package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/bench"
)

// benchFlags are the flags of `bench`.
type benchFlags struct {
	bench.Bench
	noLimits bool

	target   bench.Target
	noVerify bool

	asJSON bool
	html   string

	guests []string // of the scenario transform
}

func newBenchCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench [SCENARIO]...",
		Short: "Measure this program, or any other webhook sender, on this machine",
		Long: "Measure this program on this machine, next to what the machine can do at best. The relay, the verifying receiver (sink) and\n" +
			"the forwarder that the relay is compared with run as processes of their own. Every delivery is checked: its signature, its\n" +
			"id, and that each event that was answered with 202 arrives. A run in which an event was lost or a signature was wrong says\n" +
			"so first, and the exit code is 1.\n\n" +
			"With --target any other system is measured by the same generator and sink: it must hand on what is sent to --target to the\n" +
			"address of --sink-listen. The bodies must keep what stands in the place of {{id}}.\n\n" +
			"Scenarios (without a name: throughput; \"all\": all of them):\n" + scenarioList(),
		Example: `  edgerelay bench
  edgerelay bench throughput latency --duration 30s --rounds 3 --html report.html
  edgerelay bench backlog --pending 1000000
  edgerelay bench --quick --json
  edgerelay bench --target http://127.0.0.1:8000/ --sink-listen 127.0.0.1:9000 --no-verify --body-template '{"id":"{{id}}"}'`,
		Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd)
	cmd.AddCommand(newBenchSinkCommand(), newBenchForwardCommand(), newBenchQueueCommand(), newBenchProfiledCommand(), newBenchUnmeteredCommand())
	return cmd
}

func (f *benchFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.DurationVar(&f.Duration, "duration", 10*time.Second, "how long each run is measured")
	fl.DurationVar(&f.Warmup, "warmup", 2*time.Second, "load before it that does not count")
	fl.IntVar(&f.Rounds, "rounds", 1, "how often to run each scenario with its limits; the table shows the median")
	fl.BoolVar(&f.Quick, "quick", false, "a smoke run of a second or two per run: for trying, not for numbers")
	fl.IntVar(&f.Connections, "connections", 128, "connections of the load generator")
	fl.IntVar(&f.Size, "size", 1024, "bytes of an event")
	fl.Int64Var(&f.Pending, "pending", 200_000, "events of the scenario backlog")
	fl.IntVar(&f.Sample, "sample", 1, "check the signature of every n-th delivery only")
	fl.BoolVar(&f.noLimits, "no-limits", false, "do not measure the limits of the machine")
	fl.StringVar(&f.Relay.Durability, "durability", "fsync", "of the relay's queue: fsync or os")
	fl.IntVar(&f.Relay.Concurrency, "concurrency", 128, "deliveries at a time to each webhook of the relay")
	fl.StringSliceVar(&f.guests, "guests", benchLanguages(), "of the scenario transform: in which languages")
	fl.StringArrayVar(&f.Relay.Extra, "config", nil, "one more config file of the relay; may be repeated")
	fl.StringVar(&f.Dir, "dir", "", "where the relay's data is put while it runs (default: the system's temporary directory)")
	fl.StringVar(&f.CPUProfile, "cpuprofile", "", "write a CPU profile of the relay to this file")
	fl.StringVar(&f.target.URL, "target", "", "measure what listens here instead of a relay of our own")
	fl.StringArrayVar(&f.target.Headers, "header", nil, "for --target: a header to send, 'Name: value'; may be repeated")
	fl.StringVar(&f.target.Body, "body-template", "", "for --target: the body to send, with {{id}} where each event's own id goes (default: an event of --size)")
	fl.StringVar(&f.SinkListen, "sink-listen", "", "for --target: where the sink listens (default: no sink, only the answers are measured)")
	fl.StringVar(&f.Secret, "secret", "", "for --target: the whsec_ secret of its Standard Webhooks signatures (default $EDGERELAY_BENCH_SECRET)")
	fl.IntSliceVar(&f.TargetPIDs, "target-pid", nil, "for --target: its processes, to measure their CPU and memory")
	fl.BoolVar(&f.noVerify, "no-verify", false, "for --target: it does not sign")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON instead of a table")
	fl.StringVar(&f.html, "html", "", "write a page with charts to this file, too")
}

func scenarioNames() (names []string) {
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func scenarioList() string {
	var b strings.Builder
	for _, s := range bench.Scenarios() {
		fmt.Fprintf(&b, "  %-15s %s\n", s.Name, s.Short)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (f *benchFlags) run(cmd *cobra.Command, names []string) error {
	names, err := f.scenarios(names)
	if err != nil {
		return err
	}
	if err := f.complete(cmd); err != nil {
		return err
	}
	if err := f.completeTarget(cmd); err != nil {
		return err
	}
	if f.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	f.Progress, f.Live = cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if slices.Contains(names, "transform") {
		if f.Guests, err = benchGuests(ctx, f.guests, cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	report, err := f.Bench.Run(ctx, names)
	if report != nil {
		err = errors.Join(err, f.write(cmd.OutOrStdout(), report))
	}
	return err
}

// scenarios checks the names.
func (f *benchFlags) scenarios(names []string) ([]string, error) {
	switch {
	case len(names) == 0:
		return []string{"throughput"}, nil
	case len(names) == 1 && names[0] == "all":
		return scenarioNames(), nil
	}
	for _, n := range names {
		sc, ok := bench.FindScenario(n)
		if !ok {
			return nil, usageErrorf("unknown scenario %q: want all, %s", n, strings.Join(scenarioNames(), ", "))
		}
		if f.target.URL != "" && !sc.AnyTarget {
			return nil, usageErrorf("scenario %s starts and stops the relay or changes its config: it cannot be run with --target", n)
		}
	}
	return names, nil
}

// complete checks the numbers and makes what follows from them.
func (f *benchFlags) complete(cmd *cobra.Command) error {
	if f.Quick {
		for flag, set := range map[string]func(){
			"duration": func() { f.Duration = time.Second }, "warmup": func() { f.Warmup = 200 * time.Millisecond },
			"pending": func() { f.Pending = 5000 }, "connections": func() { f.Connections = 32 },
		} {
			if !cmd.Flags().Changed(flag) {
				set()
			}
		}
	}
	f.Limits = !f.noLimits
	switch {
	case f.Duration < 100*time.Millisecond || f.Warmup < 0:
		return usageErrorf("--duration must be at least 100ms, and --warmup not negative")
	case f.Connections < 1 || f.Connections > 1<<16:
		return usageErrorf("--connections must be from 1 to 65536")
	case f.Size < 256 || f.Size > 1<<20:
		return usageErrorf("--size must be from 256 to 1048576")
	case f.Rounds < 1 || f.Sample < 1 || f.Pending < 1:
		return usageErrorf("--rounds, --sample and --pending must be at least 1")
	case f.Relay.Durability != "fsync" && f.Relay.Durability != "os":
		return usageErrorf("--durability must be fsync or os")
	case f.Relay.Concurrency < 1 || f.Relay.Concurrency > 4096:
		return usageErrorf("--concurrency must be from 1 to 4096")
	}
	return nil
}

// completeTarget checks the flags that go with --target.
func (f *benchFlags) completeTarget(cmd *cobra.Command) error {
	if f.target.URL == "" {
		for _, name := range []string{"header", "body-template", "sink-listen", "secret", "no-verify", "target-pid"} {
			if cmd.Flags().Changed(name) {
				return usageErrorf("--%s goes with --target", name)
			}
		}
		return nil
	}
	if f.CPUProfile != "" || len(f.Relay.Extra) > 0 {
		return usageErrorf("--cpuprofile and --config are for a relay of our own, not for --target")
	}
	if f.Secret == "" && !f.noVerify {
		f.Secret = os.Getenv("EDGERELAY_BENCH_SECRET")
	}
	f.NoSink = f.SinkListen == ""
	switch {
	case f.NoSink && f.noVerify:
		return usageErrorf("--no-verify goes with --sink-listen")
	case f.noVerify && f.Secret != "":
		return usageErrorf("--secret and --no-verify contradict each other")
	case !f.NoSink && !f.noVerify && f.Secret == "":
		return usageErrorf("give the --secret of the target's signatures, or --no-verify when it does not sign")
	}
	if !f.NoSink {
		if _, _, err := net.SplitHostPort(f.SinkListen); err != nil {
			return usageErrorf("--sink-listen %q is not host:port", f.SinkListen)
		}
	}
	if f.target.Body == "" {
		f.target.Body = bench.EventBody(f.Size)
	}
	if err := f.target.Check(); err != nil {
		return usageErrorf("--target: %w", err)
	}
	f.Target = &f.target
	return nil
}

// write prints the report, and fails when a promise was broken.
func (f *benchFlags) write(out io.Writer, report *bench.Report) error {
	var err error
	if f.asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		err = report.WriteText(out)
	}
	if f.html != "" {
		err = errors.Join(err, writePage(f.html, report))
	}
	if len(report.Broken) > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d runs broke a promise, the first: %s", len(report.Broken), len(report.Results), report.Broken[0]))
	}
	return err
}

func writePage(name string, report *bench.Report) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write --html: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return report.WriteHTML(file)
}
