package alert

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// digest is the news about one webhook (or about the queue) for one recipient, in bounded memory however much happens.
type digest struct {
	ID      string `json:"id"` // wh_…, or queue
	Name    string `json:"name,omitempty"`
	Tenant  string `json:"tenant,omitempty"`
	Program string `json:"program,omitempty"`

	Dead      int            `json:"dead,omitempty"`
	FirstDead time.Time      `json:"first_dead,omitzero"`
	LastDead  time.Time      `json:"last_dead,omitzero"`
	Reasons   map[string]int `json:"reasons,omitempty"`
	Samples   []sample       `json:"samples,omitempty"`

	DisabledAt  time.Time `json:"disabled_at,omitzero"`
	Why         string    `json:"why,omitempty"` // it was disabled
	FailingAt   time.Time `json:"failing_at,omitzero"`
	Failure     string    `json:"failure,omitempty"` // the class
	RecoveredAt time.Time `json:"recovered_at,omitzero"`

	QueueHighAt   time.Time `json:"queue_high_at,omitzero"`
	QueueNormalAt time.Time `json:"queue_normal_at,omitzero"`
	Bytes         int64     `json:"bytes,omitempty"`
	MaxBytes      int64     `json:"max_bytes,omitempty"`
	DiskFree      int64     `json:"disk_free,omitempty"`
}

// sample is one delivery that was given up.
type sample struct {
	Delivery string    `json:"delivery"`
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	Class    string    `json:"class"`
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
}

const (
	maxSamples = 3
	maxReasons = 16
	queueID    = "queue"
)

// class is a failure as people read it: the reason, and the status of the answer if there was one.
func class(reason string, status int) string {
	if status == 0 {
		return cmp.Or(reason, "unknown")
	}
	return "HTTP " + itoa(status)
}

// add takes one piece of news in.
func (d *digest) add(n *Notice) {
	switch n.Kind {
	case Dead:
		c := class(n.Reason, n.Status)
		if d.Dead++; d.Dead == 1 {
			d.FirstDead = n.At
		}
		d.LastDead = n.At
		d.count(c, 1)
		if len(d.Samples) < maxSamples {
			d.Samples = append(d.Samples, sample{n.Delivery, n.Event, n.Type, c, n.Attempts, n.At})
		}
	case Disabled:
		d.DisabledAt, d.Why = n.At, n.Reason
	case Failing:
		d.FailingAt, d.Failure, d.RecoveredAt = n.At, n.Reason, time.Time{}
	case Recovered:
		d.RecoveredAt = n.At
	case QueueHigh:
		d.QueueHighAt, d.QueueNormalAt = n.At, time.Time{}
		d.Bytes, d.MaxBytes, d.DiskFree = n.Bytes, n.MaxBytes, n.DiskFree
	case QueueNormal:
		d.QueueNormalAt = n.At
		d.Bytes, d.MaxBytes, d.DiskFree = n.Bytes, n.MaxBytes, n.DiskFree
	}
}

func (d *digest) count(class string, n int) {
	if d.Reasons == nil {
		d.Reasons = map[string]int{}
	}
	if _, known := d.Reasons[class]; !known && len(d.Reasons) >= maxReasons {
		class = "other"
	}
	d.Reasons[class] += n
}

// merge takes in what came after d.
func (d *digest) merge(later *digest) {
	if later.Dead > 0 {
		if d.Dead == 0 {
			d.FirstDead = later.FirstDead
		}
		d.Dead += later.Dead
		d.LastDead = later.LastDead
		for c, n := range later.Reasons {
			d.count(c, n)
		}
		d.Samples = append(d.Samples, later.Samples...)
		d.Samples = d.Samples[:min(len(d.Samples), maxSamples)]
	}
	if !later.DisabledAt.IsZero() {
		d.DisabledAt, d.Why = later.DisabledAt, later.Why
	}
	if !later.FailingAt.IsZero() {
		d.FailingAt, d.Failure, d.RecoveredAt = later.FailingAt, later.Failure, time.Time{}
	}
	if !later.RecoveredAt.IsZero() {
		d.RecoveredAt = later.RecoveredAt
	}
	if !later.QueueHighAt.IsZero() {
		d.QueueHighAt, d.QueueNormalAt = later.QueueHighAt, time.Time{}
	}
	if !later.QueueNormalAt.IsZero() {
		d.QueueNormalAt = later.QueueNormalAt
	}
	if later.MaxBytes > 0 {
		d.Bytes, d.MaxBytes, d.DiskFree = later.Bytes, later.MaxBytes, later.DiskFree
	}
}

func mergeAll(into map[string]*digest, later map[string]*digest) {
	for id, d := range later {
		if old := into[id]; old != nil {
			old.merge(d)
		} else {
			into[id] = d
		}
	}
}

// sorted returns the digests by name.
func sorted(m map[string]*digest) []*digest {
	return slices.SortedFunc(maps.Values(m), func(a, b *digest) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}
