package badgerq

import (
	"reflect"
	"runtime/debug"
	"runtime/metrics"
	"time"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"
)

// builderPool returns the pool in which Badger keeps the buffers that tables are built in, or nil when this version has none. There is no
// option for its size: it keeps eight, each up to four times a memtable, for as long as tables are being built, which is always while a
// backlog grows. The field is only read, and never changes while the store is open.
func builderPool(db *badger.DB) *z.AllocatorPool {
	f := reflect.ValueOf(db).Elem().FieldByName("allocPool")
	if !f.IsValid() || f.Type() != reflect.TypeFor[*z.AllocatorPool]() {
		return nil
	}
	return *(**z.AllocatorPool)(unsafe.Pointer(f.UnsafeAddr()))
}

// trimBuilders gives back the buffers of tables that have been built.
func (q *Queue) trimBuilders() {
	for range 8 {
		q.builders.Get(512, "trim").Release() // without a pool, or with an empty one, this is a new, small one
	}
}

// maxMapped is how much of mapped files may count as our resident memory before the tables among them are let go.
const maxMapped = 24 << 20

// trimTables lets go of mapped tables. They are read and written through their mappings, so a backlog that grows or drains passes all of
// itself through them.
func (q *Queue) trimTables() {
	if mapped, ok := mappedMemory(); !ok || mapped < maxMapped {
		return
	}
	if err := forgetTables(q.realDir); err != nil {
		q.opt.Log.Debug("cannot give mapped tables back to the kernel", "error", err)
	}
}

// The Go runtime gives memory that a burst of table building has left free back to the system only slowly, and while a backlog grows it lets
// garbage become as much as what lives. Once there is this much of either, it is given back at once, at most this often: it costs a garbage
// collection.
const (
	tooMuchFree    = 32 << 20
	tooMuchGarbage = 48 << 20
	aBacklog       = 10_000 // deliveries
	returnEvery    = time.Second
)

func (q *Queue) returnHeap() {
	if time.Since(q.returned) < returnEvery {
		return
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	for i := range heap {
		if heap[i].Value.Kind() != metrics.KindUint64 {
			return // a runtime that does not tell
		}
	}
	if heap[0].Value.Uint64() > tooMuchFree || heap[1].Value.Uint64() > tooMuchGarbage && q.pending.Load() > aBacklog {
		debug.FreeOSMemory()
		q.returned = time.Now()
	}
}
