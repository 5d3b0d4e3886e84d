package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/plugins/kit"
)

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Make, build, test and measure transforms",
		Long: "A plugin is a WASM module that transforms events, with a manifest (plugin.yaml), sample events and golden tests in one\n" +
			"directory. These commands run it on the same engine and with the same limits as the relay does.",
		Example: `  edgerelay plugin new my-orders --lang go && cd my-orders
  edgerelay plugin build && edgerelay plugin test
  edgerelay plugin run -e events/order.json`,
	}
	return group(cmd, newPluginNew(), newPluginBuild(), newPluginRun(), newPluginTest(), newPluginBench(), newPluginDev(), newPluginInspect(), newPluginList())
}

// loadPlugin loads the plugin of a command's argument: a directory, the current one without an argument, or the name of a plugin that comes
// with the program. A mistake in its files ends with exitConfig.
func loadPlugin(args []string) (*kit.Package, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			if p, ok := kit.Embedded(dir); ok {
				return p, nil
			}
		}
	}
	p, err := kit.Load(dir)
	var problems config.Problems
	if errors.As(err, &problems) {
		return nil, &exitError{exitConfig, fmt.Errorf("the plugin is invalid:\n%w", err)}
	}
	return p, err
}

// withHost runs fn with an engine and closes the engine after it.
func withHost(ctx context.Context, fn func(*kit.Host) error) error {
	h, err := kit.NewHost(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(h), h.Close(ctx))
}

// printJSON writes v on one line, < and > as they are.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// configFlags are the configuration of a plugin on the command line.
type configFlags struct{ pairs []string }

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.pairs, "config", "c", nil, "configuration: key=value (the value is JSON, or else a text), or @FILE with a JSON object; repeatable")
}

// json returns the configuration as a JSON object, nil = none. Later pairs replace earlier ones.
func (f *configFlags) json() ([]byte, error) {
	if len(f.pairs) == 0 {
		return nil, nil
	}
	all := map[string]json.RawMessage{}
	for _, pair := range f.pairs {
		if file, ok := strings.CutPrefix(pair, "@"); ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("read config: %w", err)
			}
			part := map[string]json.RawMessage{}
			if err := json.Unmarshal(text, &part); err != nil {
				return nil, fmt.Errorf("read config %q: it is not a JSON object: %w", file, err)
			}
			maps.Copy(all, part)
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usageErrorf("--config %q is neither key=value nor @FILE", pair)
		}
		raw := json.RawMessage(value)
		if !json.Valid(raw) {
			text, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			raw = text
		}
		all[key] = raw
	}
	return json.Marshal(all)
}

// readEvent reads the event of a command: a file, - for the standard input, or the name of one of the plugin's samples (p may be nil).
func readEvent(cmd *cobra.Command, p *kit.Package, name string) (kit.Event, error) {
	if name == "-" {
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxAnswer))
		if err != nil {
			return kit.Event{}, fmt.Errorf("read event: %w", err)
		}
		return kit.ParseEvent("standard input", text)
	}
	text, err := os.ReadFile(name)
	if err == nil {
		return kit.ParseEvent(name, text)
	}
	if p != nil && errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(name, `./\`) {
		return p.Event(name)
	}
	return kit.Event{}, fmt.Errorf("read event: %w", err)
}
