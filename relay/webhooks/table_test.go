package webhooks

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgerelay/relay/event"
	"edgerelay/relay/payload"
)

// hook makes an active webhook of tenant acme.
func hook(name string, patterns ...string) *Webhook {
	return &Webhook{ID: event.NamedWebhookID("acme", name), Name: name, Tenant: "acme", Events: patterns, Status: StatusActive}
}

func with(w *Webhook, change func(*Webhook)) *Webhook {
	change(w)
	w.ID = event.NamedWebhookID(w.Tenant, w.Name)
	return w
}

func filter(t testing.TB, text string) *payload.Filter {
	t.Helper()
	f, err := payload.CompileFilter(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func table(t testing.TB, ws ...*Webhook) *Table {
	t.Helper()
	tab, err := NewTable(ws)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func names(t *Table, ids []event.WebhookID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, t.Get(id).Name)
	}
	return out
}

func TestMatch(t *testing.T) {
	program := func(p string) func(*Webhook) { return func(w *Webhook) { w.Program = p } }
	tab := table(t,
		hook("exact", "order.paid"),
		hook("star", "order.*"),
		hook("all", "*"),
		hook("end", "*.paid"),
		hook("middle", "o*.*id"),
		hook("several", "order.paid", "order.*", "*", "*.paid", "o*d"),
		hook("other", "invoice.paid", "order.pai", "order.paid.late", "rder.paid", "order.*.late", "*x*"),
		with(hook("linked", "order.paid"), program("summer")),
		with(hook("linked elsewhere", "*"), program("winter")),
		with(hook("foreign", "*"), func(w *Webhook) { w.Tenant = "umbrella" }),
		with(hook("draft", "*"), func(w *Webhook) { w.Status = StatusDraft }),
		with(hook("paused", "*"), func(w *Webhook) { w.Status = StatusPaused }),
		with(hook("passes", "order.paid"), func(w *Webhook) { w.Filter = filter(t, "data.points >= 10") }),
		with(hook("stopped", "order.paid", "order.*"), func(w *Webhook) { w.Filter = filter(t, "data.points >= 11") }),
	)
	cases := map[string]struct {
		e    event.Event
		want string
	}{
		"no program": {event.Event{Type: []byte("order.paid"), Tenant: []byte("acme"), Data: []byte(`{"points":10}`)},
			"exact star all end middle several passes"},
		"a program": {event.Event{Type: []byte("order.paid"), Tenant: []byte("acme"), Program: []byte("summer"), Data: []byte(`{"points":10}`)},
			"exact star all end middle several linked passes"},
		"a program without webhooks": {event.Event{Type: []byte("x"), Tenant: []byte("acme"), Program: []byte("spring")}, "all several other"},
		"another tenant":             {event.Event{Type: []byte("order.paid"), Tenant: []byte("umbrella")}, "foreign"},
		"unknown tenant":             {event.Event{Type: []byte("order.paid"), Tenant: []byte("nobody")}, ""},
		"dots are nothing special":   {event.Event{Type: []byte("order.a.b.c"), Tenant: []byte("acme")}, "star all several"},
		"a star may stand for nothing": {event.Event{Type: []byte("order."), Tenant: []byte("acme")},
			"star all several"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := &payload.Input{Data: []byte(`{"points":99}`), Tenant: []byte("left over")}
			for _, in := range []*payload.Input{in, nil} {
				if got := strings.Join(names(tab, tab.Match(nil, &c.e, in)), " "); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			}
		})
	}
}

func TestMatchAppends(t *testing.T) {
	tab := table(t, hook("a", "*"))
	first := event.NamedWebhookID("x", "y")
	got := tab.Match([]event.WebhookID{first}, &event.Event{Type: []byte("t"), Tenant: []byte("acme")}, nil)
	if len(got) != 2 || got[0] != first || got[1] != tab.All()[0].ID {
		t.Errorf("got %v", got)
	}
}

func TestFilterThatFails(t *testing.T) {
	broken := with(hook("broken", "*"), func(w *Webhook) { w.Filter = filter(t, `data.points > 10`) })
	tab := table(t, broken, hook("behind", "*"))
	if tab.FilterError(broken.ID) != nil || tab.FilterErrors() != 0 {
		t.Error("an error before the first event")
	}
	e := event.Event{Type: []byte("t"), Tenant: []byte("acme"), Data: []byte(`{"points":"many"}`)}
	for range 3 {
		if got := names(tab, tab.Match(nil, &e, nil)); len(got) != 1 || got[0] != "behind" {
			t.Fatalf("matched %v, want only the webhook behind the broken one", got)
		}
	}
	if tab.FilterErrors() != 3 || tab.FilterError(broken.ID) == nil {
		t.Errorf("%d filter errors, last %v; want 3 and a text", tab.FilterErrors(), tab.FilterError(broken.ID))
	}
	if err := tab.FilterError(event.WebhookID{}); err != nil {
		t.Errorf("error of an unknown webhook: %v", err)
	}
}

func TestNewTableRefuses(t *testing.T) {
	cases := map[string]struct {
		ws   []*Webhook
		want string
	}{
		"the same id twice": {[]*Webhook{hook("a", "*"), hook("a", "x")}, `add webhook "a" of tenant "acme": its id wh_`},
		"no tenant":         {[]*Webhook{{Name: "a", Events: []string{"*"}}}, "belongs to no tenant"},
		"no patterns":       {[]*Webhook{hook("a")}, "no event patterns"},
		"empty pattern":     {[]*Webhook{hook("a", "x", "")}, "event pattern is empty"},
		"space in pattern":  {[]*Webhook{hook("a", "order paid")}, `event pattern "order paid": want`},
		"question mark":     {[]*Webhook{hook("a", "order.?")}, "want at most 255"},
		"long pattern":      {[]*Webhook{hook("a", strings.Repeat("x", 256))}, "want at most 255"},
		"bad pattern of a draft": {[]*Webhook{with(hook("a", "ö"), func(w *Webhook) { w.Status = StatusDraft })},
			"want at most 255"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := NewTable(c.ws); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestTooManyTargets(t *testing.T) {
	ws := make([]*Webhook, event.MaxTargets+1)
	for i := range ws {
		ws[i] = hook(fmt.Sprint(i), "*")
	}
	if _, err := NewTable(ws); err == nil || !strings.Contains(err.Error(), "at most 65535") {
		t.Errorf("error %v, want one about the limit", err)
	}
	ws[0].Status = StatusPaused
	tab := table(t, ws...)
	if got := len(tab.Match(nil, &event.Event{Type: []byte("t"), Tenant: []byte("acme")}, nil)); got != event.MaxTargets {
		t.Errorf("%d matches, want %d", got, event.MaxTargets)
	}
}

func TestGet(t *testing.T) {
	a, b := hook("a", "*"), with(hook("b", "x"), func(w *Webhook) { w.Status = StatusDraft })
	tab := table(t, a, b)
	if tab.Get(a.ID) != a || tab.Get(b.ID) != b || tab.Get(event.WebhookID{}) != nil {
		t.Error("Get finds other webhooks than it should")
	}
	if !slices.Equal(tab.All(), []*Webhook{a, b}) {
		t.Error("All is not in the order given")
	}
}

// naive is what Match has to be equal to.
func naive(ws []*Webhook, e *event.Event) (out []event.WebhookID) {
	for _, w := range ws {
		fits := false
		for _, p := range w.Events {
			re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$")
			fits = fits || re.Match(e.Type)
		}
		if fits && w.Status == StatusActive && w.Tenant == string(e.Tenant) && (w.Program == "" || w.Program == string(e.Program)) {
			out = append(out, w.ID)
		}
	}
	return out
}

// TestMatchEqualsNaive makes random tables from an alphabet so small that prefixes, suffixes and stars overlap all the time.
func TestMatchEqualsNaive(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	word := func(alphabet string, most int) string {
		b := make([]byte, 1+r.IntN(most))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	matched := 0
	for round := range 80 {
		ws := make([]*Webhook, r.IntN(40))
		for i := range ws {
			ws[i] = with(hook(fmt.Sprint("w", i), word("ab.*", 7)), func(w *Webhook) {
				w.Tenant, w.Program = one("acme", "umbrella"), one("", "", "p", "q")
				w.Status = Status(one("active", "active", "active", "paused", "draft"))
				for r.IntN(2) == 0 {
					w.Events = append(w.Events, word("ab.*", 7))
				}
			})
		}
		tab := table(t, ws...)
		for range 30 {
			e := event.Event{Type: []byte(word("ab.", 7)), Tenant: []byte(one("acme", "umbrella", "x")), Program: []byte(one("", "p", "q", "r"))}
			got, want := tab.Match(nil, &e, nil), naive(ws, &e)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d round %d: type %s tenant %s program %s\ngot  %v\nwant %v", seed, round, e.Type, e.Tenant, e.Program, names(tab, got), names(tab, want))
			}
			matched += len(want)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matches: the test has lost its teeth", matched)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("order.*", "order.paid")
	f.Add("*a*b*", "xxaxxbxx")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if CheckPattern(pattern) != nil || !event.ValidType([]byte(s)) {
			return
		}
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		if got, want := glob(pattern).matches([]byte(s)), re.MatchString(s); got != want {
			t.Fatalf("glob %v, regexp %v", got, want)
		}
		tab := table(t, hook("a", pattern))
		if got := len(tab.Match(nil, &event.Event{Type: []byte(s), Tenant: []byte("acme")}, nil)) == 1; got != re.MatchString(s) {
			t.Fatalf("match %v, regexp %v", got, re.MatchString(s))
		}
	})
}
