package kit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"edgerelay/config"
	"edgerelay/transform"
)

// TestOptions of Test.
type TestOptions struct {
	Only   *regexp.Regexp // cases by name; nil = all
	Update bool           // make what the plugin does the new expectation
}

// CaseResult is how a golden test went.
type CaseResult struct {
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	Problems []string `json:"problems"`       // one line each
	Diff     string   `json:"diff,omitempty"` // of the body
	Updated  []string `json:"updated,omitempty"`
	Outcome  *Outcome `json:"outcome"`
}

// Report is how all tests of a plugin went.
type Report struct {
	Plugin  string       `json:"plugin"`
	Version string       `json:"version"`
	Passed  int          `json:"passed"`
	Failed  int          `json:"failed"`
	Cases   []CaseResult `json:"cases"`
}

// Test runs the plugin's golden tests. Each is run twice, which must lead to the same to the byte and to the unit of fuel, and once more
// after another event, of which nothing may be seen. The error is for what makes testing impossible.
func (h *Host) Test(ctx context.Context, p *Package, o TestOptions) (*Report, error) {
	if _, err := p.Wasm(); err != nil {
		return nil, err
	}
	r := &Report{Plugin: p.Name, Version: p.Version, Cases: []CaseResult{}}
	t := &tester{host: h, p: p, runners: map[string]*Runner{}}
	defer func() {
		for _, runner := range t.runners {
			runner.Close(ctx)
		}
	}()
	for i := range p.Cases {
		if o.Only != nil && !o.Only.MatchString(p.Cases[i].Name) {
			continue
		}
		result, err := t.test(ctx, i, o.Update)
		if err != nil {
			return nil, err
		}
		if result.Passed {
			r.Passed++
		} else {
			r.Failed++
		}
		r.Cases = append(r.Cases, *result)
	}
	return r, nil
}

// tester keeps a runner for every configuration of the cases.
type tester struct {
	host    *Host
	p       *Package
	runners map[string]*Runner
}

func (t *tester) runner(ctx context.Context, config []byte) (*Runner, error) {
	if r := t.runners[string(config)]; r != nil {
		return r, nil
	}
	r, err := t.host.NewRunner(ctx, t.p, config)
	if err == nil {
		t.runners[string(config)] = r
	}
	return r, err
}

func (t *tester) test(ctx context.Context, i int, update bool) (*CaseResult, error) {
	c := &t.p.Cases[i]
	result := &CaseResult{Name: c.Name, Problems: []string{}}
	r, err := t.runner(ctx, c.Config)
	if err != nil {
		if result.Outcome = notStarted(err); result.Outcome == nil {
			return nil, err
		}
	} else {
		result.Outcome = r.Run(ctx, &c.Event)
		result.Problems = t.repeat(ctx, r, i, result.Outcome)
		if missing := r.Undeclared(result.Outcome); len(missing) > 0 {
			result.fail("it does what %s does not declare: add capabilities: [%s]", ManifestFile, strings.Join(missing, ", "))
		}
	}
	if update {
		if result.Updated, err = t.p.update(c, result.Outcome); err != nil {
			return nil, err
		}
	}
	c.check(result)
	result.Passed = len(result.Problems) == 0
	return result, nil
}

// notStarted is the outcome of a plugin that cannot be started with a configuration, nil when that is not why.
func notStarted(err error) *Outcome {
	var refused *ConfigError
	if errors.As(err, &refused) {
		return &Outcome{Action: ActionError, Error: ErrorConfig, Message: err.Error()}
	}
	var failed *transform.Error
	if errors.As(err, &failed) && failed.Kind == transform.KindInit {
		return &Outcome{Action: ActionError, Error: failed.Kind.String(), Message: failed.Msg, Trace: failed.Trace}
	}
	return nil
}

// repeat looks for what changes when the event comes again, and for traces of another event.
func (t *tester) repeat(ctx context.Context, r *Runner, i int, first *Outcome) (problems []string) {
	c := &t.p.Cases[i]
	shared := r.pool.Isolation() == transform.IsolationShared
	if what := first.differs(r.Run(ctx, &c.Event), shared); what != "" {
		problems = append(problems, "not deterministic: "+what+" when the same event comes again")
	}
	other := &t.p.Cases[(i+1)%len(t.p.Cases)]
	if other == c {
		return problems
	}
	r.Run(ctx, &other.Event)
	if what := first.differs(r.Run(ctx, &c.Event), shared); what != "" && len(problems) == 0 {
		problems = append(problems, fmt.Sprintf("not isolated: %s after the event of %q", what, other.Name))
	}
	return problems
}

// differs says what is different in another outcome of the same event. A shared instance's memory may cost more or less from run to run.
func (o *Outcome) differs(p *Outcome, shared bool) string {
	a, b := *o, *p
	switch {
	case string(a.Body) != string(b.Body):
		return "another body"
	case !shared && a.Fuel != b.Fuel:
		return fmt.Sprintf("another fuel (%d, %d before)", b.Fuel, a.Fuel)
	}
	a.Micros, a.Fuel, a.Memory, b.Micros, b.Fuel, b.Memory = 0, 0, 0, 0, 0, 0
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil || string(x) != string(y) {
		return "another result"
	}
	return ""
}

func (r *CaseResult) fail(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// check compares the outcome with what is expected.
func (c *Case) check(r *CaseResult) {
	o, x := r.Outcome, &c.Expect
	if o.Action != x.Action {
		r.fail("action is %s, want %s%s", o.Action, x.Action, o.why())
		return // the rest follows from it
	}
	if o.Error != x.Error && x.Error != "" {
		r.fail("error is %s, want %s%s", o.Error, x.Error, o.why())
	}
	if x.Reason != "" && o.Reason != x.Reason {
		r.fail("reason is %q, want %q", o.Reason, x.Reason)
	}
	for _, f := range []struct{ name, got, want string }{
		{"content_type", o.contentType(), cmp.Or(x.ContentType, jsonType)}, {"method", o.Method, x.Method}, {"path", o.Path, x.Path},
	} {
		if f.got != f.want {
			r.fail("%s is %q, want %q", f.name, f.got, f.want)
		}
	}
	r.checkFields("header", o.Headers, x.Headers, strings.EqualFold)
	r.checkFields("query parameter", o.Query, x.Query, func(a, b string) bool { return a == b })
	for _, want := range x.Log {
		if !slices.ContainsFunc(o.Log, func(l LogLine) bool { return strings.Contains(l.Text, want) }) {
			r.fail("nothing in its log contains %q", want)
		}
	}
	if x.MaxFuel != 0 && o.Fuel > int64(x.MaxFuel) {
		r.fail("fuel is %d, max_fuel is %d", o.Fuel, x.MaxFuel)
	}
	if o.Action == transform.Send.String() {
		c.checkBody(r)
	}
}

// why adds what is known of an action that was not expected.
func (o *Outcome) why() string {
	s := ""
	if o.Error != "" {
		s = ": " + o.Error + ": " + o.Message
	}
	if o.Reason != "" {
		s += ": " + o.Reason
	}
	return s
}

func (r *CaseResult) checkFields(what string, got []Field, want config.Headers, same func(a, b string) bool) {
	for _, g := range got {
		if !slices.ContainsFunc(want, func(w config.Header) bool { return same(w.Name, g.Name) }) {
			r.fail("%s %s: %q is not expected", what, g.Name, g.Value)
		}
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(g Field) bool { return same(w.Name, g.Name) })
		if i < 0 {
			r.fail("%s %s is missing, want %q", what, w.Name, w.Value)
		} else if got[i].Value != w.Value {
			r.fail("%s %s is %q, want %q", what, w.Name, got[i].Value, w.Value)
		}
	}
}

func (c *Case) checkBody(r *CaseResult) {
	o := r.Outcome
	switch {
	case c.Format == "" && o.Written:
		r.fail("it wrote a body, and no expected.* holds one; --update makes it")
		return
	case c.Format == "":
		return
	case !o.Written && len(c.Body) > 0:
		r.fail("it wrote no body, so the event would be sent as it is; want %s", c.Format.file())
		return
	}
	want, err := c.Format.canonical(c.Body)
	if err != nil {
		r.fail("%s %v", c.Format.file(), err)
		return
	}
	got, err := c.Format.canonical(o.Body)
	if err != nil {
		r.fail("the body %v, as %s is", err, c.Format.file())
		r.Diff = Diff(string(c.Body), string(o.Body))
		return
	}
	if r.Diff = Diff(want, got); r.Diff != "" {
		r.fail("the body differs from %s", c.Format.file())
	}
}
