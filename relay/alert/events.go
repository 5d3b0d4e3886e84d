package alert

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edgerelay/relay/event"
)

// The types of the relay's own events.
const (
	TypePrefix      = "edgerelay."
	TypeDead        = "edgerelay.delivery.dead"
	TypeDisabled    = "edgerelay.webhook.disabled"
	TypeFailing     = "edgerelay.webhook.failing"
	TypeRecovered   = "edgerelay.webhook.recovered"
	TypeQueueHigh   = "edgerelay.queue.high"
	TypeQueueNormal = "edgerelay.queue.normal"
)

// OwnEvent is an event of the relay itself.
type OwnEvent struct {
	Tenant, Program, Type string
	Data                  []byte // JSON
	At                    time.Time
}

// ReporterOptions are what a Reporter needs. All are required.
type ReporterOptions struct {
	// Listeners returns the tenants of which a webhook is subscribed to events of this type; tenant narrows it to one ("" = all). It is asked
	// before anything is made, so that nothing is made that nobody wants. It may be called under the sending side's lock.
	Listeners func(tenant, typ string) []string
	// Listens says whether a webhook is subscribed to events of the relay itself: nothing is made of its own troubles, or its failures could
	// feed themselves.
	Listens func(event.WebhookID) bool
	// Append stores one as any other event.
	Append   func(ctx context.Context, e OwnEvent) error
	Counters Counters
	Log      *slog.Logger
}

// Reporter makes events of news.
type Reporter struct {
	opt     ReporterOptions
	inbox   chan Notice
	omitted atomic.Int64 // news without room in inbox, since the last event
	stop    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	failed  bool // of the loop: the last event could not be stored
}

// OpenReporter starts one.
func OpenReporter(o ReporterOptions) *Reporter {
	r := &Reporter{opt: o, inbox: make(chan Notice, inboxSize), stop: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.running.Add(1)
	go r.loop()
	return r
}

// Notice takes note of n. It never waits. When more goes wrong than can be stored, some is left out, and the next event says how much.
func (r *Reporter) Notice(n Notice) {
	if typeOf(n.Kind) == "" || strings.HasPrefix(n.Type, TypePrefix) {
		return // a delivery of such an event: no events about events
	}
	select {
	case r.inbox <- n:
	default:
		r.omitted.Add(1)
		r.opt.Counters.Event("omitted")
	}
}

// Close stores what is waiting, until ctx ends.
func (r *Reporter) Close(ctx context.Context) error {
	close(r.stop)
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	r.running.Wait()
	r.cancel()
	return nil
}

func (r *Reporter) loop() {
	defer r.running.Done()
	for {
		select {
		case n := <-r.inbox:
			r.report(&n)
		case <-r.stop:
			for {
				select {
				case n := <-r.inbox:
					r.report(&n)
				default:
					return
				}
			}
		}
	}
}

func typeOf(k Kind) string {
	switch k {
	case Dead:
		return TypeDead
	case Disabled:
		return TypeDisabled
	case Failing:
		return TypeFailing
	case Recovered:
		return TypeRecovered
	case QueueHigh:
		return TypeQueueHigh
	case QueueNormal:
		return TypeQueueNormal
	}
	return ""
}

// report makes one event per tenant that wants it.
func (r *Reporter) report(n *Notice) {
	typ := typeOf(n.Kind)
	if n.Kind != Dead && n.Tenant != "" && r.opt.Listens(n.ID) {
		return
	}
	var data []byte
	for _, tenant := range r.opt.Listeners(n.Tenant, typ) {
		if data == nil {
			data = dataOf(n, r.omitted.Swap(0))
		}
		err := r.opt.Append(r.ctx, OwnEvent{Tenant: tenant, Program: n.Program, Type: typ, Data: data, At: n.At})
		switch {
		case err == nil:
			r.opt.Counters.Event("made")
			r.failed = false
		case errors.Is(err, context.Canceled):
			return
		default:
			r.opt.Counters.Event("failed")
			if !r.failed {
				r.opt.Log.Warn("an event of the relay itself cannot be stored; nothing is said of the next ones", "type", typ, "error", err)
			}
			r.failed = true
		}
	}
}

type dataWebhook struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type dataEvent struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// eventData is the member data of every such event.
type eventData struct {
	Webhook    *dataWebhook `json:"webhook,omitempty"`
	Delivery   string       `json:"delivery,omitempty"`
	Event      *dataEvent   `json:"event,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	HTTPStatus int          `json:"http_status,omitempty"`
	Detail     string       `json:"detail,omitempty"`
	Attempts   int          `json:"attempts,omitempty"`
	QueueBytes int64        `json:"queue_bytes,omitempty"`
	MaxBytes   int64        `json:"max_bytes,omitempty"`
	DiskFree   int64        `json:"disk_free_bytes,omitempty"`
	Omitted    int64        `json:"omitted,omitempty"` // news before this that there was no room for
}

func dataOf(n *Notice, omitted int64) []byte {
	d := eventData{Delivery: n.Delivery, Reason: n.Reason, HTTPStatus: n.Status, Detail: n.Detail, Attempts: n.Attempts,
		QueueBytes: n.Bytes, MaxBytes: n.MaxBytes, DiskFree: n.DiskFree, Omitted: omitted}
	if n.ID != (event.WebhookID{}) {
		d.Webhook = &dataWebhook{n.ID.String(), n.Name}
	}
	if n.Event != "" {
		d.Event = &dataEvent{n.Event, n.Type}
	}
	text, err := json.Marshal(d)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return text
}
