package webhooks

import (
	"fmt"
	"strings"
	"sync/atomic"

	"edgerelay/relay/event"
	"edgerelay/relay/payload"
)

// Table is the set of all webhooks. It never changes, apart from its counts of filter errors, and may be used from any goroutine.
type Table struct {
	all     []*Webhook
	slots   []slot // all, with what the table notes about each
	byID    map[event.WebhookID]int32
	tenants map[string]*tenant
	own     map[string]*tenant // for the relay's own events, see OperationalPrefix

	filterErrors atomic.Int64
}

type slot struct {
	*Webhook
	filterError atomic.Pointer[error] // the last one
}

// tenant holds the index of one tenant's active webhooks.
type tenant struct {
	count    int
	global   *scope
	programs map[string]*scope
}

// NewTable builds a table of ws, whose order is the order of Match. An error names the webhook.
func NewTable(ws []*Webhook) (*Table, error) {
	t := &Table{all: ws, slots: make([]slot, len(ws)), byID: make(map[event.WebhookID]int32, len(ws)), tenants: map[string]*tenant{}, own: map[string]*tenant{}}
	for i, w := range ws {
		t.slots[i].Webhook = w
		if other, ok := t.byID[w.ID]; ok {
			return nil, fmt.Errorf("add webhook %q of tenant %q: its id %v is also that of %q", w.Name, w.Tenant, w.ID, ws[other].Name)
		}
		t.byID[w.ID] = int32(i)
		if err := t.add(w, int32(i)); err != nil {
			return nil, fmt.Errorf("add webhook %q of tenant %q: %w", w.Name, w.Tenant, err)
		}
	}
	return t, nil
}

func (t *Table) add(w *Webhook, at int32) error {
	if w.Tenant == "" {
		return fmt.Errorf("it belongs to no tenant")
	}
	if len(w.Events) == 0 {
		return fmt.Errorf("it has no event patterns; all events are %q", "*")
	}
	for _, p := range w.Events {
		if err := CheckPattern(p); err != nil {
			return err
		}
	}
	if w.Status != StatusActive {
		return nil
	}
	var usual, own *scope
	for _, p := range w.Events {
		if strings.HasPrefix(p, OperationalPrefix) {
			if own == nil {
				own = scopeOf(t.own, w)
			}
			own.add(p, at)
			continue
		}
		if usual == nil {
			usual = scopeOf(t.tenants, w)
		}
		usual.add(p, at)
	}
	for _, all := range []map[string]*tenant{t.tenants, t.own} {
		if c := all[w.Tenant]; c != nil && c.count > event.MaxTargets {
			return fmt.Errorf("a tenant can have at most %d active webhooks", event.MaxTargets)
		}
	}
	return nil
}

// scopeOf returns the scope among all to which w's patterns belong, and counts w.
func scopeOf(all map[string]*tenant, w *Webhook) *scope {
	own := all[w.Tenant]
	if own == nil {
		own = &tenant{global: newScope(), programs: map[string]*scope{}}
		all[w.Tenant] = own
	}
	own.count++
	if w.Program == "" {
		return own.global
	}
	s := own.programs[w.Program]
	if s == nil {
		s = newScope()
		own.programs[w.Program] = s
	}
	return s
}

// Get returns the webhook, whatever its status, or nil.
func (t *Table) Get(id event.WebhookID) *Webhook {
	if i, ok := t.byID[id]; ok {
		return t.all[i]
	}
	return nil
}

// All returns every webhook in the order of the configuration. The slice is the table's own.
func (t *Table) All() []*Webhook { return t.all }

// FilterErrors counts the filters that failed at run time; each was taken for "no match".
func (t *Table) FilterErrors() int64 { return t.filterErrors.Load() }

// FilterError returns the last failure of a webhook's filter, or nil.
func (t *Table) FilterError(id event.WebhookID) error {
	if i, ok := t.byID[id]; ok {
		if err := t.slots[i].filterError.Load(); err != nil {
			return *err
		}
	}
	return nil
}

// usualLists is how many index entries a match finds room for without allocating: more need an event type that is covered by
// stars of that many different lengths.
const usualLists = 12

// Match appends the active webhooks that e goes to: tenant, program, type and filter fit. Each appears once, in the order of the
// configuration. in is the caller's scratch for filters, filled from e when the first one is asked; nil will do. Without filters
// nothing is allocated.
func (t *Table) Match(dst []event.WebhookID, e *event.Event, in *payload.Input) []event.WebhookID {
	own := t.tenants[string(e.Tenant)]
	if len(e.Type) > len(OperationalPrefix) && string(e.Type[:len(OperationalPrefix)]) == OperationalPrefix {
		own = t.own[string(e.Tenant)]
	}
	if own == nil {
		return dst
	}
	var room [usualLists][]entry
	lists := own.global.find(room[:0], e.Type)
	if len(e.Program) > 0 {
		if s := own.programs[string(e.Program)]; s != nil {
			lists = s.find(lists, e.Type)
		}
	}
	filled := false
	for decided := int32(-1); ; {
		next := pop(lists)
		if next == nil {
			return dst
		}
		if next.slot == decided || next.check != "" && !next.check.matches(e.Type) {
			continue
		}
		decided = next.slot // another pattern of the same webhook may follow
		w := &t.slots[next.slot]
		if w.Filter != nil {
			if !filled {
				in, filled = fill(in, e), true
			}
			if !t.passes(w, in) {
				continue
			}
		}
		dst = append(dst, w.ID)
	}
}

// pop takes the entry that comes first in the configuration off its list. The lists are few, so looking at each is the fastest way.
func pop(lists [][]entry) *entry {
	first := -1
	for i, l := range lists {
		if len(l) > 0 && (first < 0 || l[0].slot < lists[first][0].slot) {
			first = i
		}
	}
	if first < 0 {
		return nil
	}
	e := &lists[first][0]
	lists[first] = lists[first][1:]
	return e
}

func fill(in *payload.Input, e *event.Event) *payload.Input {
	if in == nil {
		in = new(payload.Input)
	}
	in.Reset()
	in.ID, in.Type, in.Time = e.ID, e.Type, e.Time
	in.Tenant, in.Program = e.Tenant, e.Program
	in.Data, in.Envelope = e.Data, e.Envelope
	return in
}

// passes asks the filter. One that fails must not hold up the other webhooks, so it counts as "no" and is remembered for the operator.
func (t *Table) passes(w *slot, in *payload.Input) bool {
	ok, err := w.Filter.Match(in)
	if err != nil {
		t.filterErrors.Add(1)
		w.filterError.Store(&err)
	}
	return ok && err == nil
}
