package deliver

import (
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// NoticeKind says what a Notice is about.
type NoticeKind uint8

// The kinds. After Opened comes Recovered or Reset; an open circuit that tries and opens again is not news.
const (
	NoticeDead      NoticeKind = iota // a delivery was given up
	NoticeDisabled                    // nothing is sent any more, until somebody enables the webhook again
	NoticeOpened                      // the receiver does not answer as it should: it is left alone for a while
	NoticeRecovered                   // it does again
	NoticeReset                       // the webhook was changed or removed, so what was known of its receiver does not count any more
)

// Notice is something about a webhook that its owners want to know. It owns its memory.
type Notice struct {
	Kind        NoticeKind
	At          time.Time
	WebhookID   event.WebhookID
	WebhookName string // empty when the webhook has gone
	Tenant      string
	Program     string
	Reason      string // the class of failure, as in the metrics, or a sentence
	Status      int    // the receiver's answer, 0 = none
	Detail      string // one line for people, no secrets

	// Of a dead delivery:
	Delivery event.DeliveryID
	EventID  string
	Type     string
	Attempts int
}

// noticeDead tells that del was given up. wh is nil when its webhook has gone.
func (d *Deliverer) noticeDead(del *queue.Delivery, wh *webhooks.Webhook, o Outcome, f queue.Failure) {
	if d.opt.Notice == nil {
		return
	}
	e := &del.Event
	n := Notice{Kind: NoticeDead, At: d.opt.Now(), WebhookID: del.Webhook, Tenant: string(e.Tenant), Program: string(e.Program), Reason: o.Reason.String(),
		Status: o.Status, Detail: o.Detail, Delivery: del.ID(), EventID: string(e.ID), Type: string(e.Type), Attempts: del.Attempts}
	if f.Counted {
		n.Attempts++
	}
	if wh != nil {
		n.WebhookName = wh.Name
	}
	d.opt.Notice(n)
}

// noticeLocked tells something about the lane itself.
func (l *lane) noticeLocked(kind NoticeKind, wh *webhooks.Webhook, reason string) {
	if l.d.opt.Notice == nil {
		return
	}
	l.d.opt.Notice(Notice{Kind: kind, At: l.d.opt.Now(), WebhookID: l.id, WebhookName: wh.Name, Tenant: wh.Tenant, Program: wh.Program, Reason: reason})
}
