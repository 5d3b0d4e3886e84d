package badgerq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/event"
)

// commitLoop is the only writer. While one commit is in the kernel the next group fills, which is all the batching there is: no linger.
func (q *Queue) commitLoop() {
	defer q.done.Done()
	for stopping := false; !stopping; {
		select {
		case <-q.notify:
			q.gather()
		case <-q.stop:
			stopping = true // nothing new is let in from now on
		}
		for took, more := q.commitNext(); took && (more || stopping || len(q.notify) > 0); {
			q.gather()
			took, more = q.commitNext()
		}
	}
}

// gather lets producers that are ready to run join the group, for as long as it grows, but not for long. It costs no time in which there would
// not be something else to do.
func (q *Queue) gather() {
	for before, round := -1, 0; round < 4; round++ {
		q.in.Lock()
		n := len(q.cur.events)
		q.in.Unlock()
		if n == before {
			return
		}
		before = n
		runtime.Gosched()
	}
}

// commitNext commits one group and one batch, if there is anything. It says whether there was, and whether more batches are waiting.
func (q *Queue) commitNext() (took, more bool) {
	q.in.Lock()
	var g *group
	if len(q.cur.events) > 0 {
		g = q.cur
		q.cur = newGroup(q.buffers.get())
		q.room.Broadcast()
	}
	q.in.Unlock()
	q.mu.Lock()
	b := q.takeLocked()
	more = len(q.batches) > 0
	q.mu.Unlock()
	if g == nil && b == nil {
		return false, false
	}
	if g != nil && b != nil && !q.fitTogether(g, b) {
		q.commitBoth(nil, b)
		b = nil
	}
	q.commitBoth(g, b)
	return true, more
}

// What Badger counts for an entry beside key and value, and for a producer's own id, which has 255 bytes at most.
const (
	perEntry = 16
	perDedup = 400
)

// fitTogether says whether one transaction can hold both.
func (q *Queue) fitTogether(g *group, b *batch) bool {
	size := len(g.own.buf) + len(b.arena) + perEntry*len(b.ops) + perDedup*len(g.dedups) + commitSlack
	return int64(size) < q.db.MaxBatchSize() && int64(len(b.ops)+len(g.dedups)+len(b.release)+16) < q.db.MaxBatchCount()
}

// commitBoth commits and answers. After a failure nothing is written any more: everybody gets the error.
func (q *Queue) commitBoth(g *group, b *batch) {
	err := q.Err()
	if err == nil {
		start := q.opt.Now()
		if g != nil {
			g.seq, g.size, g.committed = q.meta.lastSeq+1, len(g.own.buf), start.UnixMilli()
			g.since = g.committed
			sealGroup(g.own.buf, formWhole, g.committed)
		}
		if err = q.commit(g, b); err != nil {
			q.fail(err)
			err = q.Err()
		} else if q.opt.OnCommit != nil && g != nil {
			q.opt.OnCommit(q.opt.Now().Sub(start), len(g.events))
		}
	}
	q.finish(g, b, err)
}

// transaction is what a commit is writing.
type transaction struct {
	*badger.Txn
	q       *Queue
	meta    meta
	written int // bytes of keys and values
}

func (t *transaction) set(e *badger.Entry) error {
	t.written += len(e.Key) + len(e.Value)
	return t.SetEntry(e)
}

// commit writes g and b in one transaction and returns when it is durable.
func (q *Queue) commit(g *group, b *batch) error {
	t := transaction{Txn: q.db.NewTransactionAt(readTs, true), q: q, meta: q.meta}
	defer t.Discard()
	t.meta.commits++
	if g != nil {
		if err := t.addGroup(g); err != nil {
			return fmt.Errorf("write group %d: %w", g.seq, err)
		}
	}
	if b != nil {
		if err := t.addBatch(b); err != nil {
			return err
		}
	}
	if err := t.set(badger.NewEntry([]byte{kMeta}, t.meta.append(nil))); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	q.applying.Lock()
	err := q.opt.commitTxn(t.Txn)
	q.applying.Unlock()
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := q.syncNewWAL(t.written); err != nil {
		return err
	}
	if err := q.high.write(&t.meta); err != nil {
		return err
	}
	q.meta = t.meta
	stored := t.meta
	q.stored.Store(&stored)
	q.written.Add(int64(t.written))
	q.syncs.Add(1)
	return nil
}

func (t *transaction) addGroup(g *group) error {
	for c := range g.chunks() {
		part := g.own.buf[c*chunkSize : min((c+1)*chunkSize, g.size)]
		if err := t.set(badger.NewEntry(appendGroupKey(nil, g.seq, c), part)); err != nil {
			return err
		}
	}
	for _, d := range g.dedups {
		key := append([]byte{kDedup}, d.Key[:]...)
		if err := t.set(badger.NewEntry(key, appendDedup(nil, d.Fingerprint, d.id)).WithTTL(dedupTTL)); err != nil {
			return err
		}
	}
	t.meta.lastSeq = g.seq
	t.meta.events += int64(len(g.events))
	t.meta.groups++
	t.meta.pending += int64(g.total)
	t.meta.bytes += int64(g.size)
	return nil
}

func (t *transaction) addBatch(b *batch) error {
	for _, o := range b.ops {
		key := b.arena[o.key:o.keyEnd:o.keyEnd]
		if key[0] == kValue {
			if err := t.countValue(key, o.del); err != nil {
				return err
			}
		}
		var err error
		if o.del {
			t.written += len(key)
			err = t.Delete(key)
		} else {
			err = t.set(badger.NewEntry(key, b.arena[o.val:o.valEnd:o.valEnd]))
		}
		if err != nil {
			return fmt.Errorf("write %c record: %w", key[0], err)
		}
	}
	m := &t.meta
	m.groups += b.delta.groups
	m.pending += b.delta.pending
	m.bytes += b.delta.bytes
	m.retrying += b.delta.retrying
	m.dead += b.delta.dead
	m.held += b.delta.held
	m.cursors += b.delta.cursors
	m.floor = max(m.floor, b.floor)
	return t.releaseEvents(b)
}

// countValue keeps count of the small values, which unlike everything else may be overwritten by somebody who does not know that.
func (t *transaction) countValue(key []byte, del bool) error {
	_, err := t.Get(key)
	present := err == nil
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return fmt.Errorf("count values: %w", err)
	}
	if present && del {
		t.meta.values--
	} else if !present && !del {
		t.meta.values++
	}
	return nil
}

// releaseEvents deletes those detached events of which no delivery waits any more, once the batch's own operations are applied.
func (t *transaction) releaseEvents(b *batch) error {
	if len(b.release) == 0 {
		return nil
	}
	return t.q.view(func(before *badger.Txn) error {
		for _, at := range b.release {
			if _, used := b.detached[at]; used {
				continue
			}
			used, err := t.anyWaiting(before, at)
			if err != nil {
				return err
			}
			if used {
				continue
			}
			for c := 0; ; c++ {
				key := appendEventKey(nil, at, c)
				if _, err := t.Get(key); errors.Is(err, badger.ErrKeyNotFound) {
					break
				} else if err != nil {
					return fmt.Errorf("release event: %w", err)
				}
				if err := t.Delete(key); err != nil {
					return fmt.Errorf("release event: %w", err)
				}
			}
		}
		return nil
	})
}

// anyWaiting says whether a delivery of the event that waited before this transaction still does.
func (t *transaction) anyWaiting(before *badger.Txn, at place) (bool, error) {
	it := before.NewIterator(badger.IteratorOptions{Prefix: appendWaitingPrefix(nil, at)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if _, err := t.Get(it.Item().KeyCopy(nil)); err == nil {
			return true, nil
		} else if !errors.Is(err, badger.ErrKeyNotFound) {
			return false, fmt.Errorf("release event: %w", err)
		}
	}
	return false, nil
}

// syncNewWAL makes the directory entry of a new write-ahead file durable; Badger syncs the file only. A new one can appear only after
// half a memtable has been written, so the directory is rarely looked at.
func (q *Queue) syncNewWAL(written int) error {
	q.walBytes += int64(written)
	if !q.opt.Sync || (q.walBytes < q.opt.MemTable/2 && q.walSeen != "") {
		return nil
	}
	newest, err := newestWAL(q.opt.Dir)
	if err != nil || newest == q.walSeen {
		return err
	}
	if err := syncDir(q.opt.Dir); err != nil {
		return err
	}
	if err := adviseWAL(filepath.Join(q.realDir, filepath.Base(newest))); err != nil {
		q.opt.Log.Debug("the kernel took no advice on the write-ahead file; more may be written than needed", "error", err)
	}
	q.walSeen, q.walBytes = newest, 0
	return nil
}

func newestWAL(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look for a new write-ahead file: %w", err)
	}
	for i := len(entries) - 1; i >= 0; i-- { // sorted by name, and the names are numbers of equal width
		if strings.HasSuffix(entries[i].Name(), walSuffix) {
			return filepath.Join(dir, entries[i].Name()), nil
		}
	}
	return "", nil
}

// finish answers everyone who waited for the commit and hands the fresh deliveries out.
func (q *Queue) finish(g *group, b *batch, err error) {
	if g != nil {
		g.err = err
		for _, d := range g.dedups {
			q.forgetDedup(d)
		}
		if err == nil {
			g.own.pins.Store(1) // until it is dispatched
			q.pinned.Add(int64(cap(g.own.buf)))
			g.ready()
		}
		close(g.done)
	}
	if err != nil {
		if b != nil {
			b.answer(err)
		}
		return
	}
	var announce []event.WebhookID
	q.mu.Lock()
	if b != nil {
		q.afterCommitLocked(b)
	}
	if g != nil {
		announce = q.dispatchLocked(g, q.announce[:0])
	}
	q.mu.Unlock()
	if g != nil {
		q.unpin(&g.own)
		q.announce = announce
	}
	for _, w := range announce {
		q.opt.Ready(w)
	}
	q.judgeSpace()
}

// answer tells those who wait for the batch. They have room for one answer each.
func (b *batch) answer(err error) {
	for _, w := range b.waiters {
		w <- err
	}
}

// afterCommitLocked does what had to wait until b was durable.
func (q *Queue) afterCommitLocked(b *batch) {
	for _, g := range b.held {
		g.opsPending--
		q.dropIfIdleLocked(g)
	}
	for _, im := range b.images {
		q.unpin(im)
	}
	for _, r := range b.forget {
		delete(r.lane.loaded, r.at)
	}
	q.turnsCommittedLocked(b)
	wake := false
	for _, r := range b.retries {
		r.lane.unknown--
		wake = q.dueLanes.learn(r.lane, r.due) || wake
	}
	if wake {
		q.wakeClock()
	}
	b.answer(nil)
	q.recycleLocked(b)
}
