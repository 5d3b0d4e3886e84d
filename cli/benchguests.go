package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/bench"
	"edgerelay/plugins/guests"
	"edgerelay/plugins/kit"
)

// benchGuest is a language of the scenario transform.
type benchGuest struct {
	language string
	bench.Guest
}

func knownGuests() []benchGuest {
	return []benchGuest{{"c", bench.Guest{Name: "C", WASM: guests.C}}, {"rust", bench.Guest{Name: "Rust", WASM: guests.Rust}},
		{"assemblyscript", bench.Guest{Name: "AssemblyScript", WASM: guests.AssemblyScript}},
		{"go", bench.Guest{Name: "Go", Prime: true}}, {"js", bench.Guest{Name: "JavaScript", Prime: true}}}
}

func benchLanguages() (names []string) {
	for _, g := range knownGuests() {
		names = append(names, g.language)
	}
	return names
}

// benchGuests are the transforms that the scenario transform measures: the same plugin in every language that is asked for. The small ones
// come with the program; the others are built, where their toolchain is.
func benchGuests(ctx context.Context, languages []string, notes io.Writer) (all []bench.Guest, err error) {
	known := knownGuests()
	err = withHost(ctx, func(h *kit.Host) error {
		for _, language := range languages {
			at := slices.IndexFunc(known, func(g benchGuest) bool { return g.language == language })
			if at < 0 {
				return usageErrorf("--guests: %q is none of %s", language, strings.Join(benchLanguages(), ", "))
			}
			g := known[at].Guest
			if g.WASM == nil {
				var err error
				var missing *kit.MissingTool
				if g.WASM, err = h.BuildNew(ctx, language); errors.As(err, &missing) {
					fmt.Fprintf(notes, "not measured: transforms in %s; %v\n", g.Name, missing)
					continue
				} else if err != nil {
					return err
				}
			}
			all = append(all, g)
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
