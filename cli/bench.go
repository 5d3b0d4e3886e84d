package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/bench"
)

// benchFlags are the flags of `bench`.
type benchFlags struct {
	bench.Bench
	noLimits, quick        bool
	target, bodyTemplate   string
	headers                []string
	noVerify, asJSON, list bool
}

func newBenchCommand() *cobra.Command {
	f := benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench [SCENARIO]...",
		Short: "Measure this program, or any other webhook sender, on this machine",
		RunE:  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.Duration, "duration", 10*time.Second, "how long each run is measured")
	fl.DurationVar(&f.Warmup, "warmup", 2*time.Second, "load before it that does not count")
	fl.IntVar(&f.Connections, "connections", 128, "connections of the load generator")
	fl.IntVar(&f.Size, "size", 1024, "bytes of an event")
	fl.IntVar(&f.Rounds, "rounds", 1, "how often to repeat, limits in between; the table shows the median")
	fl.IntVar(&f.Sample, "sample", 1, "check the signature of every n-th delivery only")
	fl.StringVar(&f.Relay.Durability, "durability", "fsync", "of the relay's queue: fsync or os")
	fl.IntVar(&f.Relay.Concurrency, "concurrency", 128, "deliveries at a time to each webhook")
	fl.BoolVar(&f.noLimits, "no-limits", false, "do not measure the limits of the machine")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	fl.StringVar(&f.CPUProfile, "cpuprofile", "", "write a CPU profile of the relay to this file")
	fl.StringVar(&f.Dir, "dir", "", "where to put the relay's data while it runs (default: the system's temporary directory)")
	cmd.AddCommand(newBenchSinkCommand(), newBenchForwardCommand(), newBenchProfiledCommand())
	return cmd
}

func (f *benchFlags) run(cmd *cobra.Command, names []string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	f.Command = func(args ...string) []string { return append([]string{exe}, args...) }
	f.Limits = !f.noLimits
	f.Progress, f.Live = cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr())
	if len(names) == 0 {
		names = []string{"throughput"}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := f.Bench.Run(ctx, names)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", " ")
	if err := enc.Encode(report); err != nil {
		return err
	}
	if bad := report.Broken(); len(bad) > 0 {
		return errors.New(strings.Repeat("broken ", len(bad)))
	}
	return nil
}
