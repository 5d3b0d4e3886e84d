package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"edgerelay/bench"
)

// The bench runs its parts as processes of their own, so that each one's CPU time can be told. These commands are those parts; nobody
// else needs them, so the help does not show them.

func newBenchSinkCommand() *cobra.Command {
	return &cobra.Command{Use: "sink", Hidden: true, Args: cobra.NoArgs, Short: "The bench's verifying sink, controlled over standard input and output",
		Example: "  edgerelay bench sink",
		RunE:    func(cmd *cobra.Command, _ []string) error { return bench.ServeSink(cmd.InOrStdin(), cmd.OutOrStdout()) }}
}

func newBenchForwardCommand() *cobra.Command {
	var to, secret string
	cmd := &cobra.Command{Use: "forward", Hidden: true, Args: cobra.NoArgs, Short: "The bench's forwarder, which stores nothing; it ends when its standard input does",
		Example: "  edgerelay bench forward --to http://127.0.0.1:9000/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.Forward(to, secret, cmd.InOrStdin(), cmd.OutOrStdout())
		}}
	cmd.Flags().StringVar(&to, "to", "", "where to")
	cmd.Flags().StringVar(&secret, "secret", "", "sign with it")
	return cmd
}

// newBenchProfiledCommand runs another command of this program and writes a CPU profile of it.
func newBenchProfiledCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "profiled FILE COMMAND…", Hidden: true, Args: cobra.MinimumNArgs(2),
		Short:   "Run a command of edgerelay under the CPU profiler",
		Example: "  edgerelay bench profiled cpu.pprof run -c edgerelay.yaml",
		RunE: func(_ *cobra.Command, args []string) (err error) {
			f, err := os.Create(args[0])
			if err != nil {
				return fmt.Errorf("create profile: %w", err)
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			if err := pprof.StartCPUProfile(f); err != nil {
				return fmt.Errorf("start profile: %w", err)
			}
			defer pprof.StopCPUProfile()
			if code := Main(args[1:]); code != exitOK {
				return &exitError{code, errors.New("")} // the command has said why
			}
			return nil
		}}
	cmd.Flags().SetInterspersed(false) // the flags after FILE belong to the command
	return cmd
}
