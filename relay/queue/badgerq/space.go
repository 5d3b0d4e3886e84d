package badgerq

import (
	"errors"

	"edgerelay/relay/queue"
)

// checkDisk refuses events while the disk is nearly full: Badger's mapped files would turn a full disk into a crash.
func (q *Queue) checkDisk() {
	free, err := q.opt.Free(q.opt.Dir)
	if err != nil {
		q.opt.Log.Warn("cannot tell how much disk space is free", "dir", q.opt.Dir, "error", err)
		return
	}
	q.free.Store(free)
	enough := q.opt.MinFree
	if q.isLow.Load() {
		enough += enough / 4
	}
	low := free < enough
	if low == q.isLow.Load() {
		return
	}
	q.isLow.Store(low)
	q.setRefusal()
	if low {
		q.opt.Log.Error("disk space is low: new events are refused with 503 until there is more; deliveries go on",
			"free_bytes", free, "min_free_bytes", q.opt.MinFree, "dir", q.opt.Dir)
	} else {
		q.opt.Log.Info("disk space is back: new events are accepted", "free_bytes", free)
	}
}

// judgeSpace refuses events from MaxBytes on, and accepts them again when a sixteenth of it is free.
func (q *Queue) judgeSpace() {
	most := q.opt.MaxBytes
	if q.isFull.Load() {
		most -= most / 16
	}
	full := q.stored.Load().bytes >= most
	if full == q.isFull.Load() {
		return
	}
	q.isFull.Store(full)
	q.setRefusal()
	if full {
		q.opt.Log.Warn("the queue is full: new events are refused with 503 until some are delivered", "max_bytes", q.opt.MaxBytes)
	} else {
		q.opt.Log.Info("the queue has room again: new events are accepted")
	}
}

// setRefusal makes Append's answer follow isFull and isLow. Closing and failing are final.
func (q *Queue) setRefusal() {
	for {
		old := q.refuse.Load()
		if old != nil && (errors.Is(old.err, queue.ErrClosed) || errors.Is(old.err, queue.ErrFailed)) {
			return
		}
		var next *refusal
		switch {
		case q.isLow.Load():
			next = &refusal{queue.ErrDiskLow}
		case q.isFull.Load():
			next = &refusal{queue.ErrFull}
		}
		if q.refuse.CompareAndSwap(old, next) {
			return
		}
	}
}
