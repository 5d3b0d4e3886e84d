package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// keyModules are the dependencies whose version matters when a fault is reported.
var keyModules = []string{
	"github.com/dgraph-io/badger/v4",
	"github.com/expr-lang/expr",
	"github.com/prometheus/client_golang",
	"github.com/tetratelabs/wazero",
	"github.com/valyala/fasthttp",
	"gopkg.in/yaml.v3",
}

// versionInfo is what `version` prints.
type versionInfo struct {
	Version      string            `json:"version"`
	Commit       string            `json:"commit"`
	Modified     bool              `json:"modified"` // built from a tree with changes that are not in the commit
	Date         string            `json:"date"`     // of the commit
	Go           string            `json:"go"`
	Platform     string            `json:"platform"`
	Dependencies map[string]string `json:"dependencies"`
}

// readVersion asks the Go linker; what it does not know is "unknown".
func readVersion() versionInfo {
	v := versionInfo{Version: "unknown", Commit: "unknown", Date: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Dependencies: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	for _, m := range info.Deps {
		for _, key := range keyModules {
			if m.Path == key {
				v.Dependencies[key] = m.Version
			}
		}
	}
	return v
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and what it was built from",
		Example: "  edgerelay version\n  edgerelay version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readVersion()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			changed := ""
			if v.Modified {
				changed = " (with changes)"
			}
			fmt.Fprintf(tw, "edgerelay\t%s\ncommit\t%s%s\ndate\t%s\ngo\t%s %s\n", v.Version, v.Commit, changed, v.Date, v.Go, v.Platform)
			for _, m := range keyModules {
				if version := v.Dependencies[m]; version != "" {
					fmt.Fprintf(tw, "%s\t%s\n", m, version)
				}
			}
			return tw.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
