package badgerq

import "edgerelay/relay/event"

// Waiting counts the deliveries of w that are in memory and have not been attempted; more says that there are others on the disk, which are not
// counted. Retries are not among them: List has those.
func (q *Queue) Waiting(w event.WebhookID) (n int, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[w]
	if l == nil {
		return 0, false
	}
	return l.inbox.n, l.lagging
}
