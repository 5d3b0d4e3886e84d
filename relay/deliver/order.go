package deliver

import (
	"crypto/sha256"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// orderOf says what order t's deliveries keep; nil = none.
func (w *worker) orderOf(t *Target) *queue.Ordering {
	switch {
	case t == nil || !t.Webhook.Ordered:
		return nil
	case t.Webhook.OrderKey == nil:
		return &orderAll
	}
	w.ordered = t.Webhook
	if w.ordering.Key == nil {
		w.ordering.Key = w.orderKey
	}
	return &w.ordering
}

// orderAll is for webhooks all of whose deliveries keep one order.
var orderAll queue.Ordering

// orderKey is the key of an event of the webhook w.ordered. Events that do not have what the expression asks for share one key, and so do
// those for which it fails: what is not known to be independent keeps its order.
func (w *worker) orderKey(e *event.Event) (key queue.OrderKey) {
	w.setEvent(e)
	var err error
	if w.text, err = w.ordered.OrderKey.Append(append(w.text[:0], "key "...), &w.input); err != nil {
		w.text = append(w.text[:0], "error"...)
	}
	sum := sha256.Sum256(w.text)
	copy(key[:], sum[:])
	return key
}

// setEvent lets expressions see e.
func (w *worker) setEvent(e *event.Event) {
	in := &w.input
	in.Reset()
	in.ID, in.Type, in.Time, in.Tenant, in.Program = e.ID, e.Type, e.Time, e.Tenant, e.Program
	in.Data, in.Envelope = e.Data, e.Envelope
}

// oneAtATime says that two attempts of w at the same time make no sense.
func oneAtATime(w *webhooks.Webhook) bool { return w.Ordered && w.OrderKey == nil }
