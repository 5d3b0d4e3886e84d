package kit

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerelay/transform"
)

// trace is where a run has trapped. The relay's engine knows functions only: what it runs was rewritten, and is without debug information. So
// when the module carries some, the run is done once more with the module as it is. It is deterministic, so it ends at the same place.
func (r *Runner) trace(ctx context.Context, e *Event, failed *transform.Error) []string {
	if failed.Kind != transform.KindTrap || !hasLines(r.wasm) {
		return tidy(failed.Trace)
	}
	again, err := r.again(ctx, e)
	if err != nil || len(again) == 0 {
		return tidy(failed.Trace) // less is better than nothing
	}
	return tidy(again)
}

// again runs the event with the original module and returns the trace.
func (r *Runner) again(ctx context.Context, e *Event) (trace []string, err error) {
	host, err := transform.NewHost(ctx, transform.Options{Original: true, CompileTimeout: time.Minute})
	if err != nil {
		return nil, err
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, r.name, r.wasm)
	if err != nil {
		return nil, err
	}
	defer module.Close(ctx)
	pool, err := host.NewPool(module, r.config)
	if err != nil {
		return nil, err
	}
	defer pool.Close(ctx)
	var out transform.Result
	meta := e.Meta
	var failed *transform.Error
	if errors.As(pool.Run(ctx, &meta, e.Envelope, &out), &failed) && failed.Kind == transform.KindTrap {
		return failed.Trace, nil
	}
	return nil, nil
}

// hasLines reports whether a module says which source its code comes from.
func hasLines(wasm []byte) bool {
	return slices.ContainsFunc(sections(wasm), func(s rawSection) bool { return strings.HasSuffix(s.name, ".debug_line") })
}

// tidy takes out of a trace what says nothing: the name of the file that was compiled to, and addresses.
func tidy(trace []string) []string {
	var out []string
	for _, line := range trace {
		line = strings.TrimSpace(line)
		if address, place, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(address, "0x") {
			dir, file := filepath.Split(place)
			out = append(out, "  "+filepath.Base(dir)+"/"+file)
			continue
		}
		if name, rest, ok := strings.Cut(line, ".wasm."); ok && !strings.ContainsAny(name, " (") {
			line = rest
		}
		out = append(out, strings.TrimPrefix(line, "."))
	}
	return out
}
