package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// scanBytes is how much of other webhooks' deliveries a reader looks through for one webhook before it serves the next.
const scanBytes = 8 << 20

// readLoop reads lagging webhooks and due retries back from the disk, one webhook at a time, a small portion each, in turn. When there
// is nothing to read it thins out groups.
func (q *Queue) readLoop() {
	defer q.done.Done()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.refills) == 0 && len(q.thins) == 0 && !q.stopping {
			q.readerWake.Wait()
		}
		switch {
		case q.stopping:
			return
		case len(q.refills) > 0:
			q.refillNextLocked()
		default:
			q.thinNextLocked()
		}
	}
}

// refillNextLocked serves the webhook that has waited longest. It gives the lock up while it reads.
func (q *Queue) refillNextLocked() {
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
		return
	}
	if l.parked {
		q.spillLocked(l)
		return
	}
	if announce := l.hungry && l.leasableLocked(); announce {
		l.hungry = false
		q.mu.Unlock()
		q.opt.Ready(l.id)
		q.mu.Lock()
	}
	if l.hungry {
		q.refillIfLowLocked(l) // what it has not reached yet, and what came while it read
	}
}

// refillBacklog moves the cursor of a lagging webhook on and puts what it finds into the inbox.
func (q *Queue) refillBacklog(l *lane) error {
	q.mu.Lock()
	from, tail, spills := l.cursor, q.dispatched, l.spills
	need := l.lagging && !l.parked && l.inbox.n <= q.opt.Refill/2
	q.mu.Unlock()
	if !need {
		return nil
	}
	return q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kGroup}})
		defer it.Close()
		taken, scanned := 0, 0
		for it.Seek(appendGroupKey(nil, from, 0)); it.Valid(); it.Next() {
			seq, ok := parseGroupKey(it.Item().Key())
			if !ok {
				continue
			}
			if seq > tail {
				break
			}
			size, took, more, err := q.readGroup(txn, l, seq, spills)
			if err != nil {
				return err
			}
			if took {
				taken += size
			}
			if scanned += size; !more || taken >= q.opt.RefillBytes || scanned >= scanBytes {
				return nil
			}
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.spills == spills {
			l.cursor = max(l.cursor, tail+1)
			q.catchUpLocked(l)
		}
		return nil
	})
}

// parseGroupKey is the inverse of appendGroupKey; ok only for a group's first chunk.
func parseGroupKey(k []byte) (seq uint64, ok bool) {
	if len(k) != 11 || k[0] != kGroup || binary.BigEndian.Uint16(k[9:]) != 0 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[1:]), true
}

// readGroup puts l's unsettled deliveries of one group into its inbox and moves the cursor past it. It returns the group's size, whether
// it had any, and whether l should get more. A group that cannot be read is reported and stays on disk; the cursor passes it, because
// the others must not wait for it.
func (q *Queue) readGroup(txn *badger.Txn, l *lane, seq uint64, spills int) (size int, took, more bool, err error) {
	g, im, err := q.borrow(txn, seq)
	if err != nil && !isDamage(err) && !errors.Is(err, badger.ErrKeyNotFound) {
		return 0, false, false, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if g != nil {
		defer q.giveBackLocked(g, im)
	}
	if l.spills != spills || l.parked || q.stopping {
		return 0, false, false, nil
	}
	l.cursor = seq + 1
	if g != nil {
		l.behind = g.committed
		size, took = g.size, q.takeForLocked(l, g, im)
	}
	return size, took, l.inbox.n < q.opt.Refill && !(took && q.tightLocked()), nil
}

// borrow returns the one object that stands for a group, with its record pinned; giveBackLocked ends that. While a reader is at it the
// object stays in Queue.groups, and only what is not there is read from the disk. So what is read is what the disk says now, even if the
// caller's iterator is older: the object would be there if anything of it were still to be written.
func (q *Queue) borrow(txn *badger.Txn, seq uint64) (*group, *image, error) {
	q.mu.Lock()
	g := q.groups[seq]
	if g == nil {
		g = &group{seq: seq}
		g.image = &g.own
		q.groups[seq] = g
	}
	g.loads++
	im := g.image
	pinned := im.pin()
	q.mu.Unlock()
	if pinned {
		return g, im, nil
	}
	fresh, err := q.loadGroup(txn, seq)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.giveBackLocked(g, nil)
		if isDamage(err) {
			q.reportDamageLocked(seq, err)
		}
		return nil, nil, err
	}
	if g.events == nil { // nobody knew it
		g.contents, g.progress, g.since = fresh.contents, fresh.progress, fresh.since
	}
	if g.image.pin() { // another reader was faster
		q.unpin(fresh.image)
	} else {
		g.image = fresh.image
	}
	return g, g.image, nil
}

func (q *Queue) giveBackLocked(g *group, im *image) {
	g.loads--
	q.dropIfIdleLocked(g)
	if im != nil {
		q.unpin(im)
	}
}

// loadGroup makes a group object from the disk, with one pin. It does not believe an iterator, which may be older than the disk.
func (q *Queue) loadGroup(txn *badger.Txn, seq uint64) (*group, error) {
	g := newGroup(q.buffers.get())
	g.seq = seq
	buf, err := getChunks(txn, g.own.buf[:0], func(k []byte, c int) []byte { return appendGroupKey(k, seq, c) })
	if err != nil {
		return nil, fmt.Errorf("read group %d: %w", seq, err)
	}
	g.own.buf = buf
	if err := g.index(); err != nil {
		return nil, err
	}
	g.ready()
	if p, err := txn.Get(appendProgressKey(nil, seq)); err == nil {
		if err := p.Value(func(v []byte) error {
			if !g.progress.decode(v, g.total) {
				q.opt.Log.Warn("a progress record is damaged: the deliveries of its group are made again", "group", seq)
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read progress of group %d: %w", seq, err)
		}
	} else if !errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("read progress of group %d: %w", seq, err)
	}
	g.since = q.opt.Now().UnixMilli()
	g.own.pins.Store(1)
	q.pinned.Add(int64(cap(g.own.buf)))
	return g, nil
}

// getChunks appends what setChunks stored. Without a first chunk the error is ErrKeyNotFound.
func getChunks(txn *badger.Txn, dst []byte, key func(k []byte, chunk int) []byte) ([]byte, error) {
	for c := 0; ; c++ {
		item, err := txn.Get(key(nil, c))
		if c > 0 && errors.Is(err, badger.ErrKeyNotFound) {
			return dst, nil
		}
		if err == nil {
			err = item.Value(func(v []byte) error { dst = append(dst, v...); return nil })
		}
		if err != nil {
			return dst, err
		}
		if len(dst) != (c+1)*chunkSize {
			return dst, nil
		}
	}
}

// takeForLocked moves l's deliveries of g from the disk into its inbox and says whether there were any.
func (q *Queue) takeForLocked(l *lane, g *group, im *image) bool {
	n := 0
	for i := range uint32(len(g.events)) {
		targets := g.targets(im.buf, i)
		for t := range targets.Len() {
			ordinal := g.base[i] + uint32(t)
			if targets.At(t) != l.id || g.settled.has(ordinal) || g.taken.has(ordinal) {
				continue
			}
			q.takeItemLocked(l, item{g, im, i, ordinal, fromLag})
			g.lag++
			n++
		}
	}
	if n > 0 {
		l.readBackBegun(g.seq, n)
	}
	return n > 0
}

func isDamage(err error) bool { return errors.Is(err, errDamaged) || errors.Is(err, errVersion) }

// reportDamageLocked counts and logs a record that cannot be used, once. It is never deleted.
func (q *Queue) reportDamageLocked(seq uint64, err error) {
	if _, known := q.damagedAt[seq]; known {
		return
	}
	q.damagedAt[seq] = struct{}{}
	q.damaged.Add(1)
	q.opt.Log.Error("a stored record is damaged; it is kept on disk, its deliveries cannot be made", "group", seq, "error", err)
}
