package alert

import (
	"maps"
	"slices"
	"strings"
	"time"

	"edgerelay/relay/event"
)

// rules are the limits that people have set.
type rules struct {
	minInterval time.Duration
	maxPerDay   int
	openAfter   time.Duration
}

// Bounds of what is kept in memory, whatever happens. What goes over them is counted and the count is told.
const (
	maxPeople   = 1000
	maxWebhooks = 50   // in one e-mail
	maxDigests  = 5000 // over all recipients
	maxFailing  = 10_000
)

// ledger is who has to be told what and when. It has no clock and no lock: time is passed in, the Manager's loop owns it.
type ledger struct {
	rules   rules
	gather  time.Duration // between the first news and its e-mail: failures come in swarms
	people  map[string]*person
	failing map[event.WebhookID]*trouble
	lost    int  // news for which there was no room
	changed bool // which troubles were told differs from what is stored
}

// person is one recipient.
type person struct {
	Address string    `json:"address"`
	Last    time.Time `json:"last,omitzero"` // when the last e-mail was sent
	Day     string    `json:"day,omitempty"` // in UTC
	Sent    int       `json:"sent,omitempty"`
	// Since is when the oldest of the news came.
	Since   time.Time          `json:"since,omitzero"`
	News    map[string]*digest `json:"news,omitempty"` // by webhook
	Omitted int                `json:"omitted,omitempty"`

	sending        map[string]*digest // an e-mail is under way
	sendingOmitted int
	sendingSince   time.Time
	dirty          bool // not stored as it is
}

// trouble is a receiver that fails.
type trouble struct {
	notice   Notice
	reported []string // who was told; nil = nobody yet
	restored bool     // it was told by an earlier process, and nothing is known of it yet
}

// letter is an e-mail to be written.
type letter struct {
	to      string
	key     string
	news    []*digest
	omitted int
	last    bool // the last one of the day
}

func newLedger(r rules, gather time.Duration) *ledger {
	return &ledger{rules: r, gather: gather, people: map[string]*person{}, failing: map[event.WebhookID]*trouble{}}
}

// note takes news in. to says who is to be told about the webhook.
func (l *ledger) note(n *Notice, to []string) {
	switch n.Kind {
	case Failing:
		if t := l.failing[n.ID]; t != nil {
			t.restored = false // it still fails, as was told
		} else if len(l.failing) < maxFailing {
			l.failing[n.ID] = &trouble{notice: *n}
		}
	case Recovered:
		if t := l.failing[n.ID]; t != nil {
			l.over(n.ID)
			l.tell(n, t.reported)
		}
	case Reset:
		l.over(n.ID)
	case Disabled:
		l.over(n.ID)
		l.tell(n, to)
	default:
		l.tell(n, to)
	}
}

// over forgets the trouble of a webhook.
func (l *ledger) over(id event.WebhookID) {
	if t := l.failing[id]; t != nil {
		l.changed = l.changed || t.reported != nil
		delete(l.failing, id)
	}
}

// told is a trouble that was reported, as it is stored.
type told struct {
	ID      event.WebhookID `json:"id"`
	Name    string          `json:"name"`
	Tenant  string          `json:"tenant"`
	Program string          `json:"program,omitempty"`
	At      time.Time       `json:"at"`
	To      []string        `json:"to"`
}

// maxTold bounds how many are stored.
const maxTold = 100

// tellings are the troubles of which a later process should tell the end.
func (l *ledger) tellings() (out []told) {
	for id, t := range l.failing {
		if t.reported != nil && len(out) < maxTold {
			n := &t.notice
			out = append(out, told{id, n.Name, n.Tenant, n.Program, n.At, t.reported[:min(len(t.reported), 5)]})
		}
	}
	return out
}

func (l *ledger) restore(list []told) {
	for _, t := range list {
		l.failing[t.ID] = &trouble{notice: Notice{Kind: Failing, At: t.At, ID: t.ID, Name: t.Name, Tenant: t.Tenant, Program: t.Program}, reported: t.To, restored: true}
	}
}

// review looks at the troubles of an earlier process: a circuit begins closed, so nobody says that it has closed. state says whether the webhook
// has been delivered to since the start, and whether it still exists.
func (l *ledger) review(now time.Time, state func(event.WebhookID) (delivered, known bool)) {
	for id, t := range l.failing {
		if !t.restored {
			continue
		}
		delivered, known := state(id)
		switch {
		case !known:
			l.over(id)
		case delivered:
			n := t.notice
			n.Kind, n.At = Recovered, now
			l.over(id)
			l.tell(&n, t.reported)
		}
	}
}

// waits says whether there is something to review.
func (l *ledger) waits() bool {
	for _, t := range l.failing {
		if t.restored {
			return true
		}
	}
	return false
}

// ripen reports the receivers that have failed for long enough.
func (l *ledger) ripen(now time.Time, to func(event.WebhookID) []string) {
	for id, t := range l.failing {
		if t.reported != nil || now.Sub(t.notice.At) < l.rules.openAfter {
			continue
		}
		t.reported = append([]string{}, to(id)...)
		l.changed = true
		l.tell(&t.notice, t.reported)
		// What it said is not needed any more, only to whom.
	}
}

func (l *ledger) tell(n *Notice, to []string) {
	for _, address := range to {
		key := strings.ToLower(address)
		p := l.people[key]
		if p == nil {
			if len(l.people) >= maxPeople {
				l.lost++
				continue
			}
			p = &person{Address: address}
			l.people[key] = p
		}
		if p.News == nil {
			p.News = map[string]*digest{}
		}
		id := queueID
		if n.Kind != QueueHigh && n.Kind != QueueNormal {
			id = n.ID.String()
		}
		d := p.News[id]
		if d == nil {
			if len(p.News) >= maxWebhooks || l.digests() >= maxDigests {
				p.Omitted++
				p.dirty = true
				continue
			}
			d = &digest{ID: id, Name: n.Name, Tenant: n.Tenant, Program: n.Program}
			p.News[id] = d
		}
		if p.Since.IsZero() {
			p.Since = n.At
		}
		d.add(n)
		p.dirty = true
	}
}

func (l *ledger) digests() (n int) {
	if len(l.people)*maxWebhooks < maxDigests {
		return 0 // cannot be reached
	}
	for _, p := range l.people {
		n += len(p.News)
	}
	return n
}

// at says when p may be sent its e-mail; the zero time means that there is none.
func (l *ledger) at(p *person) time.Time {
	if len(p.News) == 0 || p.sending != nil {
		return time.Time{}
	}
	at := p.Since.Add(min(l.gather, l.rules.minInterval))
	if next := p.Last.Add(l.rules.minInterval); !p.Last.IsZero() && next.After(at) {
		at = next
	}
	if p.Sent >= l.rules.maxPerDay {
		if day, err := time.Parse(time.DateOnly, p.Day); err == nil && at.Before(day.AddDate(0, 0, 1)) {
			at = day.AddDate(0, 0, 1)
		}
	}
	return at
}

// next is when something has to be done; the zero time means nothing.
func (l *ledger) next() (at time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range l.people {
		sooner(l.at(p))
	}
	for _, t := range l.failing {
		if t.reported == nil {
			sooner(t.notice.At.Add(l.rules.openAfter))
		}
	}
	return at
}

// take returns an e-mail that is due, or nil. Whoever takes it says what became of it with sent or failed.
func (l *ledger) take(now time.Time) *letter {
	for key, p := range l.people {
		at := l.at(p)
		if at.IsZero() || at.After(now) {
			continue
		}
		if day := now.UTC().Format(time.DateOnly); p.Day != day {
			p.Day, p.Sent = day, 0
		}
		w := &letter{to: p.Address, key: key, news: sorted(p.News), omitted: p.Omitted, last: p.Sent+1 >= l.rules.maxPerDay}
		p.sending, p.sendingOmitted, p.sendingSince = p.News, p.Omitted, p.Since
		p.News, p.Omitted, p.Since = nil, 0, time.Time{}
		return w
	}
	return nil
}

// sent says that the e-mail has gone, or that it never will.
func (l *ledger) sent(key string, now time.Time) {
	p := l.people[key]
	p.sending, p.sendingOmitted, p.sendingSince = nil, 0, time.Time{}
	p.Last, p.Sent, p.dirty = now, p.Sent+1, true
}

// failed puts the news back, for another try.
func (l *ledger) failed(key string) {
	p := l.people[key]
	old := p.sending
	mergeAll(old, p.News)
	p.News, p.Omitted, p.Since = old, p.Omitted+p.sendingOmitted, p.sendingSince
	p.sending, p.sendingOmitted, p.sendingSince = nil, 0, time.Time{}
}

// stored is what is kept of a person: with what is under way, because a crash may come before its end.
func (p *person) stored() person {
	s := *p
	if p.sending != nil {
		s.News, s.Since, s.Omitted = map[string]*digest{}, p.sendingSince, p.Omitted+p.sendingOmitted
		for id, d := range p.sending {
			c := *d
			c.Reasons, c.Samples = maps.Clone(d.Reasons), slices.Clone(d.Samples)
			s.News[id] = &c
		}
		mergeAll(s.News, p.News)
	}
	return s
}

// forget lets go of people about whom there is nothing to remember.
func (l *ledger) forget(now time.Time) (gone []string) {
	for key, p := range l.people {
		if len(p.News) == 0 && p.sending == nil && now.Sub(p.Last) > max(l.rules.minInterval, 24*time.Hour) {
			delete(l.people, key)
			gone = append(gone, key)
		}
	}
	return gone
}
