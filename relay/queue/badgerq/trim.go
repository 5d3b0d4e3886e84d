package badgerq

import (
	"reflect"
	"runtime/debug"
	"runtime/metrics"
	"sync"
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

// The Go runtime gives memory that a burst of table building has left free back to the system only slowly. Once there is this much of it, it
// is given back at once, at most this often: it costs a garbage collection.
const (
	tooMuchFree = 32 << 20
	returnEvery = time.Second
)

func (q *Queue) returnHeap() {
	if time.Since(q.returned) < returnEvery {
		return
	}
	heap := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(heap)
	if heap[0].Value.Kind() == metrics.KindUint64 && heap[0].Value.Uint64() > tooMuchFree {
		debug.FreeOSMemory()
		q.returned = time.Now()
	}
}

// While a backlog grows, tables are built all the time, and the runtime would let their garbage become as much as everything that lives. What
// lives is nearly all buffers without pointers, which cost a collection nothing, so it may come three times as often.
const (
	aBacklog      = 10_000 // deliveries
	thriftPercent = 30     // of what lives, instead of the usual 100
)

// thrift is the setting of the whole process, which the queues in it share.
var thrift struct {
	sync.Mutex
	users  int
	normal int // the percentage that was set before
}

// setThrift makes collections more frequent while one queue of the process has a backlog. A process that was told to collect even more often, or
// never, is left as it is.
func (q *Queue) setThrift(on bool) {
	if on == q.thrifty {
		return
	}
	q.thrifty = on
	thrift.Lock()
	defer thrift.Unlock()
	if on {
		if thrift.users++; thrift.users > 1 {
			return
		}
		thrift.normal = debug.SetGCPercent(thriftPercent)
		if thrift.normal < thriftPercent {
			debug.SetGCPercent(thrift.normal)
		}
		return
	}
	if thrift.users--; thrift.users == 0 {
		debug.SetGCPercent(thrift.normal)
	}
}
