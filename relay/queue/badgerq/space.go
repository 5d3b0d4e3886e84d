package badgerq

import (
	"errors"

	"edgerelay/relay/queue"
)

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
