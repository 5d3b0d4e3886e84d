package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// recover reads meta, cursors, and the groups from the floor on, and checks that the store has what its own counters promise: whole is
// false when it has not.
func (q *Queue) recover(high mark) (whole bool, err error) {
	err = q.view(func(txn *badger.Txn) error {
		found, err := q.readMeta(txn)
		if err != nil {
			return err
		}
		n := q.countRecords(txn)
		if n.newest > q.meta.lastSeq || !found && n.any() {
			return fmt.Errorf("open queue %s: its meta record is missing or older than group %d: %w", q.opt.Dir, n.newest, errDamaged)
		}
		if whole = q.judge(high, n); !whole {
			if err := q.recount(txn, n); err != nil {
				return err
			}
			q.meta.lastSeq = max(q.meta.lastSeq, high.lastSeq) // the numbers of lost groups are not used again
		}
		q.adoptMeta()
		if err := q.readCursors(txn); err != nil {
			return err
		}
		if !whole {
			if err := q.freeHeld(txn); err != nil {
				return err
			}
		}
		q.readDueHeads(txn)
		return q.replay(txn)
	})
	return whole, err
}

func (q *Queue) readMeta(txn *badger.Txn) (found bool, err error) {
	item, err := txn.Get([]byte{kMeta})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err == nil {
		err = item.Value(func(v []byte) (err error) { q.meta, err = decodeMeta(v); return err })
	}
	if err != nil {
		return false, fmt.Errorf("open queue %s: read meta: %w", q.opt.Dir, err)
	}
	return true, nil
}

func (q *Queue) adoptMeta() {
	stored := q.meta
	q.stored.Store(&stored)
	q.retrying, q.dead, q.held = stored.retrying, stored.dead, stored.held
	q.openedSeq = stored.lastSeq
	q.pending.Store(stored.pending)
	q.dispatched = max(stored.floor, 1) - 1
}

// census is what the store has, by its keys.
type census struct {
	groups, waiting, due, ids, cursors, values int64
	events, wanted                             int64 // detached events, and how many the waiting deliveries need
	newest                                     uint64
}

func (n *census) any() bool { return n.groups+n.waiting+n.due+n.ids+n.cursors+n.values+n.events > 0 }

// trimEvery is after how many records read the start looks at how much memory they take.
const trimEvery = 64

// countRecords counts. It leaves out producers' own ids, of which there may be very many, and progress.
func (q *Queue) countRecords(txn *badger.Txn) (n census) {
	read := 0
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	each := func(kind byte, fn func(key []byte)) {
		for it.Seek([]byte{kind}); it.Valid() && it.Item().Key()[0] == kind; it.Next() {
			fn(it.Item().Key())
			if read++; read%trimEvery == 0 {
				q.trimTables() // a value lies beside its key, so all of them pass through our memory here
			}
		}
	}
	each(kGroup, func(k []byte) {
		if seq, ok := parseGroupKey(k); ok {
			n.groups++
			n.newest = max(n.newest, seq)
		}
	})
	last := place{}
	each(kWaiting, func(k []byte) {
		if at, _, ok := parseWaitingKey(k); ok {
			if n.waiting == 0 || at != last {
				n.wanted++
			}
			last = at
			n.waiting++
		}
	})
	each(kEvent, func(k []byte) {
		if len(k) == 15 && k[13] == 0 && k[14] == 0 {
			n.events++
		}
	})
	each(kDue, func(k []byte) { n.due++ })
	each(kDelivery, func(k []byte) { n.ids++ })
	each(kCursor, func(k []byte) { n.cursors++ })
	each(kChain, func(k []byte) {
		if w, key, _, ok := parseChainKey(k); ok {
			q.laneLocked(w).ordered().chainAdd(key)
		}
	})
	each(kValue, func(k []byte) { n.values++ })
	return n
}

// judge compares the store with the high-water mark and with its own counters, and reports what is missing.
func (q *Queue) judge(high mark, n census) (whole bool) {
	whole = true
	report := func(missing int64, lost bool, what string) {
		if missing <= 0 {
			return
		}
		whole = false
		if lost {
			q.lost += missing
		} else {
			q.damaged.Add(missing)
		}
		q.opt.Log.Error("the queue's store is not complete: "+what, "missing_at_least", missing, "dir", q.opt.Dir)
	}
	m := &q.meta
	if high.known {
		report(high.events-m.events, true, "acknowledged events are gone; its last write-ahead file is damaged or missing")
		if high.events <= m.events {
			report(high.commits-m.commits, false, "the last commits are gone; deliveries settled by them are made again")
		}
	} else if m.events > 0 {
		q.opt.Log.Warn("there is no high-water mark, so whether the store lost its end cannot be told", "dir", q.opt.Dir)
	}
	report(m.groups-n.groups, true, "groups of events are gone")
	report(m.retrying+m.dead+m.held-n.waiting, true, "waiting or dead deliveries are gone")
	report(n.wanted-n.events, true, "events of waiting or dead deliveries are gone")
	report(m.retrying-n.due, false, "due times are gone; those deliveries wait until they are redriven")
	report(m.retrying+m.dead+m.held-n.ids, false, "ids of deliveries are gone; they cannot be found by id")
	report(m.values-n.values, false, "small values are gone")
	if m.cursors > n.cursors {
		report(m.cursors-n.cursors, false, "cursors are gone; the whole queue is searched instead")
		m.floor = 1
	}
	return whole
}

// recount makes the counters describe what is there, after a loss.
func (q *Queue) recount(txn *badger.Txn, n census) error {
	m := &q.meta
	m.groups, m.cursors, m.values = n.groups, n.cursors, n.values
	m.pending, m.bytes, m.retrying, m.dead, m.held = 0, 0, 0, 0, 0
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Seek([]byte{kGroup}); it.Valid() && it.Item().Key()[0] == kGroup; it.Next() {
		seq, ok := parseGroupKey(it.Item().Key())
		if !ok {
			continue
		}
		g, err := q.loadGroup(txn, seq)
		if isDamage(err) {
			continue // reported when it is needed
		}
		if err != nil {
			return fmt.Errorf("open queue %s: %w", q.opt.Dir, err)
		}
		m.pending += int64(g.total - g.nSettled)
		m.bytes += int64(g.size)
		q.unpin(g.image)
	}
	for it.Seek([]byte{kWaiting}); it.Valid() && it.Item().Key()[0] == kWaiting; it.Next() {
		var rec waiting
		if err := it.Item().Value(func(v []byte) (err error) { rec, err = decodeWaiting(v); return err }); err != nil {
			continue // reported when it is needed
		}
		m.bytes += int64(rec.size)
		switch rec.state {
		case queue.StateDead:
			m.dead++
		case queue.StateHeld:
			m.held++
		default:
			m.retrying++
		}
	}
	return nil
}

// readCursors makes the lanes that lagged. They begin at the floor at the latest, because what they had in memory above it is on nobody's
// list now.
func (q *Queue) readCursors(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kCursor}, PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	groups := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kGroup}})
	defer groups.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		k := it.Item().Key()
		if len(k) != 17 {
			continue
		}
		l := q.laneLocked(event.WebhookID(k[1:]))
		var floor uint64
		var due int64
		if err := it.Item().Value(func(v []byte) (err error) { floor, due, err = decodeCursor(v); return err }); err != nil {
			if !errors.Is(err, errDamaged) {
				return fmt.Errorf("open queue %s: %w", q.opt.Dir, err)
			}
			q.opt.Log.Warn("a cursor is damaged; its webhook's backlog is searched from the beginning", "webhook", l.id.String(), "error", err)
			floor, due = 1, 0
		}
		l.stored, l.storedFloor, l.storedDue, l.dueFrom = true, floor, due, due
		if floor > 0 {
			cursor := max(1, min(floor, q.meta.floor))
			q.startLagLocked(l, cursor, committedFrom(groups, cursor))
		}
	}
	return nil
}

// committedFrom returns when the first group from seq on was committed, for statistics; 0 = not known.
func committedFrom(it *badger.Iterator, seq uint64) (committed int64) {
	if it.Seek(appendGroupKey(nil, seq, 0)); !it.Valid() {
		return 0 // there is none
	}
	it.Item().Value(func(v []byte) error {
		if len(v) >= groupHeader {
			committed = int64(binary.LittleEndian.Uint64(v[8:]))
		}
		return nil
	})
	return committed
}

// readDueHeads finds the first due time of every webhook, by one seek each.
func (q *Queue) readDueHeads(txn *badger.Txn) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kDue}})
	defer it.Close()
	for it.Rewind(); it.Valid(); {
		w, due, _, ok := parseDueKey(it.Item().Key())
		if !ok {
			it.Next()
			continue
		}
		l := q.laneLocked(w)
		if due < l.dueFrom {
			it.Seek(appendDueKey(nil, w, l.dueFrom, place{})) // what lies before is settled
			continue
		}
		q.dueLanes.learn(l, due)
		it.Seek(appendDueKey(nil, w, math.MaxInt64, place{math.MaxUint64, math.MaxUint32}))
	}
}

// replay hands out the deliveries of the groups from the floor on, as if they had just been committed. Webhooks that lag find theirs
// by their cursor.
func (q *Queue) replay(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kGroup}})
	defer it.Close()
	read := 0
	for it.Seek(appendGroupKey(nil, q.meta.floor, 0)); it.Valid(); it.Next() {
		seq, ok := parseGroupKey(it.Item().Key())
		if !ok {
			continue
		}
		if read++; read%trimEvery == 0 {
			q.trimTables()
		}
		g, err := q.loadGroup(txn, seq)
		if isDamage(err) {
			q.reportDamageLocked(seq, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("open queue %s: %w", q.opt.Dir, err)
		}
		q.dispatched = seq - 1 // so that no batch carries a floor that has passed this group
		q.replayGroup(g)
		q.unpin(&g.own)
	}
	q.dispatched = q.meta.lastSeq
	return nil
}

// replayGroup offers what is not settled of g to its webhooks.
func (q *Queue) replayGroup(g *group) {
	if g.nSettled == g.total {
		q.settledLocked(q.openLocked(), g)
		return
	}
	room := q.laneRoomLocked()
	for i := range uint32(len(g.events)) {
		targets := g.targets(g.own.buf, i)
		for t := range targets.Len() {
			if ordinal := g.base[i] + uint32(t); !g.settled.has(ordinal) {
				q.offerLocked(q.laneLocked(targets.At(t)), g, i, ordinal, room)
			}
		}
	}
	if g.live > 0 {
		q.linkLocked(g)
	}
}

// waitingLanesLocked returns the webhooks that have something to lease or to read back.
func (q *Queue) waitingLanesLocked() (ws []event.WebhookID) {
	for _, l := range q.lanes {
		if l.inbox.n > 0 || l.lagging || l.nextDue != noDue {
			l.hungry = false
			ws = append(ws, l.id)
		}
	}
	return ws
}
