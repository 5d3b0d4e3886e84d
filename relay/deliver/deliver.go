// Package deliver is the walk of a delivery, from the queue to the receiver's answer: settle (settle.go) is one function, read it first.
//
// The relay makes one Deliverer, tells it the webhooks (Update) and what the queue announces (Ready). Each webhook has a lane: its
// receiver's HTTP client, its limits and its circuit. Workers serve the lanes in turn, so a dead or slow receiver costs the others
// nothing: tenants take turns, and in a tenant its webhooks (schedule.go); a lane never has more attempts in flight than its own limit and a quarter of what is free, and a lane whose receiver does
// not answer is parked, which makes the queue keep nothing of it in memory.
//
// Goroutines: the workers, started on demand up to MaxInFlight; one timer per open circuit and per exhausted rate limit. Close waits for all of them.
// It may import event, history, webhooks, metrics, queue, payload, sign, transform; never ingress or admin.
package deliver

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/guard"
	"edgerelay/relay/history"
	"edgerelay/relay/metrics"
	"edgerelay/relay/queue"
	"edgerelay/relay/trace"
	"edgerelay/relay/webhooks"
	"edgerelay/transform"
)

// Options of a Deliverer. Queue, Metrics and Log are required.
type Options struct {
	Queue       queue.Queue
	Metrics     *metrics.Metrics
	Log         *slog.Logger
	UserAgent   string
	Networks    *guard.Networks // what may be reached; nil = no private, loopback and link-local networks
	MaxInFlight int             // attempts at the same time, all webhooks together

	// Disable is called once when a webhook is disabled, with a sentence that says why: its receiver has answered 410, or nothing but
	// failures for too long. Its lane is disabled already. nil = nobody is told.
	Disable func(w *webhooks.Webhook, reason string)

	// Failing is called when what Deliverer.FailingOf says of a webhook should be remembered over restarts. nil = it is not.
	Failing func(event.WebhookID)

	// Notice is told what a webhook's owners want to know: deliveries given up, webhooks disabled, circuits. It may be called under the
	// Deliverer's lock and on the path of an event, so it returns at once and calls nothing of the Deliverer. nil = nobody is told.
	Notice func(Notice)

	// Tracer makes a span of every attempt at an event that is sampled; nil = there are none.
	Tracer *trace.Tracer

	// History is told about every attempt; nil = nobody is.
	History *history.Recorder

	Now  func() time.Time
	Rand func() float64 // uniform in [0,1): jitter
}

// Target is a webhook with what only the sending side knows of it.
type Target struct {
	Webhook *webhooks.Webhook
	Steps   []Step // its transforms, in order
	// Disabled is why nothing is sent, although the webhook is active ("" = it is).
	Disabled string
	// Failing is what was known before a restart.
	Failing Failing
}

// Step is one transform of a webhook.
type Step struct {
	Pool    *transform.Pool
	OnError OnError
	Metrics *metrics.Transform
}

// OnError is what becomes of a delivery whose transform fails by itself (a trap, a limit), as configured.
type OnError string

// The values of on_error. Whatever it says, a failure that would happen again with the same event is not retried.
const (
	OnErrorRetry        OnError = "retry" // the default: by the schedule
	OnErrorDead         OnError = "dead"
	OnErrorDrop         OnError = "drop"
	OnErrorSendOriginal OnError = "send_original"
)

// Deliverer sends what the queue leases. Make one with New.
type Deliverer struct {
	opt Options

	mu       sync.Mutex // guards everything below, and the mutable part of every lane
	lanes    map[event.WebhookID]*lane
	networks *guard.Networks
	tokens   map[tokenOwner]*tokens
	lines    map[string]*line // of the tenants
	turns    fifo[*line]      // tenants of which something may be leased, in turn
	limits   Limits
	rate     bucket
	timer    *time.Timer // waits for a token of rate
	workers  int
	idle     []*worker // waiting for work; the one that waits longest first
	inFlight int
	stopping bool

	running  sync.WaitGroup
	throttle throttle
}

// New makes a Deliverer. It does nothing until Update and Ready are called.
func New(opt Options) *Deliverer {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Rand == nil {
		opt.Rand = rand.Float64
	}
	if opt.MaxInFlight <= 0 {
		opt.MaxInFlight = 1024
	}
	if opt.Networks == nil {
		opt.Networks = guard.NewNetworks(guard.Options{}, nil, nil)
	}
	return &Deliverer{opt: opt, networks: opt.Networks, lanes: map[event.WebhookID]*lane{}, lines: map[string]*line{}, tokens: map[tokenOwner]*tokens{}}
}

// Update replaces the webhooks. Attempts in flight finish as they began. Deliveries of a webhook that is not there any more are buried.
func (d *Deliverer) Update(targets []Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := make(map[event.WebhookID]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		seen[t.Webhook.ID] = true
		d.laneLocked(t.Webhook.ID).setTargetLocked(t)
	}
	for id, l := range d.lanes {
		if !seen[id] {
			l.setTargetLocked(nil)
		}
		l.has = true // what was held may go now
		d.offerLocked(l)
	}
	d.forgetTokensLocked()
}

// SetNetworks replaces what may be reached. The next Update makes new connections for the webhooks that it makes a difference to.
func (d *Deliverer) SetNetworks(n *guard.Networks) {
	d.mu.Lock()
	d.networks = n
	d.mu.Unlock()
}

// Ready is told by the queue that there is something to lease for w. A lease that says that there is more is the same news: the queue will
// not say it again, and another worker's older answer must not outdo it.
func (d *Deliverer) Ready(w event.WebhookID) {
	d.mu.Lock()
	l := d.laneLocked(w)
	l.has = true
	l.told++
	d.offerLocked(l)
	d.mu.Unlock()
}

func (d *Deliverer) laneLocked(w event.WebhookID) *lane {
	l := d.lanes[w]
	if l == nil {
		l = newLane(d, w)
		d.lanes[w] = l
	}
	return l
}

// Close stops leasing, waits for the attempts in flight until ctx ends, and then leaves them: their leases lapse, nothing is lost.
func (d *Deliverer) Close(ctx context.Context) error {
	d.mu.Lock()
	d.stopping = true
	for _, l := range d.lanes {
		l.stopLocked()
	}
	d.stopTimersLocked()
	d.dismissLocked()
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { d.running.Wait(); close(done) }()
	select {
	case <-done:
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, l := range d.lanes {
			l.closeClient()
		}
		return nil
	case <-ctx.Done():
		return errors.New("attempts were still in flight at the deadline; they will be made again")
	}
}

// LaneInfo describes a lane to people.
type LaneInfo struct {
	Webhook   event.WebhookID
	State     State
	Reason    string    // why it is not sending
	Until     time.Time // when it tries again
	InFlight  int
	Limit     int  // attempts at a time that its receiver seems to take
	Throttled bool // it waits because of its own rate limit
	// FailingSince is when the first of an unbroken row of failures was; zero = the last attempt was a success.
	FailingSince time.Time
	Delivered    int64
	Failed       int64         // attempts
	Dead         int64         // deliveries given up
	Spent        time.Duration // in attempts, delivered and failed
	Last         time.Time     // when something was delivered; zero = never
}

// Lanes returns a snapshot of every lane that has a webhook.
func (d *Deliverer) Lanes() []LaneInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	infos := make([]LaneInfo, 0, len(d.lanes))
	for _, l := range d.lanes {
		if l.target != nil {
			infos = append(infos, l.infoLocked())
		}
	}
	return infos
}
