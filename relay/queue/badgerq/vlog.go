package badgerq

import (
	"reflect"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
)

// spareValueLog stops Badger from syncing its value log with every commit. Nothing of ours is ever in that file (chunkSize), but a sync of it asks
// the disk to flush its cache like any other: a third of what a commit waits for. There is no option for it. The write-ahead file, on which
// every promise rests, is synced by another setting, which stays. It says false when this version of Badger has no such field; then nothing changes.
func spareValueLog(db *badger.DB) bool {
	f := reflect.ValueOf(db).Elem().FieldByName("vlog")
	if !f.IsValid() || f.Kind() != reflect.Struct {
		return false
	}
	if f = f.FieldByName("opt"); !f.IsValid() || f.Type() != reflect.TypeFor[badger.Options]() {
		return false
	}
	(*badger.Options)(unsafe.Pointer(f.UnsafeAddr())).SyncWrites = false
	return true
}
