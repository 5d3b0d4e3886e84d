package badgerq

import (
	"fmt"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// A quota bounds what one tenant has in the queue: the bytes of its events that wait for delivery, once for each webhook, the dead ones
// left out. It is counted only for tenants that have one; the count is made from the records when the queue is opened, and kept from then
// on. For a tenant that gets its quota later, what was accepted before does not count until the queue is opened again.

// quota is one tenant's.
type quota struct {
	limit atomic.Int64
	used  atomic.Int64
}

type quotaMap map[string]*quota

// SetQuotas replaces the limits, in bytes by tenant.
func (q *Queue) SetQuotas(limits map[string]int64) {
	var old quotaMap
	if p := q.quotas.Load(); p != nil {
		old = *p
	}
	if len(limits) == 0 {
		q.quotas.Store(nil)
		return
	}
	all := make(quotaMap, len(limits))
	for tenant, limit := range limits {
		u := old[tenant]
		if u == nil {
			u = &quota{}
		}
		u.limit.Store(limit)
		all[tenant] = u
	}
	q.quotas.Store(&all)
}

func (q *Queue) quotaOf(tenant []byte) *quota {
	p := q.quotas.Load()
	if p == nil {
		return nil
	}
	return (*p)[string(tenant)]
}

// charge counts an event for n webhooks, or refuses it.
func (q *Queue) charge(e *event.Event, n int) error {
	u := q.quotaOf(e.Tenant)
	if u == nil || n == 0 {
		return nil
	}
	size := int64(len(e.Envelope) * n)
	if used := u.used.Add(size); used > u.limit.Load() && used > size { // one event is always taken, or a small quota would take none
		u.used.Add(-size)
		return queue.ErrQuota
	}
	return nil
}

// uncharge takes back what charge has counted for n webhooks.
func (q *Queue) uncharge(e *event.Event, n int) {
	u := q.quotaOf(e.Tenant)
	if u == nil {
		return
	}
	if u.used.Add(-int64(len(e.Envelope)*n)) < 0 {
		u.used.Store(0) // of the time before it had a quota
	}
}

// countQuotas counts what waits at the start.
func (q *Queue) countQuotas() error {
	if q.quotas.Load() == nil {
		return nil
	}
	add := func(e *event.Event, n int) {
		if u := q.quotaOf(e.Tenant); u != nil {
			u.used.Add(int64(len(e.Envelope) * n))
		}
	}
	return q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		read := 0
		trim := func() {
			if read++; read%trimEvery == 0 {
				q.trimTables()
			}
		}
		for it.Seek([]byte{kGroup}); it.Valid() && it.Item().Key()[0] == kGroup; it.Next() {
			seq, ok := parseGroupKey(it.Item().Key())
			if !ok {
				continue
			}
			trim()
			g, err := q.loadGroup(txn, seq)
			if isDamage(err) {
				continue // reported when it is needed
			}
			if err != nil {
				return fmt.Errorf("count what tenants have in the queue: %w", err)
			}
			for i := range uint32(len(g.events)) {
				e, targets, _, err := event.DecodeRecord(g.record(g.own.buf, i))
				if err != nil {
					continue
				}
				open := 0
				for t := range targets.Len() {
					if !g.settled.has(g.base[i] + uint32(t)) {
						open++
					}
				}
				add(&e, open)
			}
			q.unpin(g.image)
		}
		for it.Seek([]byte{kWaiting}); it.Valid() && it.Item().Key()[0] == kWaiting; it.Next() {
			at, w, ok := parseWaitingKey(it.Item().Key())
			if !ok {
				continue
			}
			trim()
			rec, record, err := readWaiting(txn, at, w)
			if err != nil || rec.state == queue.StateDead {
				continue // damage is reported when it is needed
			}
			if e, _, _, err := event.DecodeRecord(record); err == nil {
				add(&e, 1)
			}
		}
		return nil
	})
}
