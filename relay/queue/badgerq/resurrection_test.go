package badgerq

import (
	"fmt"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"edgerelay/relay/queue"
)

// records returns the store's records of the given kinds.
func (r *rig) records(kinds []byte) map[string][]byte {
	all := map[string][]byte{}
	r.q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for _, kind := range kinds {
			for it.Seek([]byte{kind}); it.Valid() && it.Item().Key()[0] == kind; it.Next() {
				v, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				all[string(it.Item().Key())] = v
			}
		}
		return nil
	})
	return all
}

// raw changes the store behind the engine's back.
func raw(t *testing.T, opt Options, fn func(txn *badger.Txn) error) {
	t.Helper()
	db, err := openBadger(&opt)
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransactionAt(readTs, true)
	if err := fn(txn); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(commitTs, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Badger has had bugs by which deleted keys came back. Whatever was settled and comes back is not sent again.
func TestDeletedRecordsThatComeBackAreNotSent(t *testing.T) {
	r := startRig(t, tiny)
	a, b := hook(1), hook(2)
	old := map[string][]byte{}
	keep := func() {
		r.barrier()
		for k, v := range r.records([]byte{kGroup, kProgress, kCursor, kDue, kWaiting, kEvent, kDelivery}) {
			old[k] = v
		}
	}
	for i := range 200 {
		r.append(fmt.Sprintf("e%05d", i), 300, a, b)
	}
	r.q.Park(b)
	keep()
	var failed int
	for i := range 200 {
		d := r.take(a)
		switch {
		case i%10 == 0:
			failed++
			r.q.Retry(d, r.now().Add(time.Second), failedAt(r.now()))
		case i%10 == 1:
			id := d.ID()
			r.q.Bury(d, failedAt(r.now()))
			r.barrier()
			keep()
			if err := r.q.Redrive(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			failed++
		default:
			r.q.Ack(d)
		}
		if i%20 == 0 {
			r.pass(time.Second)
			keep()
		}
	}
	r.pass(time.Second)
	for range failed {
		// Retries come in between; whatever it is, take it.
		r.q.Ack(r.take(a))
	}
	for range 200 {
		r.q.Ack(r.take(b))
	}
	keep()
	r.pass(5 * time.Second) // the watermarks follow once a second
	r.until("the watermarks have followed", func() bool {
		return r.q.lanes[a].storedDue > r.now().Add(-10*time.Second).UnixMilli() && r.q.lanes[a].storedFloor == 0 && r.q.lanes[b].storedFloor == 0
	})
	r.empty()
	if err := r.q.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	raw(t, r.q.opt, func(txn *badger.Txn) error {
		for k, v := range old {
			if _, err := txn.Get([]byte(k)); err == nil {
				continue // it is still there: cursors are never deleted
			}
			kinds[k[0]]++
			if err := txn.SetEntry(badger.NewEntry([]byte(k), v)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, kind := range []byte{kGroup, kProgress, kWaiting, kDue, kEvent, kDelivery} {
		if kinds[kind] == 0 {
			t.Errorf("no record of kind %c came back: %v", kind, kinds)
		}
	}
	r.start()
	r.pass(time.Hour)
	for i := range 3 {
		id := fmt.Sprintf("new-%d", i)
		r.append(id, 10, a, b)
		for _, w := range []int{1, 2} {
			if d := r.take(hook(w)); string(d.Event.ID) != id {
				t.Fatalf("%s was sent again, from %d, due %d", d.Event.ID, d.Handle.Kind, d.Handle.Due)
			} else {
				r.q.Ack(d)
			}
		}
	}
	var d queue.Delivery
	if r.q.Lease(a, &d) || r.q.Lease(b, &d) {
		t.Fatalf("%s was sent again", d.Event.ID)
	}
	if s := r.q.Stats(); s.Pending != 0 || s.LostEvents != 0 {
		t.Errorf("stats: %+v", s)
	}
}
