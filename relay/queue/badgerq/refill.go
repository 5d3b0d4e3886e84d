package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// readLoop reads lagging webhooks and due retries back from the disk, one webhook at a time, a small portion each, in turn.
func (q *Queue) readLoop() {
	defer q.done.Done()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.refills) == 0 && !q.stopping {
			q.refillWake.Wait()
		}
		if q.stopping {
			return
		}
		l := q.refills[0]
		copy(q.refills, q.refills[1:])
		q.refills = q.refills[:len(q.refills)-1]
		q.mu.Unlock()
		err := errors.Join(q.refillDue(l), q.refillBacklog(l))
		q.mu.Lock()
		l.refilling = false
		if err != nil && !q.stopping {
			q.opt.Log.Error("cannot read deliveries back; they stay on disk and are tried again", "webhook", l.id.String(), "error", err)
			q.dueLanes.learn(l, q.opt.Now().UnixMilli()+1000)
			continue
		}
		q.announceLocked(l)
		if l.hungry && l.lagging && l.cursor <= q.dispatched {
			q.askRefillLocked(l)
		}
	}
}

// announceLocked tells the sending side that l has something, if it asked and was told no. It gives the lock up meanwhile.
func (q *Queue) announceLocked(l *lane) {
	if l.parked {
		q.spillLocked(l)
		return
	}
	if !l.hungry || l.inbox.n == 0 && l.retry.n == 0 {
		return
	}
	l.hungry = false
	q.mu.Unlock()
	q.opt.Ready(l.id)
	q.mu.Lock()
}

// refillBacklog moves the cursor of a lagging webhook on and puts what it finds into the inbox.
func (q *Queue) refillBacklog(l *lane) error {
	q.mu.Lock()
	from, tail, need := l.cursor, q.dispatched, l.lagging && !l.parked && l.inbox.n <= q.opt.Refill/2
	spills := l.spills
	q.mu.Unlock()
	if !need {
		return nil
	}
	return q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kGroup}})
		defer it.Close()
		bytes := 0
		for it.Seek(appendGroupKey(nil, from, 0)); it.Valid(); it.Next() {
			key := it.Item().Key()
			if len(key) != 11 || binary.BigEndian.Uint16(key[9:]) != 0 {
				continue
			}
			seq := binary.BigEndian.Uint64(key[1:])
			if seq > tail {
				break
			}
			n, more, err := q.readGroup(txn, it.Item(), l, seq, spills)
			if err != nil {
				return err
			}
			if bytes += n; !more || bytes >= q.opt.RefillBytes {
				return nil
			}
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.spills != spills {
			return nil
		}
		l.cursor = max(l.cursor, tail+1)
		if l.cursor > q.dispatched {
			l.lagging = false // caught up: the next group goes straight to the inbox
		}
		return nil
	})
}

// readGroup puts l's unsettled deliveries of one group into its inbox and moves the cursor past it. It returns the bytes pinned for it
// and whether l should get more. A group that cannot be read is reported and stays on disk; the cursor passes it, because the others
// must not wait for it.
func (q *Queue) readGroup(txn *badger.Txn, item *badger.Item, l *lane, seq uint64, spills int) (size int, more bool, err error) {
	q.mu.Lock()
	g := q.groups[seq]
	pinned := g != nil && g.pin()
	q.mu.Unlock()
	if !pinned {
		fresh, err := q.loadGroup(txn, item, seq)
		switch {
		case err == nil:
			g = q.adopt(fresh)
		case errors.Is(err, errDamaged) || errors.Is(err, errVersion):
			q.reportDamage(seq, err)
			g = nil
		default:
			return 0, false, err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if g != nil {
		defer q.unpin(g)
	}
	if l.spills != spills || l.parked || q.stopping {
		return 0, false, nil
	}
	l.cursor = seq + 1
	if g != nil {
		if n := q.takeForLocked(l, g); n > 0 {
			l.backlog.push(readBack{seq, n})
			q.groups[seq] = g
			size = g.size
		}
	}
	return size, l.inbox.n < q.opt.Refill, nil
}

// loadGroup makes a group object from the disk, with one pin.
func (q *Queue) loadGroup(txn *badger.Txn, item *badger.Item, seq uint64) (*group, error) {
	g := newGroup(q.buffers.get())
	g.seq = seq
	g.buf = g.buf[:0]
	read := func(v []byte) error { g.buf = append(g.buf, v...); return nil }
	if err := item.Value(read); err != nil {
		return nil, fmt.Errorf("read group %d: %w", seq, err)
	}
	for c := 1; len(g.buf) == c*chunkSize; c++ {
		next, err := txn.Get(appendGroupKey(nil, seq, c))
		if errors.Is(err, badger.ErrKeyNotFound) {
			break
		}
		if err == nil {
			err = next.Value(read)
		}
		if err != nil {
			return nil, fmt.Errorf("read group %d: %w", seq, err)
		}
	}
	if err := g.index(); err != nil {
		return nil, err
	}
	g.ready()
	if p, err := txn.Get(appendProgressKey(nil, seq)); err == nil {
		if err := p.Value(func(v []byte) error {
			if !g.setProgress(v) {
				clear(g.settled)
				g.nSettled, g.onDisk = 0, 0
				q.reportDamage(seq, fmt.Errorf("progress: %w: its deliveries are made again", errDamaged))
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read progress of group %d: %w", seq, err)
		}
	} else if !errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("read progress of group %d: %w", seq, err)
	}
	g.committed = q.opt.Now().UnixMilli()
	g.pins.Store(1)
	q.pinned.Add(int64(cap(g.buf)))
	return g, nil
}

// adopt returns the one object that stands for the group, with a pin: one that is in memory already knows better what is settled.
func (q *Queue) adopt(fresh *group) *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.groups[fresh.seq]
	if g == nil {
		return fresh
	}
	if g.pin() {
		q.unpin(fresh)
		return g
	}
	g.buf = fresh.buf
	g.pins.Store(1)
	return g
}

// takeForLocked moves l's deliveries of g from the disk into its inbox and returns how many there were.
func (q *Queue) takeForLocked(l *lane, g *group) (n int) {
	for i := range g.events {
		_, targets, _, err := event.DecodeRecord(g.record(uint32(i)))
		if err != nil {
			panic("BUG: an indexed event does not decode: " + err.Error())
		}
		for t := range targets.Len() {
			ordinal := g.base[i] + uint32(t)
			if targets.At(t) != l.id || g.settled.has(ordinal) || g.taken.has(ordinal) {
				continue
			}
			q.takeItemLocked(l, item{g, uint32(i), ordinal, fromLag})
			g.lag++
			n++
		}
	}
	return n
}

// reportDamage counts and logs a record that cannot be used. It is never deleted.
func (q *Queue) reportDamage(seq uint64, err error) {
	q.damaged.Add(1)
	q.opt.Log.Error("a stored group is damaged; it is kept on disk, its events cannot be delivered", "group", seq, "error", err)
}

// retry is a due delivery in memory, with its event.
type retry struct {
	at       place
	due      int64
	attempts int
	first    int64
	record   []byte
}

func (r *retry) fill(w event.WebhookID, d *queue.Delivery) {
	d.Buf = append(d.Buf[:0], r.record...)
	d.Webhook, d.Attempts, d.First = w, r.attempts, r.first
	d.Handle = queue.Handle{Kind: fromRetry, Event: r.at.event, Seq: r.at.seq, Due: r.due}
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
	l.dueFrom = noDue // what is committed meanwhile lowers it
	if l.loaded == nil {
		l.loaded = map[place]int64{}
	}
	q.mu.Unlock()
	now := q.opt.Now().UnixMilli()
	reached, next := from, int64(noDue)
	more := false
	err := q.view(func(txn *badger.Txn) error {
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
				return nil
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
		return nil
	})
	q.mu.Lock()
	defer q.mu.Unlock()
	l.dueFrom = min(l.dueFrom, reached)
	if err != nil {
		return err
	}
	l.isDue = more
	if q.dueLanes.learn(l, next) {
		q.wakeClock()
	}
	return nil
}

// readRetry reads one waiting delivery into l's memory and returns its size, or 0 when it is there already or not to be sent.
func (q *Queue) readRetry(txn *badger.Txn, l *lane, at place, due int64) (int, error) {
	q.mu.Lock()
	_, known := l.loaded[at]
	q.mu.Unlock()
	if known {
		return 0, nil
	}
	rec, record, err := getWaiting(txn, at, l.id)
	if errors.Is(err, queue.ErrNotFound) {
		return 0, nil // its settlement was committed between the two reads
	}
	if errors.Is(err, errDamaged) || errors.Is(err, errVersion) {
		q.reportDamage(at.seq, err)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if rec.state != queue.StateRetrying || rec.due != due {
		return 0, nil // a due time that was replaced by another
	}
	q.mu.Lock()
	l.loaded[at] = due
	l.retry.push(retry{at, due, rec.attempts, rec.first, record})
	q.mu.Unlock()
	return len(record), nil
}

// getWaiting reads a waiting or dead delivery and its event's record.
func getWaiting(txn *badger.Txn, at place, w event.WebhookID) (waiting, []byte, error) {
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
	record, err := getEvent(txn, at)
	if err != nil {
		return rec, nil, err
	}
	if _, _, _, err := event.DecodeRecord(record); err != nil {
		return rec, nil, fmt.Errorf("event of a waiting delivery: %w: %w", errDamaged, err)
	}
	return rec, record, nil
}

// getEvent reads a detached event's record.
func getEvent(txn *badger.Txn, at place) ([]byte, error) {
	var record []byte
	for c := 0; ; c++ {
		item, err := txn.Get(appendEventKey(nil, at, c))
		if errors.Is(err, badger.ErrKeyNotFound) {
			break
		}
		if err == nil {
			err = item.Value(func(v []byte) error { record = append(record, v...); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		if len(record) < (c+1)*chunkSize {
			break
		}
	}
	if record == nil {
		return nil, fmt.Errorf("event of a waiting delivery: %w: it is missing", errDamaged)
	}
	return record, nil
}
