package cli

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"edgerelay/bench"
)

// ledger is the demo's own book: what was sent, where it must arrive, and what did. It hears of every request from the receiver and does not
// ask the relay. Every method may be called from any goroutine.
type ledger struct {
	mu       sync.Mutex // guards everything below
	open     map[string]*openEvent
	missing  int64 // deliveries of open events that have not arrived
	watched  string
	arrivals chan bench.Delivery // requests for the watched event; has room for all that a story makes
	totals   ledgerTotals
	accept   *hdrhistogram.Histogram // microseconds from sending an event to its 202
	arrive   *hdrhistogram.Histogram // microseconds from sending an event to its arrival, deliveries without a failed attempt only
}

// openEvent is an event with deliveries that have not arrived, or whose 202 has not come yet.
type openEvent struct {
	sent     time.Time
	missing  hookSet
	failed   hookSet // hooks that have answered with a failure
	accepted bool
}

// ledgerTotals counts; they are what the demo reports.
type ledgerTotals struct {
	accepted   int64
	refused    int64 // events that got no 202
	delivered  int64
	retries    int64 // requests for deliveries that had failed before
	verified   int64 // requests with a good signature
	bad        int64
	duplicates int64 // deliveries that had arrived before
	foreign    int64 // deliveries of events that somebody else has sent
}

func newLedger() *ledger {
	const most = int64(time.Hour / time.Microsecond)
	return &ledger{open: map[string]*openEvent{}, accept: hdrhistogram.New(1, most, 2), arrive: hdrhistogram.New(1, most, 2)}
}

// sending enters an event before it is sent: its deliveries may arrive before its 202.
func (l *ledger) sending(id string, to hookSet, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[id] = &openEvent{sent: at, missing: to}
	l.missing += int64(to.count())
}

// watch makes the requests for one event appear on the channel that it returns.
func (l *ledger) watch(id string) <-chan bench.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched, l.arrivals = id, make(chan bench.Delivery, 32)
	return l.arrivals
}

// sent enters the answer to an event. An event without a 202 is not the relay's to deliver.
func (l *ledger) sent(id string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.open[id]
	if err != nil {
		l.totals.refused++
		l.missing -= int64(e.missing.count())
		delete(l.open, id)
		return
	}
	l.totals.accepted++
	l.accept.RecordValue(took.Microseconds()) // a request is cut off long before the histogram's end
	e.accepted = true
	l.closeLocked(id, e)
}

// received enters one request of the receiver.
func (l *ledger) received(d bench.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.ID == l.watched && l.arrivals != nil {
		select {
		case l.arrivals <- d:
		default: // nobody reads them any more
		}
	}
	if d.BadSign != nil {
		l.totals.bad++
		return
	}
	l.totals.verified++
	hook := hookBit(d.Hook)
	e := l.open[d.ID]
	switch {
	case d.Repeated:
		l.totals.duplicates++
		return
	case e == nil || e.missing&hook == 0:
		l.totals.foreign++
		return
	}
	retried := e.failed&hook != 0
	if retried {
		l.totals.retries++
	}
	if d.Status < 200 || d.Status > 299 {
		e.failed |= hook
		return
	}
	l.totals.delivered++
	if !retried {
		l.arrive.RecordValue(d.At.Sub(e.sent).Microseconds())
	}
	e.missing &^= hook
	l.missing--
	l.closeLocked(d.ID, e)
}

// closeLocked forgets an event of which nothing is missing, so that a long demo needs no more memory than a short one.
func (l *ledger) closeLocked(id string, e *openEvent) {
	if e.accepted && e.missing == 0 {
		delete(l.open, id)
	}
}

// complete says whether everything that was accepted has arrived.
func (l *ledger) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing == 0
}

// demoResult is what the demo found out, and what --json prints.
type demoResult struct {
	Seconds       float64     `json:"seconds"`
	Accepted      int64       `json:"events_accepted"`
	Refused       int64       `json:"events_refused"`
	Deliveries    int64       `json:"deliveries"`
	Retries       int64       `json:"retries"`
	Verified      int64       `json:"signatures_verified"`
	BadSignatures int64       `json:"signatures_bad"`
	Lost          int64       `json:"lost"` // deliveries of accepted events that have not arrived
	Duplicates    int64       `json:"duplicates"`
	Foreign       int64       `json:"deliveries_of_other_events"`
	Accept        percentiles `json:"accept_ms"`
	EndToEnd      percentiles `json:"end_to_end_ms"` // first attempts
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func (l *ledger) result(took time.Duration) demoResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.totals
	return demoResult{Seconds: took.Seconds(), Accepted: t.accepted, Refused: t.refused, Deliveries: t.delivered, Retries: t.retries, Verified: t.verified,
		BadSignatures: t.bad, Lost: l.missing, Duplicates: t.duplicates, Foreign: t.foreign, Accept: percentilesOf(l.accept), EndToEnd: percentilesOf(l.arrive)}
}

func percentilesOf(h *hdrhistogram.Histogram) percentiles {
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return percentiles{P50: at(50), P99: at(99)}
}
