package badgerq

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// model is what must be true of the queue whatever is done to it. It does one thing at a time, but the engine's own goroutines run.
type model struct {
	*rig
	root   string // of the directories
	dirs   int
	events int
	items  []*modelItem // in the order of their appends
	fresh  map[event.WebhookID]int
	held   []*modelHeld

	pendingSettle []*modelItem // settled since the last barrier
}

// modelItem is one delivery.
type modelItem struct {
	index    int
	id       string
	w        event.WebhookID
	state    itemState
	due      time.Time
	attempts int
	history  string
	unsure   bool // settled, or set aside, but perhaps not durably: after a crash it may come back as what it was
}

type modelHeld struct {
	d  *queue.Delivery
	it *modelItem
}

type itemState int

const (
	isOpen itemState = iota
	isLeased
	isWaiting
	isDead
	isDone
)

const modelHooks = 4

// TestModel does random things, among them restarts and crashes, and compares with the model. More: -rapid.checks=1000.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		flag.Set("rapid.checks", "12")
		defer flag.Set("rapid.checks", f.DefValue)
	}
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatalf("%v", err)
		}
		defer os.RemoveAll(root)
		m := &model{root: root, fresh: map[event.WebhookID]int{}}
		sizes := func(*Options) {}
		if rapid.Bool().Draw(rt, "tiny") {
			sizes = tiny
		}
		m.rig = newRig(rt, m.nextDir(), sizes)
		m.hint = m.missing
		m.start()
		defer func() { m.q.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"append2": m.append,
			"lease":   m.lease,
			"lease2":  m.lease,
			"settle":  m.settle,
			"settle2": m.settle,
			"pass":    func(rt *rapid.T) { m.pass(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond) },
			"park":    func(rt *rapid.T) { m.q.Park(m.hook(rt)) },
			"redrive": m.redrive,
			"barrier": func(*rapid.T) { m.sure() },
			"reopen":  func(*rapid.T) { m.sure(); m.reopen(); m.lapse(false) },
			"crash":   func(*rapid.T) { m.crash(m.nextDir()); m.lapse(true) },
		})
		m.finish()
	})
}

// note keeps what happened to a delivery, for the message of a failed check.
func (it *modelItem) note(format string, args ...any) {
	it.history += fmt.Sprintf(format, args...) + "\n"
}

// missing lists what the model thinks is open of a webhook.
func (m *model) missing(w event.WebhookID) (s string) {
	for _, it := range m.items {
		if it.w == w && it.state != isDone {
			s += fmt.Sprintf("%s in state %d, unsure %v:\n%s", it.id, it.state, it.unsure, it.history)
		}
	}
	return s
}

func (m *model) nextDir() string {
	m.dirs++
	return fmt.Sprintf("%s/%d", m.root, m.dirs)
}

func (m *model) hook(rt *rapid.T) event.WebhookID {
	return hook(rapid.IntRange(0, modelHooks-1).Draw(rt, "webhook"))
}

func (m *model) append(rt *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(rt, "events") {
		var targets []event.WebhookID
		mask := rapid.IntRange(0, 1<<modelHooks-1).Draw(rt, "targets")
		m.events++
		id := fmt.Sprintf("e%05d", m.events)
		for h := range modelHooks {
			if mask&(1<<h) != 0 {
				targets = append(targets, hook(h))
			}
		}
		m.rig.append(id, rapid.IntRange(0, 3000).Draw(rt, "size"), targets...)
		for _, w := range targets {
			m.items = append(m.items, &modelItem{index: len(m.items), id: id, w: w})
		}
	}
}

// leasable says whether the engine must have something for w.
func (m *model) leasable(w event.WebhookID) bool {
	for _, it := range m.items {
		if it.w == w && !it.unsure && (it.state == isOpen || it.state == isWaiting && !it.due.After(m.now())) {
			return true
		}
	}
	return false
}

func (m *model) lease(rt *rapid.T) {
	w := m.hook(rt)
	if m.leasable(w) {
		m.receive(m.take(w))
	}
}

// receive checks a leased delivery against the model.
func (m *model) receive(d *queue.Delivery) *modelHeld {
	m.t.Helper()
	for _, it := range m.items {
		if it.w != d.Webhook || it.id != string(d.Event.ID) {
			continue
		}
		switch {
		case it.unsure: // it came back after a crash, as what it was at some time before
		case it.state == isOpen:
			if d.First != 0 || d.Attempts != 0 {
				m.t.Fatalf("%s is fresh, but was leased with %d attempts", it.id, d.Attempts)
			}
			if it.index < m.fresh[it.w] {
				m.t.Fatalf("%s was leased for the first time after delivery %d", it.id, m.fresh[it.w])
			}
			m.fresh[it.w] = it.index
		case it.state == isWaiting:
			if it.due.After(m.now()) || d.Attempts != it.attempts {
				m.t.Fatalf("%s is due at %v with %d attempts, but was leased at %v with %d, from %+v\n%s", it.id, it.due, it.attempts, m.now(), d.Attempts,
					d.Handle, it.history)
			}
		default:
			m.t.Fatalf("%s for %s was leased in state %d, from %+v\n%s", it.id, it.w, it.state, d.Handle, it.history)
		}
		it.note("leased from %+v, due %d, attempts %d, unsure %v", d.Handle.Kind, d.Handle.Due, d.Attempts, it.unsure)
		it.state, it.attempts, it.unsure = isLeased, d.Attempts, false
		h := &modelHeld{d, it}
		m.held = append(m.held, h)
		return h
	}
	m.t.Fatalf("%s for %s was leased, but never appended", d.Event.ID, d.Webhook)
	return nil
}

func (m *model) settle(rt *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.held)-1).Draw(rt, "which")
	h := m.held[i]
	m.held = append(m.held[:i], m.held[i+1:]...)
	h.it.unsure = false
	switch rapid.IntRange(0, 3).Draw(rt, "how") {
	case 0:
		h.it.due = m.now().Add(time.Duration(rapid.IntRange(-1000, 5000).Draw(rt, "due")) * time.Millisecond)
		h.it.state, h.it.attempts = isWaiting, h.it.attempts+1
		m.q.Retry(h.d, h.it.due, failedAt(m.now()))
	case 1:
		h.it.state, h.it.attempts = isDead, h.it.attempts+1
		m.q.Bury(h.d, failedAt(m.now()))
	default:
		h.it.state = isDone
		m.q.Ack(h.d)
	}
	m.undurable(h.it)
}

// undurable notes that only the process knows the state of it; what the disk knows is an earlier one.
func (m *model) undurable(it *modelItem) {
	it.note("settled, state %d, due %d, attempts %d", it.state, it.due.UnixMilli(), it.attempts)
	m.pendingSettle = append(m.pendingSettle, it)
}

func (m *model) redrive(rt *rapid.T) {
	var found []*modelItem
	for _, it := range m.items {
		if !it.unsure && (it.state == isDead || it.state == isWaiting) {
			found = append(found, it)
		}
	}
	if len(found) == 0 {
		return
	}
	it := found[rapid.IntRange(0, len(found)-1).Draw(rt, "which")]
	m.sure()
	if err := m.q.Redrive(context.Background(), event.DeliveryIDOf([]byte("default"), []byte(it.id), it.w)); err != nil {
		m.t.Fatalf("Redrive(%s): %v", it.id, err)
	}
	it.state, it.due, it.attempts = isWaiting, m.now(), 0
	it.note("redriven at %d", it.due.UnixMilli())
}

// sure makes everything durable, also what is settled of groups that are still in memory.
func (m *model) sure() {
	m.q.mu.Lock()
	m.q.raiseCursorsLocked()
	m.q.mu.Unlock()
	m.barrier()
	for _, it := range m.pendingSettle {
		it.note("sure")
	}
	m.pendingSettle = m.pendingSettle[:0]
}

// lapse is what a restart does: leases lapse, and after a crash what was not durable may be as it was before.
func (m *model) lapse(crashed bool) {
	m.fresh = map[event.WebhookID]int{}
	for _, it := range m.items {
		it.note("restart, crashed %v", crashed)
	}
	for _, h := range m.held {
		h.it.unsure = true // it comes back as fresh or as a retry, which the model does not remember
		h.it.state = isOpen
	}
	m.held = nil
	if crashed {
		for _, it := range m.pendingSettle {
			it.unsure = true
		}
	}
	m.pendingSettle = m.pendingSettle[:0]
}

// finish delivers everything, and then there must be nothing.
func (m *model) finish() {
	m.sure()
	for _, h := range m.held {
		m.q.Ack(h.d)
		h.it.state = isDone
	}
	m.held = nil
	m.pass(time.Hour)
	lapsed := map[*modelItem]bool{}
	for _, it := range m.items {
		lapsed[it] = it.unsure && it.state == isOpen // was leased when the process died: it must come back
	}
	for {
		progress := false
		for h := range modelHooks {
			w := hook(h)
			for m.leasable(w) || m.anyLapsed(w, lapsed) {
				got := m.receive(m.take(w))
				delete(lapsed, got.it)
				got.it.state = isDone
				m.q.Ack(got.d)
				m.held = nil
				progress = true
			}
		}
		m.sure()
		for _, it := range m.items {
			if it.state == isDead || it.unsure && it.state != isOpen {
				err := m.q.Redrive(context.Background(), event.DeliveryIDOf([]byte("default"), []byte(it.id), it.w))
				switch {
				case err == nil:
					it.state, it.unsure, it.attempts, it.due = isWaiting, false, 0, m.now()
					progress = true
				case !it.unsure:
					m.t.Fatalf("Redrive(%s): %v", it.id, err)
				}
			}
		}
		if !progress {
			break
		}
	}
	m.takeUnsure()
	m.barrier()
	if left, _, err := m.q.List(queue.Filter{}, "", 100); err != nil || len(left) > 0 {
		for _, info := range left {
			for _, it := range m.items {
				if it.id == info.EventID && it.w == info.Webhook {
					m.t.Errorf("%s is left in the queue as %s; the model has it in state %d, unsure %v", it.id, info.State, it.state, it.unsure)
				}
			}
		}
	}
	m.empty()
}

func (m *model) anyLapsed(w event.WebhookID, lapsed map[*modelItem]bool) bool {
	for it, is := range lapsed {
		if is && it.w == w {
			return true
		}
	}
	return false
}

// takeUnsure takes what may have come back. To know when everything has come, a last event follows it.
func (m *model) takeUnsure() {
	for h := range modelHooks {
		w := hook(h)
		id := fmt.Sprintf("last-%d", h)
		m.rig.append(id, 1, w)
		for {
			d := m.take(w)
			if string(d.Event.ID) == id {
				m.q.Ack(d)
				break
			}
			m.q.Ack(m.receive(d).d)
			m.held = nil
		}
	}
}
