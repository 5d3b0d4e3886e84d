package badgerq

import (
	"fmt"
	"math"
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
			runtime.Gosched() // let the producers that are ready to run join this group
		case <-q.stop:
			stopping = true
		}
		for q.commitNext() {
		}
	}
}

// commitNext commits one group and one batch, if there is anything, and says whether more is waiting.
func (q *Queue) commitNext() (more bool) {
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
		return false
	}
	err := q.Err()
	if err == nil {
		if g != nil {
			g.seq = q.meta.lastSeq + 1
			g.size = len(g.buf)
			sealGroup(g.buf)
		}
		start := q.opt.Now()
		if err = q.commit(g, b); err != nil {
			q.fail(err)
			err = q.Err()
		} else if q.opt.OnCommit != nil && g != nil {
			q.opt.OnCommit(q.opt.Now().Sub(start), len(g.events))
		}
	}
	q.finish(g, b, err)
	return more || err == nil && len(q.notify) > 0
}

// commit writes g and b in one transaction and returns when it is durable.
func (q *Queue) commit(g *group, b *batch) error {
	txn := q.db.NewTransactionAt(readTs, true)
	defer txn.Discard()
	m, written := q.meta, 0
	set := func(e *badger.Entry) error {
		written += len(e.Key) + len(e.Value)
		return txn.SetEntry(e)
	}
	if g != nil {
		for c := range g.chunks() {
			if err := set(badger.NewEntry(appendGroupKey(nil, g.seq, c), g.buf[c*chunkSize:min((c+1)*chunkSize, g.size)])); err != nil {
				return fmt.Errorf("write group %d: %w", g.seq, err)
			}
		}
		for _, d := range g.dedups {
			key := append([]byte{kDedup}, d.Key[:]...)
			if err := set(badger.NewEntry(key, appendDedup(nil, d.Fingerprint, d.id)).WithTTL(dedupTTL)); err != nil {
				return fmt.Errorf("write an event's own id: %w", err)
			}
		}
		m.lastSeq = g.seq
		m.events += int64(len(g.events))
		m.groups++
		m.pending += int64(g.total)
		m.bytes += int64(g.size)
	}
	if b != nil {
		if err := q.releaseEvents(txn, b.release); err != nil {
			return err
		}
		for _, o := range b.ops {
			key := b.arena[o.key:o.keyEnd:o.keyEnd]
			var err error
			if o.del {
				written += len(key)
				err = txn.Delete(key)
			} else {
				err = set(badger.NewEntry(key, b.arena[o.val:o.valEnd:o.valEnd]))
			}
			if err != nil {
				return fmt.Errorf("write %c record: %w", key[0], err)
			}
		}
		m.groups += b.delta.groups
		m.pending += b.delta.pending
		m.bytes += b.delta.bytes
		m.retrying += b.delta.retrying
		m.dead += b.delta.dead
		m.floor = max(m.floor, b.floor)
	}
	if err := set(badger.NewEntry([]byte{kMeta}, m.append(nil))); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	if err := txn.CommitAt(commitTs, nil); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := q.syncNewWAL(written); err != nil {
		return err
	}
	q.meta = m
	q.stored.Store(&m)
	q.written.Add(int64(written))
	q.syncs.Add(1)
	return nil
}

// releaseEvents deletes those detached events of which no delivery waits any more. Everything up to the batch before is committed.
func (q *Queue) releaseEvents(txn *badger.Txn, places []place) error {
	for _, at := range places {
		prefix := appendWaitingPrefix(nil, at)
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		it.Rewind()
		used := it.Valid()
		it.Close()
		if used {
			continue
		}
		for c := 0; ; c++ {
			key := appendEventKey(nil, at, c)
			if _, err := txn.Get(key); err == badger.ErrKeyNotFound {
				break
			} else if err != nil {
				return fmt.Errorf("release event: %w", err)
			}
			if err := txn.Delete(key); err != nil {
				return fmt.Errorf("release event: %w", err)
			}
		}
	}
	return nil
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
	q.walSeen, q.walBytes = newest, 0
	return nil
}

func newestWAL(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look for a new write-ahead file: %w", err)
	}
	for i := len(entries) - 1; i >= 0; i-- { // sorted by name, and the names are numbers of equal width
		if strings.HasSuffix(entries[i].Name(), ".mem") {
			return filepath.Join(dir, entries[i].Name()), nil
		}
	}
	return "", nil
}

// finish answers everyone who waited for the commit and hands the fresh deliveries out.
func (q *Queue) finish(g *group, b *batch, err error) {
	if g != nil {
		g.err = err
		g.committed = q.opt.Now().UnixMilli()
		for _, d := range g.dedups {
			q.forgetDedup(d)
		}
		if err == nil {
			g.pins.Store(1) // until it is dispatched
			q.pinned.Add(int64(cap(g.buf)))
			g.ready()
		}
		close(g.done)
	}
	if b != nil {
		for _, w := range b.waiters {
			w <- err
		}
	}
	if err != nil {
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
		q.unpin(g)
		q.announce = announce
	}
	for _, w := range announce {
		q.opt.Ready(w)
	}
	q.judgeSpace()
}

// afterCommitLocked does what had to wait until b was durable.
func (q *Queue) afterCommitLocked(b *batch) {
	for _, g := range b.progress {
		g.opsPending--
		q.dropIfIdleLocked(g)
	}
	for _, r := range b.forget {
		delete(r.lane.loaded, r.at)
	}
	wake := false
	for _, r := range b.retries {
		r.lane.unknown--
		wake = q.dueLanes.learn(r.lane, r.due) || wake
	}
	if wake {
		q.wakeClock()
	}
	if len(b.releaseNext) > 0 {
		next := q.openLocked()
		next.release = append(next.release, b.releaseNext...)
	}
	q.recycleLocked(b)
}

// noDue is the due time of a webhook without retries.
const noDue = math.MaxInt64

// judgeSpace turns Append on and off by the bytes that are queued.
func (q *Queue) judgeSpace() {
	full := q.meta.bytes >= q.opt.MaxBytes
	if full == q.isFull.Load() {
		return
	}
	q.isFull.Store(full)
	q.setRefusal()
}
