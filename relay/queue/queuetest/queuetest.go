// Package queuetest is the conformance suite of package queue: what every engine must do, whatever it stores things in.
//
// An engine's tests call Run. The suite knows nothing of an engine but how to open one in a directory; it closes and opens the same
// directory again to restart it. Time is passed in, and nothing is polled: whoever waits for a delivery waits for Ready.
// It may import only event and queue of ours, and every goroutine that it starts ends with the test that started it.
package queuetest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// Open opens the engine in dir. The engine calls ready when a webhook has something to lease, and asks now for the time.
type Open func(t *testing.T, dir string, ready func(event.WebhookID), now func() time.Time) queue.Queue

// Run runs the whole suite. It takes a few seconds, and well under a minute with the race detector.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"AppendLeaseAck", testAppendLeaseAck},
		{"EventIsKeptWhole", testEventIsKeptWhole},
		{"LeaseIsExclusive", testLeaseIsExclusive},
		{"FirstAttemptsAreInOrder", testOrder},
		{"DurableBeforeAppendReturns", testDurable},
		{"FanOut", testFanOut},
		{"EventWithoutTargets", testNoTargets},
		{"TooLarge", testTooLarge},
		{"RetryIsNotEarly", testRetry},
		{"AttemptsAndFirstAreKept", testAttempts},
		{"RetriesAndFreshEventsTakeTurns", testTurns},
		{"BuryListGetRedrive", testDead},
		{"RedriveOfWaiting", testRedriveWaiting},
		{"Discard", testDiscard},
		{"ListPagesAndFilters", testList},
		{"Dedup", testDedup},
		{"DedupConcurrent", testDedupConcurrent},
		{"DedupSurvivesReopening", testDedupReopen},
		{"ParkAndResume", testPark},
		{"ParkKeepsRetries", testParkRetry},
		{"PutAndScan", testPutScan},
		{"ReopeningKeepsWhatIsUnsettled", testReopen},
		{"LeasesLapse", testLapse},
		{"SettlingTwicePanics", testTwice},
		{"Closed", testClosed},
		{"CancelledAppend", testCancelled},
		{"ReadyIsNeverMissed", testReady},
		{"OrderBlocksOnlyItsKey", testOrderBlocksKey},
		{"OrderOfAll", testOrderAll},
		{"OrderIsDropped", testOrderIsDropped},
		{"OrderHammer", testOrderHammer},
		{"Hammer", testHammer},
		{"CloseWhileBusy", testCloseWhileBusy},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// patience is how long a test waits for what must come. It is only ever used up by a failing test.
const patience = 20 * time.Second

// bed is an engine under test with its clock and its announcements.
type bed struct {
	t    *testing.T
	open Open
	dir  string
	q    queue.Queue

	markers atomic.Int64 // numbers the events of none

	mu    sync.Mutex
	time  time.Time
	ready map[event.WebhookID]chan struct{}
}

func newBed(t *testing.T, open Open) *bed {
	b := &bed{t: t, open: open, dir: t.TempDir() + "/queue", time: time.UnixMilli(1_700_000_000_000), ready: map[event.WebhookID]chan struct{}{}}
	b.q = open(t, b.dir, b.announce, b.now)
	t.Cleanup(func() { b.q.Close() })
	return b
}

func (b *bed) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.time.IsZero() {
		return time.Now()
	}
	return b.time
}

func (b *bed) useRealTime() {
	b.mu.Lock()
	b.time = time.Time{}
	b.mu.Unlock()
}

// pass lets time go by.
func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	b.time = b.time.Add(d)
	b.mu.Unlock()
}

func (b *bed) signal(w event.WebhookID) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.ready[w]
	if c == nil {
		c = make(chan struct{}, 1)
		b.ready[w] = c
	}
	return c
}

func (b *bed) announce(w event.WebhookID) {
	select {
	case b.signal(w) <- struct{}{}:
	default:
	}
}

// reopen closes the engine and opens the same directory.
func (b *bed) reopen() {
	b.t.Helper()
	if err := b.q.Close(); err != nil {
		b.t.Fatalf("Close: %v", err)
	}
	b.q = b.open(b.t, b.dir, b.announce, b.now)
}

// take leases w's next delivery. Between two tries it waits for Ready.
func (b *bed) take(w event.WebhookID) *queue.Delivery {
	b.t.Helper()
	var d queue.Delivery
	timeout := time.After(patience)
	for !b.q.Lease(w, &d) {
		select {
		case <-b.signal(w):
		case <-timeout:
			b.t.Fatalf("no delivery for %s, and nothing was announced; stats %+v", w, b.q.Stats())
		}
	}
	return &d
}

// takeID is take and a check of which event it is.
func (b *bed) takeID(w event.WebhookID, id string) *queue.Delivery {
	b.t.Helper()
	d := b.take(w)
	if string(d.Event.ID) != id {
		b.t.Fatalf("leased %s, want %s", d.Event.ID, id)
	}
	return d
}

// none checks that w has nothing to lease now. An event for another webhook goes through the engine first, and one for w, so that what
// was on its way has arrived.
func (b *bed) none(w event.WebhookID) {
	b.t.Helper()
	id := fmt.Sprintf("none-%d", b.markers.Add(1))
	b.append(id, w)
	b.q.Ack(b.takeID(w, id))
	var d queue.Delivery
	if b.q.Lease(w, &d) {
		b.t.Fatalf("leased %s, want nothing", d.Event.ID)
	}
}

func (b *bed) append(id string, targets ...event.WebhookID) {
	b.t.Helper()
	e := build(id, "default", 100)
	if r, err := b.q.Append(b.t.Context(), &e, targets, nil); err != nil || r.Replayed || string(r.ID) != id {
		b.t.Fatalf("Append(%s) = %+v, %v", id, r, err)
	}
}

// drain acknowledges everything that w gets until all of want have come, in any order, each once.
func (b *bed) drain(w event.WebhookID, want ...string) {
	b.t.Helper()
	open := map[string]bool{}
	for _, id := range want {
		open[id] = true
	}
	for len(open) > 0 {
		d := b.take(w)
		if !open[string(d.Event.ID)] {
			b.t.Fatalf("leased %s, which is not one of the %d that are missing", d.Event.ID, len(open))
		}
		delete(open, string(d.Event.ID))
		b.q.Ack(d)
	}
}

// empty checks, after a restart, that nothing at all is left.
func (b *bed) empty() {
	b.t.Helper()
	b.reopen()
	if s := b.q.Stats(); s.Pending != 0 || s.Retrying != 0 || s.Dead != 0 || s.Bytes != 0 || s.LostEvents != 0 || s.Damaged != 0 {
		b.t.Fatalf("the queue should be empty: %+v", s)
	}
	if l, _, err := b.q.List(queue.Filter{}, "", 10); err != nil || len(l) != 0 {
		b.t.Fatalf("List = %+v, %v", l, err)
	}
}

// build makes an event with a body of about size bytes.
func build(id, tenant string, size int) event.Event {
	data := `{"id":"` + id + `","pad":"` + strings.Repeat("x", size) + `"}`
	f := event.Fields{Type: []byte("order.paid"), Data: []byte(data)}
	e, _ := event.BuildEvent(nil, &f, []byte(id), time.UnixMilli(1_700_000_000_000))
	e.Tenant, e.Program, e.Trace = []byte(tenant), []byte("summer"), []byte("00-trace")
	return e
}

func same(a, b *event.Event) error {
	for _, f := range []struct {
		name string
		a, b []byte
	}{{"ID", a.ID, b.ID}, {"Type", a.Type, b.Type}, {"Tenant", a.Tenant, b.Tenant}, {"Program", a.Program, b.Program}, {"Trace", a.Trace, b.Trace},
		{"Time", a.Time, b.Time}, {"Data", a.Data, b.Data}, {"Envelope", a.Envelope, b.Envelope}} {
		if !bytes.Equal(f.a, f.b) {
			return fmt.Errorf("field %s is %.80q, want %.80q", f.name, f.b, f.a)
		}
	}
	if a.Accepted != b.Accepted {
		return fmt.Errorf("field Accepted is %d, want %d", b.Accepted, a.Accepted)
	}
	return nil
}

func webhook(name string) event.WebhookID { return event.NamedWebhookID("default", name) }

func failure(at time.Time, counted bool) queue.Failure {
	return queue.Failure{Reason: queue.ReasonStatus, Status: 503, Detail: "unavailable", At: at.UnixMilli(), Counted: counted}
}

func ids(prefix string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s-%05d", prefix, i)
	}
	return s
}
