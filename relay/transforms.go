package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"edgerelay/config"
	"edgerelay/plugins"
	"edgerelay/plugins/kit"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/transform"
)

// How a step of a configuration becomes a pool of instances: whose module it is, what it may use, and which event it is primed with.

// envelopeRoom is how much longer an event may be than the body that it came in: its id, type and time.
const envelopeRoom = 4 << 10

// steps loads and compiles the webhook's transforms. A module that several webhooks use is compiled once.
func (b *builder) steps(ctx context.Context, i int) (steps []deliver.Step) {
	input := max(int(b.cfg.Ingress.MaxBody)+envelopeRoom, transform.DefaultLimits().MaxInput) // what comes to the first of them
	w := &b.cfg.Webhooks[i]
	for j := range w.Transform {
		c := &w.Transform[j]
		path := fmt.Sprintf("webhooks[%d].transform[%d]", i, j)
		p := b.plugin(path, c)
		if p == nil {
			continue
		}
		m := b.module(ctx, path, c, p)
		if m == nil {
			continue
		}
		b.out.modules = append(b.out.modules, m)
		pc, ok := b.poolConfig(path, w, c, p)
		if !ok {
			continue
		}
		pc.Limits.MaxInput = input
		pc.Limits.MaxOutput = max(pc.Limits.MaxOutput, input)
		input = pc.Limits.MaxOutput
		pool, err := b.host.NewPool(m, pc)
		if err != nil {
			b.problem(place(path, c), err)
			continue
		}
		b.out.pools = append(b.out.pools, pool)
		s := deliver.Step{Pool: pool, OnError: deliver.OnError(c.OnError)}
		if b.metrics != nil {
			s.Metrics = b.metrics.Transform(m.Name())
		}
		steps = append(steps, s)
	}
	return steps
}

// plugin finds what the step names and checks its configuration; nil after a mistake.
func (b *builder) plugin(path string, c *config.Transform) *kit.Package {
	if c.Plugin != "" {
		p, ok := kit.Embedded(c.Plugin)
		if !ok {
			b.problem(path+".plugin", fmt.Errorf("unknown plugin %q%s", c.Plugin, config.Suggest(c.Plugin, plugins.Names())))
			return nil
		}
		return b.configured(path, c, p)
	}
	p, err := kit.Open(string(c.Wasm))
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, one := range problems {
			b.problem(path+".wasm", errors.New(one.String()))
		}
	case err != nil:
		b.problem(path+".wasm", err)
	case p.Bare():
		return p
	default:
		return b.configured(path, c, p)
	}
	return nil
}

// configured checks the step's configuration against the plugin's schema.
func (b *builder) configured(path string, c *config.Transform, p *kit.Package) *kit.Package {
	err := p.CheckConfig(c.Config)
	var mistakes plugins.Mistakes
	switch {
	case err == nil:
		return p
	case !errors.As(err, &mistakes):
		var refused *kit.ConfigError
		if errors.As(err, &refused) {
			err = errors.Unwrap(refused)
		}
		b.problem(path+".config", err)
	}
	for _, m := range mistakes {
		at := path + ".config"
		if m.Path != "" {
			at += "." + m.Path
		}
		msg := m.Message
		if m.Unknown != "" {
			msg = fmt.Sprintf("unknown key %q%s", m.Unknown, config.Suggest(m.Unknown, m.Known))
		}
		b.problem(at, errors.New(msg))
	}
	return nil
}

// module compiles the plugin's module; nil after a mistake.
func (b *builder) module(ctx context.Context, path string, c *config.Transform, p *kit.Package) *transform.Module {
	at := path + ".wasm"
	if c.Plugin != "" {
		at = path + ".plugin"
	}
	wasm, err := p.Wasm()
	if err != nil {
		b.problem(at, err)
		return nil
	}
	m, err := b.host.Compile(ctx, p.Name, wasm)
	if err != nil {
		b.problem(at, err)
		return nil
	}
	if abi := m.ABI().String(); !p.Bare() && abi != p.ABI {
		b.problem(at, fmt.Errorf("the module speaks the ABI %s, its %s says %s", abi, kit.ManifestFile, p.ABI))
		m.Close(ctx)
		return nil
	}
	return m
}

// poolConfig is what the step says, then what the plugin asks for, then the defaults. More than the defaults, and events that see each
// other, are for the configuration to grant: a plugin may be a stranger's.
func (b *builder) poolConfig(path string, w *config.Webhook, c *config.Transform, p *kit.Package) (transform.PoolConfig, bool) {
	pc := p.PoolConfig()
	pc.QuarantineAfter, pc.Config = 0, bytes.Clone(c.Config)
	ok := true
	grant := func(key string, given, wants, most int64, text fmt.Stringer) {
		if given == 0 && wants > most && c.Plugin == "" {
			ok = false
			b.problem(path, fmt.Errorf("the plugin %q asks for %s %v in its %s, which is more than the default: allow it here with %s: %v",
				p.Name, key, text, kit.ManifestFile, key, text))
		}
	}
	most := transform.DefaultLimits()
	grant("fuel", int64(c.Fuel), int64(p.Limits.Fuel), most.Fuel, number(p.Limits.Fuel))
	grant("timeout", int64(c.Timeout), int64(p.Limits.Timeout), int64(most.Timeout), p.Limits.Timeout)
	grant("memory", int64(c.Memory), int64(p.Limits.Memory), int64(most.Memory), p.Limits.Memory)
	if c.Fuel != 0 {
		pc.Limits.Fuel = int64(c.Fuel)
	}
	if c.Timeout != 0 {
		pc.Limits.Timeout = time.Duration(c.Timeout)
	}
	if c.Memory != 0 {
		pc.Limits.Memory = uint32(c.Memory)
	}
	switch {
	case c.Isolation != "":
		pc.Isolation = kit.ParseIsolation(c.Isolation)
	case pc.Isolation == transform.IsolationShared:
		pc.Isolation = transform.IsolationEvent
	}
	if c.Entry != "" {
		pc.Entry = c.Entry
	}
	if c.Output != "" {
		pc.Output, _ = transform.ParseOutput(c.Output) // checked by config
	}
	return pc, b.prime(path, w, c, &pc) && ok
}

// number prints a count as a configuration takes it.
type number int

func (n number) String() string { return fmt.Sprint(int(n)) }

// prime sets the event that every instance sees first: the step's, or the plugin's own.
func (b *builder) prime(path string, w *config.Webhook, c *config.Transform, pc *transform.PoolConfig) bool {
	if len(c.Sample) > 0 {
		_, err := event.Parse(c.Sample, nil)
		var bad *event.ParseError
		if errors.As(err, &bad) {
			err = errors.New(bad.Msg)
		}
		if err != nil {
			b.problem(path+".sample", fmt.Errorf("is not an event: %w", err))
			return false
		}
		e, err := kit.ParseEvent("sample", c.Sample)
		if err != nil {
			b.problem(path+".sample", err)
			return false
		}
		pc.Sample, pc.SampleMeta = e.Envelope, e.Meta
	}
	pc.SampleMeta.Tenant, pc.SampleMeta.Webhook = []byte(w.Tenant), []byte(w.Name)
	return true
}

// place is where a transform that does not start is wrong: a plugin, which is known to be good, in its configuration.
func place(path string, c *config.Transform) string {
	if c.Plugin != "" {
		return path + ".config"
	}
	return path
}
