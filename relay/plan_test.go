package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// loadedFrom makes r load text when it is asked to reload.
func (r *running) loadedFrom(text string) {
	r.Relay.load = func() (*config.Config, error) {
		return config.Parse("edgerelay.yaml", []byte(r.head()+text))
	}
}

func lines(report *admin.ConfigReport) string {
	var b strings.Builder
	for _, c := range report.Changes {
		fmt.Fprintf(&b, "%s %s %s", c.Action, c.Kind, c.Name)
		for _, f := range c.Fields {
			fmt.Fprintf(&b, " %s:%s->%s", f.Path, f.Old, f.New)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestReloadSaysWhatChanged(t *testing.T) {
	rec := receiver(t, nil, "a", "b", "c")
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	if err := rec.Answer("b", bench.Answer{Status: 500}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "a", "")+hook(rec, "b", ", retry: { schedule: [1h] }"))
	for range 3 {
		r.send(`{"type":"x"}`)
	}
	r.eventually("three wait", func() bool {
		n, _, err := r.waiting(event.NamedWebhookID("default", "b"))
		s := r.Queue()
		return n == 3 && err == nil && s.Pending == 0 && s.Retrying == 3 // nothing is on its way from one place to another
	})

	next := "webhooks:\n" + hook(rec, "a", ", headers: { X-Token: canary }") + hook(rec, "c", "") + "sender: { max_in_flight: 7, allow_private_networks: [127.0.0.0/8] }\n"
	next = strings.Replace(next, "sender:", "# sender:", 1)
	r.loadedFrom(next + "queue: { max_bytes: 1GiB }\n")
	want := "change   queue.max_bytes:10GiB->1GiB\nchange webhooks a headers.X-Token:->***\nadd webhooks c\nremove webhooks b\n"
	plan, err := r.PlanFiles(t.Context())
	if err != nil || lines(plan) != want || plan.Applied || len(plan.NeedsRestart) != 1 || plan.NeedsRestart[0] != "queue" {
		t.Fatalf("%v %+v\n%s", err, plan, lines(plan))
	}
	last := plan.Affected[len(plan.Affected)-1] // the other one may have an attempt under way
	if last.Name != "b" || last.Waiting != 3 || !strings.HasPrefix(last.Fate, "dead") {
		t.Errorf("%+v", plan.Affected)
	}
	if len(r.config().Webhooks) != 2 || r.config().Webhooks[1].Name != "b" {
		t.Error("a plan has changed something")
	}
	done, err := r.ReloadFiles(t.Context())
	if err != nil || lines(done) != want || !done.Applied {
		t.Fatalf("%v\n%s", err, lines(done))
	}
	if text, _ := json.Marshal(done); strings.Contains(string(text), "canary") {
		t.Errorf("a secret is shown: %s", text)
	}
	if done, err = r.ReloadFiles(t.Context()); err != nil || lines(done) != "" || len(done.NeedsRestart) != 1 {
		t.Errorf("again: %v %+v", err, done)
	}

	was := r.config()
	r.loadedFrom("webhooks:\n" + hook(rec, "a", ", filter: 'data.n >'"))
	for name, f := range map[string]func(context.Context) (*admin.ConfigReport, error){"plan": r.PlanFiles, "reload": r.ReloadFiles} {
		var problems config.Problems
		if _, err := f(t.Context()); !asProblems(err, &problems) || len(problems) != 1 || problems[0].Path != "webhooks[0].filter" || problems[0].Line == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r.config() != was {
		t.Error("an invalid configuration is in force")
	}
	r.Relay.load = func() (*config.Config, error) { return config.Parse("edgerelay.yaml", []byte("\n")) } // somebody is just writing it
	for name, f := range map[string]func(context.Context) (*admin.ConfigReport, error){"plan": r.PlanFiles, "reload": r.ReloadFiles} {
		if _, err := f(t.Context()); err == nil || !strings.Contains(err.Error(), "edgerelay.yaml: is empty") || r.config() != was {
			t.Errorf("%s of an empty file: %v", name, err)
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.loadedFrom("")
	if _, err := r.ReloadFiles(t.Context()); err != errStopping {
		t.Errorf("after the stop: %v", err)
	}
}

func asProblems(err error, into *config.Problems) bool {
	p, ok := err.(config.Problems)
	*into = p
	return ok
}

func TestPlanOfAnotherConfig(t *testing.T) {
	rec := receiver(t, nil, "a")
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "a", ""))
	head := strings.Replace(r.head(), "admin: { listen: 127.0.0.1:0 }", "admin: { listen: 127.0.0.1:1 }", 1)
	next, err := config.Parse("other.yaml", []byte(head+"webhooks:\n"+strings.Replace(hook(rec, "a", ""), testSecret, "whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1)))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.PlanInventory(next.Inventory().Sealed([]byte("salt")))
	if err != nil || lines(plan) != "change   admin.listen:127.0.0.1:0->127.0.0.1:1\nchange webhooks a secret[0]:***->***\n" || len(plan.NeedsRestart) != 1 || plan.NeedsRestart[0] != "admin.listen" {
		t.Errorf("%v %+v\n%s", err, plan, lines(plan))
	}
}

// An invalid reload changes nothing: not even a webhook that its receiver has disabled is enabled again.
func TestInvalidReloadEnablesNothing(t *testing.T) {
	rec := receiver(t, nil, "gone")
	if err := rec.Answer("gone", bench.Answer{Status: 410}); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), "webhooks:\n"+hook(rec, "gone", ""))
	r.send(`{"type":"a"}`)
	disabled := func() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.disabled) }
	r.eventually("disabled", func() bool { return disabled() == 1 })
	changed := strings.Replace(hook(rec, "gone", ""), rec.URL("gone"), rec.URL("gone")+"?v=2", 1)
	r.loadedFrom("webhooks:\n" + changed + hook(rec, "bad", ", filter: '1 +'"))
	if _, err := r.ReloadFiles(t.Context()); err == nil || disabled() != 1 {
		t.Errorf("%v, %d disabled", err, disabled())
	}
	r.loadedFrom("webhooks:\n" + changed)
	if _, err := r.ReloadFiles(t.Context()); err != nil || disabled() != 0 {
		t.Errorf("%v, %d disabled", err, disabled())
	}
}
