package alert

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edgerelay/relay/event"
)

// Store keeps small values beside the events, durably. An empty value deletes.
type Store interface {
	Put(ctx context.Context, key string, value []byte) error
	Scan(prefix string, fn func(key string, value []byte) bool) error
}

// Mailer sends one e-mail, before ctx ends. An error that wraps ErrRejected says that the server will never take it.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Mail is one e-mail.
type Mail struct {
	To, Subject, Text string
}

// ErrRejected is wrapped by the errors of a Mailer that another try would not cure.
var ErrRejected = errors.New("the mail server refuses it for good")

// Settings are what a reload can change.
type Settings struct {
	Mailer       Mailer // nil = nobody is told
	Operators    []string
	MinInterval  time.Duration
	MaxPerDay    int
	OpenAfter    time.Duration
	DashboardURL string
}

// Options of a Manager. All but the times are required.
type Options struct {
	Settings   Settings
	Recipients func(event.WebhookID) []string // of a webhook, without the operators
	// State says whether a webhook has been delivered to since the start of the process, and whether it still exists.
	State    func(event.WebhookID) (delivered, known bool)
	Store    Store
	Counters Counters
	Log      *slog.Logger

	// For tests; zero = the defaults.
	Gather  time.Duration // from the first news to its e-mail
	Backoff time.Duration // after the first failure; doubles, up to mostBackoff times
	Review  time.Duration // between two looks at what an earlier process has told
}

// Times of a Manager.
const (
	gatherTime  = 10 * time.Second
	backoffTime = 15 * time.Second
	mostBackoff = 64 // times the first
	sendTime    = 5 * time.Minute
	closeTime   = 3 * time.Second
	storeEvery  = time.Second
	forgetEvery = time.Hour
	inboxSize   = 4096
	reviewEvery = 10 * time.Second
	storePrefix = "alerts/to/"
	failingKey  = "alerts/failing"
)

// Manager collects news and sends e-mails. Make one with Open.
type Manager struct {
	opt      Options
	settings atomic.Pointer[Settings]
	active   atomic.Bool // a mailer is there
	inbox    chan Notice
	overflow atomic.Int64 // news that found no room in inbox
	changed  chan struct{}
	stop     chan struct{}
	jobs     chan job
	results  chan result
	running  sync.WaitGroup // the loop and the worker

	// Of the loop:
	ledger      *ledger
	busy        bool // a job is under way
	backoff     time.Duration
	notBefore   time.Time // after a failure
	storeAt     time.Time
	reviewAt    time.Time
	forgetAt    time.Time
	storeFailed bool
}

// job is work that may take long, for the second goroutine: an e-mail, or values to store.
type job struct {
	letter *letter
	values map[string][]byte
}

type result struct {
	letter *letter
	values map[string][]byte
	err    error
}

// Open starts a Manager, with what an earlier one has left in the store.
func Open(o Options) *Manager {
	if o.Gather == 0 {
		o.Gather = gatherTime
	}
	if o.Review == 0 {
		o.Review = reviewEvery
	}
	if o.Backoff == 0 {
		o.Backoff = backoffTime
	}
	m := &Manager{opt: o, inbox: make(chan Notice, inboxSize), changed: make(chan struct{}, 1), stop: make(chan struct{}), jobs: make(chan job), results: make(chan result, 1)}
	m.ledger = newLedger(rules{}, o.Gather)
	m.Update(o.Settings)
	m.applySettings()
	m.load()
	m.running.Add(2)
	go m.loop()
	go m.work()
	return m
}

// Update puts other settings in force.
func (m *Manager) Update(s Settings) {
	m.settings.Store(&s)
	m.active.Store(s.Mailer != nil)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// Notice takes note of n. It never waits.
func (m *Manager) Notice(n Notice) {
	if !m.active.Load() {
		return
	}
	select {
	case m.inbox <- n:
	default:
		m.overflow.Add(1)
	}
}

// Close ends an e-mail under way, stores what was not sent and returns.
func (m *Manager) Close(ctx context.Context) error {
	close(m.stop)
	done := make(chan struct{})
	go func() { m.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-time.After(closeTime):
	}
	return nil // a mail server that hangs holds nobody up: what it was sent counts as not sent, and is stored
}

func (m *Manager) applySettings() {
	s := m.settings.Load()
	m.ledger.rules = rules{minInterval: s.MinInterval, maxPerDay: max(1, s.MaxPerDay), openAfter: s.OpenAfter}
	m.backoff, m.notBefore = 0, time.Time{} // the change may be the cure
}

// recipients says who is to be told about a webhook.
func (m *Manager) recipients(id event.WebhookID) []string {
	return append(append([]string(nil), m.opt.Recipients(id)...), m.settings.Load().Operators...)
}

func (m *Manager) loop() {
	defer m.running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case n := <-m.inbox:
			m.take(&n)
			for more := true; more; {
				select {
				case n := <-m.inbox:
					m.take(&n)
				default:
					more = false
				}
			}
		case <-m.changed:
			m.applySettings()
		case r := <-m.results:
			m.busy = false
			m.done(r, time.Now())
		case <-timer.C:
		case <-m.stop:
			m.end()
			return
		}
		now := time.Now()
		m.step(now)
		timer.Reset(m.wait(now))
	}
}

func (m *Manager) take(n *Notice) {
	to := m.settings.Load().Operators
	if n.Kind != QueueHigh && n.Kind != QueueNormal {
		to = m.recipients(n.ID)
	}
	m.ledger.note(n, to)
}

// step starts what is due. One thing at a time: a mail server is no place for haste.
func (m *Manager) step(now time.Time) {
	m.ledger.ripen(now, m.recipients)
	if !now.Before(m.reviewAt) && m.ledger.waits() {
		m.reviewAt = now.Add(m.opt.Review)
		m.ledger.review(now, m.opt.State)
	}
	if m.busy {
		return
	}
	if lost := int(m.overflow.Swap(0)) + m.ledger.lost; lost > 0 {
		m.ledger.lost = 0
		m.opt.Log.Warn("more went wrong than alerts can keep: some is not in any e-mail", "left_out", lost)
	}
	if !now.Before(m.storeAt) {
		if values := m.unstored(now); len(values) > 0 {
			m.start(job{values: values})
			m.storeAt = now.Add(storeEvery)
			return
		}
	}
	if now.Before(m.notBefore) || m.settings.Load().Mailer == nil {
		return
	}
	if l := m.ledger.take(now); l != nil {
		m.start(job{letter: l})
	}
}

func (m *Manager) start(j job) {
	select {
	case m.jobs <- j: // the worker waits for it
		m.busy = true
	case <-m.stop: // the worker may have ended already
		if j.letter != nil {
			m.ledger.failed(j.letter.key)
		} else if err := m.put(j.values); err != nil {
			m.opt.Log.Error("cannot store alerts that are not sent yet; they are lost", "error", err)
		}
	}
}

// unstored returns what differs from the store.
func (m *Manager) unstored(now time.Time) map[string][]byte {
	values := map[string][]byte{}
	if !now.Before(m.forgetAt) {
		m.forgetAt = now.Add(forgetEvery)
		for _, key := range m.ledger.forget(now) {
			values[storeKey(key)] = nil
		}
	}
	if m.ledger.changed {
		m.ledger.changed = false
		values[failingKey] = nil
		if list := m.ledger.tellings(); len(list) > 0 {
			text, err := json.Marshal(list)
			if err == nil && len(text) <= 64<<10 {
				values[failingKey] = text
			}
		}
	}
	for key, p := range m.ledger.people {
		if !p.dirty || len(values) >= 64 {
			continue
		}
		p.dirty = false
		s := p.stored()
		for text, err := json.Marshal(&s); ; text, err = json.Marshal(&s) {
			if err == nil && len(text) <= 64<<10 {
				values[storeKey(key)] = text
				break
			}
			drop(&s) // too large for the store: the longest lists go
		}
	}
	return values
}

// drop makes s smaller.
func drop(s *person) {
	for id := range s.News {
		delete(s.News, id)
		s.Omitted++
		return
	}
	*s = person{Address: s.Address, Last: s.Last, Day: s.Day, Sent: s.Sent}
}

// storeKey hides the address: keys are seen in more places than values.
func storeKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return storePrefix + hex.EncodeToString(sum[:16])
}

// wait is how long nothing has to be done.
func (m *Manager) wait(now time.Time) time.Duration {
	if m.busy {
		return time.Hour // its end comes as a result
	}
	at := now.Add(forgetEvery)
	if next := m.ledger.next(); !next.IsZero() {
		if m.settings.Load().Mailer == nil {
			next = at
		}
		if next.Before(m.notBefore) {
			next = m.notBefore
		}
		at = earlier(at, next)
	}
	if m.ledger.changed {
		at = earlier(at, m.storeAt)
	}
	if m.ledger.waits() {
		at = earlier(at, m.reviewAt)
	}
	for _, p := range m.ledger.people {
		if p.dirty {
			at = earlier(at, m.storeAt)
			break
		}
	}
	return max(0, at.Sub(now))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// done draws the conclusions of a job.
func (m *Manager) done(r result, now time.Time) {
	if r.letter == nil {
		if r.err != nil && !m.storeFailed {
			m.opt.Log.Error("cannot store alerts that are not sent yet; a restart would forget them", "error", r.err)
		}
		m.storeFailed = r.err != nil
		return
	}
	key := r.letter.key
	switch {
	case r.err == nil:
		m.opt.Counters.Mail("sent")
		m.opt.Log.Info("alert sent", "to", r.letter.to, "subjects", len(r.letter.news))
		m.ledger.sent(key, now)
		m.backoff = 0
	case errors.Is(r.err, ErrRejected):
		m.opt.Counters.Mail("rejected")
		m.opt.Log.Error("the mail server refuses an alert for good; it is dropped", "to", r.letter.to, "error", r.err)
		m.ledger.sent(key, now)
		m.backoff = 0
	default:
		m.opt.Counters.Mail("failed")
		m.ledger.failed(key)
		m.backoff = min(max(2*m.backoff, m.opt.Backoff), mostBackoff*m.opt.Backoff)
		m.notBefore = now.Add(m.backoff)
		m.opt.Log.Warn("an alert could not be sent; it is kept and tried again", "to", r.letter.to, "error", r.err, "again_in", m.backoff)
	}
}

// work does what may take long.
func (m *Manager) work() {
	defer m.running.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-m.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-m.stop:
			return
		case j := <-m.jobs:
			r := result{letter: j.letter, values: j.values}
			if j.letter != nil {
				r.err = m.send(ctx, j.letter)
			} else {
				r.err = m.put(j.values)
			}
			m.results <- r
		}
	}
}

func (m *Manager) send(ctx context.Context, l *letter) error {
	s := m.settings.Load()
	if s.Mailer == nil {
		return errors.New("there is no mail server any more")
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return s.Mailer.Send(ctx, compose(l, s.DashboardURL))
}

func (m *Manager) put(values map[string][]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for key, value := range values {
		errs = append(errs, m.opt.Store.Put(ctx, key, value))
	}
	return errors.Join(errs...)
}

// end stores what is not sent. The worker has been told to end too: what it was sending counts as not sent.
func (m *Manager) end() {
	for more := true; more; {
		select {
		case n := <-m.inbox:
			m.take(&n)
		default:
			more = false
		}
	}
	if m.busy {
		select {
		case r := <-m.results:
			m.done(r, time.Now())
		case <-time.After(2 * time.Second):
		}
	}
	if values := m.unstored(time.Now()); len(values) > 0 {
		if err := m.put(values); err != nil {
			m.opt.Log.Error("cannot store alerts that are not sent yet; they are lost", "error", err)
		}
	}
}

// load reads what was left behind.
func (m *Manager) load() {
	err := m.opt.Store.Scan(storePrefix, func(_ string, value []byte) bool {
		p := &person{}
		if err := json.Unmarshal(value, p); err != nil || p.Address == "" {
			m.opt.Log.Warn("a stored alert cannot be read and is left out", "error", err)
			return true
		}
		m.ledger.people[strings.ToLower(p.Address)] = p
		return len(m.ledger.people) < maxPeople
	})
	if err == nil {
		err = m.opt.Store.Scan(failingKey, func(_ string, value []byte) bool {
			var list []told
			if err := json.Unmarshal(value, &list); err != nil {
				m.opt.Log.Warn("which webhooks were reported as failing cannot be read", "error", err)
				return false
			}
			m.ledger.restore(list)
			return false
		})
	}
	if err != nil {
		m.opt.Log.Warn("stored alerts cannot be read", "error", err)
	}
}
