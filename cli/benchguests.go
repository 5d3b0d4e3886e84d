package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"edgerelay/bench"
	"edgerelay/plugins/guests"
	"edgerelay/plugins/kit"
)

// benchGuests are the transforms that the scenario transform measures: the same plugin in every language. The small ones come with the
// program; the others are built, where their toolchain is.
func benchGuests(ctx context.Context, notes io.Writer) ([]bench.Guest, error) {
	all := []bench.Guest{{Name: "C", WASM: guests.C}, {Name: "Rust", WASM: guests.Rust}, {Name: "AssemblyScript", WASM: guests.AssemblyScript}}
	err := withHost(ctx, func(h *kit.Host) error {
		for _, l := range []struct{ name, language string }{{"Go", "go"}, {"JavaScript", "js"}} {
			wasm, err := h.BuildNew(ctx, l.language)
			var missing *kit.MissingTool
			switch {
			case errors.As(err, &missing):
				fmt.Fprintf(notes, "not measured: transforms in %s; %v\n", l.name, missing)
			case err != nil:
				return err
			default:
				all = append(all, bench.Guest{Name: l.name, WASM: wasm, Prime: true})
			}
		}
		return nil
	})
	return all, err
}

// unmetered is set for the relay that `bench unmetered` runs, and for nothing else.
var unmetered bool

// newBenchUnmeteredCommand runs another command of this program, whose transforms run without metering.
func newBenchUnmeteredCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "unmetered COMMAND…", Hidden: true, Args: cobra.MinimumNArgs(1),
		Short:   "Run a command of edgerelay without the accounting of fuel: nothing stops a transform then",
		Example: "  edgerelay bench unmetered run -c edgerelay.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			unmetered = true
			if code := Main(args); code != exitOK {
				return &exitError{code, errors.New("")} // the command has said why
			}
			return nil
		}}
	cmd.Flags().SetInterspersed(false) // the flags behind COMMAND belong to it
	return cmd
}
