package kit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgerelay/transform"
)

// Host is the engine that plugins are run on.
type Host struct{ *transform.Host }

// NewHost starts an engine. Compiled code is kept in the user's cache directory, if there is one: a Go plugin takes a second to compile.
func NewHost(ctx context.Context) (*Host, error) {
	var o transform.Options
	o.CompileTimeout = time.Minute // not a relay under load: a slow machine may take its time
	if dir, err := os.UserCacheDir(); err == nil {
		o.CacheDir = filepath.Join(dir, "edgerelay", "modules")
	}
	h, err := transform.NewHost(ctx, o)
	if err != nil && o.CacheDir != "" { // a cache that cannot be written costs time only
		o.CacheDir = ""
		h, err = transform.NewHost(ctx, o)
	}
	if err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	return &Host{h}, nil
}

// Runner runs one module with one configuration.
type Runner struct {
	module *transform.Module
	pool   *transform.Pool
	limits *Manifest // whose capabilities bind the plugin; nil = nobody's

	name   string
	wasm   []byte
	config transform.PoolConfig
}

// NewRunner makes a runner of the package's module, after checking config (JSON text, nil = {}) against its schema.
func (h *Host) NewRunner(ctx context.Context, p *Package, config []byte) (*Runner, error) {
	if err := p.CheckConfig(config); err != nil {
		return nil, err
	}
	wasm, err := p.Wasm()
	if err != nil {
		return nil, err
	}
	return h.newRunner(ctx, p, wasm, config, 1)
}

// NewModuleRunner makes a runner of a module that has no manifest.
func (h *Host) NewModuleRunner(ctx context.Context, name string, wasm, config []byte) (*Runner, error) {
	r, err := h.newRunner(ctx, &Package{Manifest: Manifest{Name: name}}, wasm, config, 1)
	if r != nil {
		r.limits = nil
	}
	return r, err
}

func (h *Host) newRunner(ctx context.Context, p *Package, wasm, config []byte, size int) (*Runner, error) {
	module, err := h.Compile(ctx, p.Name, wasm)
	if err != nil {
		return nil, err
	}
	c := p.PoolConfig()
	c.Config, c.Size = config, size
	pool, err := h.NewPool(module, c)
	if err != nil {
		module.Close(ctx)
		return nil, err
	}
	return &Runner{module: module, pool: pool, limits: &p.Manifest, name: p.Name, wasm: wasm, config: c}, nil
}

// Close frees the runner's instances.
func (r *Runner) Close(ctx context.Context) {
	r.pool.Close(ctx)
	r.module.Close(ctx)
}

// Field is a header or a query parameter.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// LogLine is one line that the plugin logged.
type LogLine struct {
	Level string `json:"level"`
	Text  string `json:"text"`
}

// ActionError is the action of a run that did not end by itself.
const ActionError = "error"

// Outcome is what one run led to.
type Outcome struct {
	Action      string    `json:"action"` // send, drop, fail, retry; error = it was ended, see Error
	Body        []byte    `json:"-"`      // what it wrote; the input when it wrote nothing
	Written     bool      `json:"written"`
	ContentType string    `json:"content_type,omitempty"`
	Method      string    `json:"method,omitempty"`
	Path        string    `json:"path,omitempty"`
	Headers     []Field   `json:"headers,omitempty"`
	Query       []Field   `json:"query,omitempty"`
	Reason      string    `json:"reason,omitempty"`
	Error       string    `json:"error,omitempty"` // the kind, such as fuel
	Message     string    `json:"message,omitempty"`
	Trace       []string  `json:"trace,omitempty"`
	Log         []LogLine `json:"log,omitempty"`
	Truncated   bool      `json:"log_truncated,omitempty"`
	Fuel        int64     `json:"fuel"`
	Memory      int64     `json:"memory"` // bytes of linear memory when it ended
	Micros      float64   `json:"micros"`
}

// Run gives one event to the plugin.
func (r *Runner) Run(ctx context.Context, e *Event) *Outcome {
	var res transform.Result
	meta := e.Meta
	err := r.pool.Run(ctx, &meta, e.Envelope, &res)
	o := &Outcome{Action: res.Action.String(), Body: e.Envelope, ContentType: res.ContentType, Method: res.Method, Path: res.Path,
		Headers: fields(res.Headers), Query: fields(res.Query), Reason: res.Reason, Truncated: res.LogTruncated, Fuel: res.Fuel,
		Memory: res.Memory, Micros: float64(res.Duration.Nanoseconds()) / 1000}
	if len(res.Body) > 0 {
		o.Body, o.Written = res.Body, true
	}
	for _, l := range res.Log {
		o.Log = append(o.Log, LogLine{Level: l.Level.String(), Text: string(l.Text)})
	}
	var failed *transform.Error
	if errors.As(err, &failed) {
		o.Action, o.Error, o.Message, o.Trace = ActionError, failed.Kind.String(), failed.Msg, r.trace(ctx, e, failed)
		o.Body, o.Written = nil, false
	}
	return o
}

// jsonType is the content type of a body that says none.
const jsonType = "application/json"

func (o *Outcome) contentType() string { return cmp.Or(o.ContentType, jsonType) }

func fields(fs []transform.Field) []Field {
	var out []Field
	for _, f := range fs {
		out = append(out, Field{f.Name, string(f.Value)})
	}
	return out
}

// Undeclared returns the capabilities that o needed and the plugin's manifest does not list.
func (r *Runner) Undeclared(o *Outcome) []string {
	if r.limits == nil {
		return nil
	}
	used := map[string]bool{"content-type": o.contentType() != jsonType, "method": o.Method != "", "path": o.Path != "", "headers": len(o.Headers) > 0,
		"query": len(o.Query) > 0, "drop": o.Action == transform.Drop.String(), "retry": o.Action == transform.Retry.String()}
	var missing []string
	for _, c := range Capabilities() {
		if used[c] && !slices.Contains(r.limits.Capabilities, c) {
			missing = append(missing, c)
		}
	}
	return missing
}
