package badgerq

import (
	"errors"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// noDue is the due time of a webhook without retries.
const noDue = math.MaxInt64

// dueHeap orders lanes by nextDue; a lane knows its place (heapAt).
type dueHeap []*lane

// learn enters a due time and says whether it is now the earliest of all.
func (h *dueHeap) learn(l *lane, due int64) (earliest bool) {
	l.dueFrom = min(l.dueFrom, due)
	if due >= l.nextDue {
		return false
	}
	l.nextDue = due
	if l.heapAt < 0 {
		l.heapAt = len(*h)
		*h = append(*h, l)
	}
	h.up(l.heapAt)
	return l.heapAt == 0
}

func (h dueHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h dueHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].nextDue <= h[i].nextDue {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

// pop removes the lane with the earliest due time.
func (h *dueHeap) pop() *lane {
	l := (*h)[0]
	n := len(*h) - 1
	h.swap(0, n)
	(*h)[n] = nil
	*h = (*h)[:n]
	l.heapAt, l.nextDue = -1, noDue
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return l
		}
		if child+1 < n && (*h)[child+1].nextDue < (*h)[child].nextDue {
			child++
		}
		if (*h)[i].nextDue <= (*h)[child].nextDue {
			return l
		}
		h.swap(i, child)
		i = child
	}
}

// retry is a due delivery in memory, with its event.
type retry struct {
	at       place
	due      int64
	attempts int
	first    int64
	record   []byte
	last     queue.Failure  // of one that was held: what its record says
	key      queue.OrderKey // of its chain,
	chained  bool           // if it is in one
}

func (r *retry) fill(w event.WebhookID, d *queue.Delivery) {
	d.Buf = append(d.Buf[:0], r.record...)
	d.Webhook, d.Attempts, d.First = w, r.attempts, r.first
	d.Handle = queue.Handle{Kind: fromRetry, Event: r.at.event, Seq: r.at.seq, Due: r.due}
	if r.chained {
		d.Handle.Ordinal = isChained
	}
	d.Event, _, _, _ = event.DecodeRecord(d.Buf) // decoded when it was read
}

// refillDue reads due retries of l into memory.
func (q *Queue) refillDue(l *lane) error {
	q.mu.Lock()
	if !l.isDue || l.parked || l.retry.n > 0 {
		q.mu.Unlock()
		return nil
	}
	from := l.dueFrom
	l.isDue, l.dueFrom = false, noDue // what comes meanwhile changes them
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	q.mu.Unlock()
	reached, next, more, err := q.scanDue(l, from, q.opt.Now().UnixMilli())
	q.mu.Lock()
	defer q.mu.Unlock()
	l.dueFrom = min(l.dueFrom, reached)
	l.isDue = l.isDue || more || err != nil
	if q.dueLanes.learn(l, next) {
		q.wakeClock()
	}
	return err
}

// scanDue reads l's retries that are due at now, from the watermark on. It returns the new watermark, the next due time behind now, and
// whether it stopped because it had enough.
func (q *Queue) scanDue(l *lane, from, now int64) (reached, next int64, more bool, err error) {
	reached, next = from, noDue
	err = q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: append([]byte{kDue}, l.id[:]...)})
		defer it.Close()
		bytes, n := 0, 0
		for it.Seek(appendDueKey(nil, l.id, from, place{})); it.Valid(); it.Next() {
			_, due, at, ok := parseDueKey(it.Item().Key())
			if !ok {
				continue
			}
			if due > now {
				next = due
				break
			}
			if n >= max(1, q.opt.Refill/4) || bytes >= q.opt.RefillBytes {
				more = true
				return nil
			}
			size, err := q.readRetry(txn, l, at, due)
			if err != nil {
				return err
			}
			if size > 0 {
				bytes, n = bytes+size, n+1
			}
			reached = due
		}
		reached = now + 1 // all that was due; what comes late is learned when it is committed
		return nil
	})
	return reached, next, more, err
}

// readRetry reads one waiting delivery into l's memory and returns its size, or 0 when it is there already or not to be sent.
func (q *Queue) readRetry(txn *badger.Txn, l *lane, at place, due int64) (int, error) {
	for {
		q.mu.Lock()
		_, known := l.loaded[at]
		redrives := l.redrives
		q.mu.Unlock()
		if known {
			return 0, nil
		}
		rec, record, err := q.getWaiting(txn, at, l.id)
		if errors.Is(err, queue.ErrNotFound) {
			return 0, nil // it was settled after the iterator was made
		}
		if isDamage(err) {
			q.mu.Lock()
			q.reportDamageLocked(at.seq, err)
			q.mu.Unlock()
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if rec.state != queue.StateRetrying || rec.due != due {
			return 0, nil // a due time that was replaced by another
		}
		q.mu.Lock()
		if l.redrives == redrives {
			l.loaded[at] = due
			l.retry.push(retry{at: at, due: due, attempts: rec.attempts, first: rec.first, record: record, key: rec.key, chained: rec.chained})
			if rec.chained {
				l.ordered() // it must be leased in order, whatever the webhook wants now
			}
			q.mu.Unlock()
			return len(record), nil
		}
		q.mu.Unlock() // a redrive came in between, perhaps of this one: look again
	}
}

// getWaiting reads a waiting or dead delivery and its event's record. What seems to be damaged is read again while nothing is being
// committed: one constant version means that readers see a commit while it is being applied, one key after the other.
func (q *Queue) getWaiting(txn *badger.Txn, at place, w event.WebhookID) (waiting, []byte, error) {
	rec, record, err := readWaiting(txn, at, w)
	if isDamage(err) {
		q.applying.RLock()
		defer q.applying.RUnlock()
		rec, record, err = readWaiting(txn, at, w)
	}
	return rec, record, err
}

func readWaiting(txn *badger.Txn, at place, w event.WebhookID) (waiting, []byte, error) {
	item, err := txn.Get(appendWaitingKey(nil, at, w))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return waiting{}, nil, queue.ErrNotFound
	}
	if err != nil {
		return waiting{}, nil, fmt.Errorf("read waiting delivery: %w", err)
	}
	var rec waiting
	if err := item.Value(func(v []byte) (err error) { rec, err = decodeWaiting(v); return err }); err != nil {
		return rec, nil, err
	}
	record, err := getChunks(txn, nil, func(k []byte, c int) []byte { return appendEventKey(k, at, c) })
	if errors.Is(err, badger.ErrKeyNotFound) {
		return rec, nil, fmt.Errorf("event %d of group %d: %w: it is missing, but a delivery of it waits", at.event, at.seq, errDamaged)
	}
	if err != nil {
		return rec, nil, fmt.Errorf("read event of a waiting delivery: %w", err)
	}
	if _, _, _, err := event.DecodeRecord(record); err != nil {
		return rec, nil, fmt.Errorf("event of a waiting delivery: %w: %w", errDamaged, err)
	}
	return rec, record, nil
}
