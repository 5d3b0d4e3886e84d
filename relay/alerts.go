package relay

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"edgerelay/config"
	"edgerelay/relay/alert"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// news takes what the sending side tells to those who make e-mails and events of it.
type news struct {
	mails     *alert.Manager
	events    *alert.Reporter
	listeners atomic.Pointer[listeners]
}

// openAlerts starts both, and what watches the queue. It is called once the queue is open and before anything is sent.
func (r *Relay) openAlerts() error {
	settings, err := alertSettings(r.cfg)
	if err != nil {
		return err
	}
	r.news.mails = alert.Open(alert.Options{Settings: settings, Recipients: r.errorRecipients, State: r.laneState, Store: r.queue, Counters: r.metrics, Log: r.log})
	r.stopLast("alerts", r.news.mails.Close)
	r.news.events = alert.OpenReporter(alert.ReporterOptions{Listeners: r.listenersTo, Listens: r.listens, Append: r.appendOwn, Counters: r.metrics, Log: r.log})
	r.stopLast("events of the relay", r.news.events.Close)
	watch := newQueueWatch(r.queue.Stats, int64(r.cfg.Queue.MaxBytes), int64(r.cfg.Queue.MinFreeDisk), r.tell)
	go watch.run(time.NewTicker(queueWatchEvery))
	r.stopLast("queue watch", watch.close)
	return nil
}

// alertSettings reads the part of the configuration that a reload can change.
func alertSettings(c *config.Config) (alert.Settings, error) {
	a := &c.Alerts
	s := alert.Settings{MinInterval: time.Duration(a.MinInterval), MaxPerDay: a.MaxPerDay, OpenAfter: time.Duration(a.OpenAfter),
		DashboardURL: strings.TrimRight(a.DashboardURL, "/")}
	var err error
	if s.Operators, err = config.Addresses(a.Recipients); err != nil {
		return s, config.Problems{c.Problem("alerts.recipients", err.Error())}
	}
	if !a.SMTP.Enabled() {
		return s, nil
	}
	s.Mailer, err = alert.NewMailer(alert.SMTP{Host: a.SMTP.Host, Port: a.SMTP.PortOrDefault(), Username: a.SMTP.Username, Password: a.SMTP.Password.Reveal(),
		From: a.SMTP.From, StartTLS: a.SMTP.StartTLS, CAFile: string(a.SMTP.CAFile), Timeout: time.Duration(a.SMTP.Timeout)})
	if err != nil {
		return s, config.Problems{c.Problem("alerts.smtp", err.Error())}
	}
	return s, nil
}

// TestAlert sends one e-mail as c says, at once, and returns the mail server's answer if it does not take it. No relay needs to run.
func TestAlert(ctx context.Context, c *config.Config, to string) error {
	s, err := alertSettings(c)
	if err != nil {
		return err
	}
	if s.Mailer == nil {
		return fmt.Errorf("there is no mail server: alerts.smtp.host is not set")
	}
	return s.Mailer.Send(ctx, alert.TestMail(to, s.DashboardURL))
}

// errorRecipients are the addresses of a webhook.
func (r *Relay) errorRecipients(id event.WebhookID) []string {
	if table := r.table.Load(); table != nil {
		if w := table.Get(id); w != nil {
			return w.Recipients
		}
	}
	return nil
}

// laneState says what the alerts ask about webhooks that were failing before the start.
func (r *Relay) laneState(id event.WebhookID) (delivered, known bool) {
	table := r.table.Load()
	if table == nil { // set after r.deliver is
		return false, true // the relay is being started
	}
	if table.Get(id) == nil {
		return false, false
	}
	for _, l := range r.deliver.Lanes() {
		if l.Webhook == id {
			return l.Delivered > 0, true
		}
	}
	return false, true
}

var noticeKinds = [...]alert.Kind{deliver.NoticeDead: alert.Dead, deliver.NoticeDisabled: alert.Disabled, deliver.NoticeOpened: alert.Failing,
	deliver.NoticeRecovered: alert.Recovered, deliver.NoticeReset: alert.Reset}

// noticed is called by the sending side, on the path of events and under its lock.
func (r *Relay) noticed(n deliver.Notice) {
	a := alert.Notice{Kind: noticeKinds[n.Kind], At: n.At, ID: n.WebhookID, Name: n.WebhookName, Tenant: n.Tenant, Program: n.Program, Reason: n.Reason,
		Status: n.Status, Detail: n.Detail, Event: n.EventID, Type: n.Type, Attempts: n.Attempts}
	if n.Kind == deliver.NoticeDead {
		a.Delivery = n.Delivery.String()
	}
	r.tell(a)
}

func (r *Relay) tell(n alert.Notice) {
	r.news.mails.Notice(n)
	r.news.events.Notice(n)
}

// listeners is what a table says about who is subscribed to events of the relay itself.
type listeners struct {
	table    *webhooks.Table
	tenants  map[string][]string // patterns
	webhooks map[event.WebhookID]bool
}

func (r *Relay) loadListeners() *listeners {
	table := r.table.Load()
	l := r.news.listeners.Load()
	if l != nil && l.table == table {
		return l
	}
	l = &listeners{table: table, tenants: map[string][]string{}, webhooks: map[event.WebhookID]bool{}}
	if table == nil {
		return l // the relay is being started
	}
	for _, w := range table.All() {
		for _, p := range w.Events {
			if strings.HasPrefix(p, webhooks.OperationalPrefix) && w.Status == webhooks.StatusActive {
				l.tenants[w.Tenant] = append(l.tenants[w.Tenant], p)
				l.webhooks[w.ID] = true
			}
		}
	}
	r.news.listeners.Store(l)
	return l
}

// listenersTo returns the tenants that want events of this type.
func (r *Relay) listenersTo(tenant, typ string) (tenants []string) {
	l := r.loadListeners()
	wants := func(t string) {
		for _, p := range l.tenants[t] {
			if webhooks.MatchPattern(p, typ) {
				tenants = append(tenants, t)
				return
			}
		}
	}
	if tenant != "" {
		wants(tenant)
		return tenants
	}
	for t := range l.tenants {
		wants(t)
	}
	return tenants
}

func (r *Relay) listens(id event.WebhookID) bool { return r.loadListeners().webhooks[id] }

// appendOwn stores an event of the relay itself, the way that every event goes.
func (r *Relay) appendOwn(ctx context.Context, own alert.OwnEvent) error {
	id := event.AppendTypeID(nil, event.PrefixEvent, event.NewUUID(own.At))
	f := event.Fields{Type: []byte(own.Type), Data: own.Data}
	e, _ := event.BuildEvent(nil, &f, id, own.At)
	e.Tenant, e.Program = []byte(own.Tenant), []byte(own.Program)
	targets := r.table.Load().Match(nil, &e, nil)
	if len(targets) == 0 {
		return nil
	}
	if _, err := r.queue.Append(ctx, &e, targets, nil); err != nil {
		return err
	}
	if accepted := r.accepted(); accepted != nil {
		accepted(&e, targets)
	}
	return nil
}

// The queue is reported as nearly full from highPart of its limit on, and as normal again below normalPart; likewise the disk, when less than
// twice what it takes to refuse events is free. The gap between the two keeps a level in between from being news again and again.
const (
	queueWatchEvery = 5 * time.Second
	highPart        = 0.8
	normalPart      = 0.7
	lowDisk         = 2.0
	normalDisk      = 2.5
)

// queueWatch looks at the queue's level.
type queueWatch struct {
	stats    func() queue.Stats
	maxBytes int64
	minFree  int64
	tell     func(alert.Notice)
	high     bool
	stop     chan struct{}
	done     chan struct{}
}

func newQueueWatch(stats func() queue.Stats, maxBytes, minFree int64, tell func(alert.Notice)) *queueWatch {
	return &queueWatch{stats: stats, maxBytes: maxBytes, minFree: minFree, tell: tell, stop: make(chan struct{}), done: make(chan struct{})}
}

func (q *queueWatch) run(t *time.Ticker) {
	defer close(q.done)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			q.look(now)
		case <-q.stop:
			return
		}
	}
}

func (q *queueWatch) close(context.Context) error {
	close(q.stop)
	<-q.done
	return nil
}

func (q *queueWatch) look(now time.Time) {
	s := q.stats()
	n := alert.Notice{At: now, Bytes: s.Bytes, MaxBytes: q.maxBytes, DiskFree: s.DiskFree}
	bytes, free := float64(s.Bytes)/float64(max(1, q.maxBytes)), float64(s.DiskFree)/float64(max(1, q.minFree))
	switch {
	case !q.high && (s.Full || s.DiskLow || bytes >= highPart || q.minFree > 0 && free < lowDisk):
		q.high, n.Kind = true, alert.QueueHigh
	case q.high && !s.Full && !s.DiskLow && bytes < normalPart && (q.minFree == 0 || free >= normalDisk):
		q.high, n.Kind = false, alert.QueueNormal
	default:
		return
	}
	q.tell(n)
}
