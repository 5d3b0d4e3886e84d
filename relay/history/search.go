package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"edgerelay/relay/event"
)

// Query says what to look for; zero fields match everything.
type Query struct {
	Tenants  []string // nil = every tenant
	Program  string
	Type     string // exact
	Event    string // id
	Webhook  event.WebhookID
	Statuses []Status // of attempts
	HTTP     int      // status of attempts
	Mark     *event.Mark
	From, To time.Time // accepted, or attempted, in [From, To)
	Text     string    // found in the event's envelope, or in what was sent or answered

	Before uint64 // a cursor: only older records
	After  uint64 // only newer ones
	Oldest bool   // oldest first, for those who go through everything: then After is the cursor
	Limit  int    // of the page

	// Budget bounds the time of one call; a page may come back short, with where it got to. 0 = no bound.
	Budget time.Duration
}

// Page is what a search found, newest first.
type Page[T any] struct {
	Items   []T
	Next    uint64    // the cursor of the next page; 0 = there is nothing more
	Reached time.Time // how far a search that ran out of its budget got; zero = it ended by itself
}

// ErrCursor says that a text is not a cursor of this history.
var ErrCursor = errors.New("the cursor is not one of this list")

// FormatCursor and ParseCursor turn a cursor into text and back.
func FormatCursor(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return strconv.FormatUint(seq, 36)
}

// ParseCursor reads what FormatCursor wrote; "" is the beginning.
func ParseCursor(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(text, 36, 64)
	if err != nil || seq == 0 {
		return 0, ErrCursor
	}
	return seq, nil
}

// Events returns accepted events. Webhook means: was to go there. Without text, envelopes are not read unless bodies says so.
func (s *Store) Events(ctx context.Context, q Query, bodies bool) (Page[*Event], error) {
	return search(ctx, s, q, kindEvent, bodies, decodeEvent)
}

// Attempts returns attempts.
func (s *Store) Attempts(ctx context.Context, q Query, bodies bool) (Page[*Attempt], error) {
	return search(ctx, s, q, kindAttempt, bodies, decodeAttempt)
}

// searcher is one search under way.
type searcher struct {
	store    *Store
	q        *Query
	kind     byte
	text     []byte
	webhook  uint64 // hashes, to pass blocks over
	typ      uint64
	program  uint64
	tenants  []uint64
	statuses uint8
	from, to int64
	deadline time.Time
	bodies   bool
	lookUps  map[uint64]bool // by hash of an event's id: does its envelope have the text
}

func search[T any](ctx context.Context, s *Store, q Query, kind byte, bodies bool, decode func(rec, []byte) (T, error)) (page Page[T], err error) {
	if err := s.wait(ctx); err != nil {
		return page, err
	}
	if err := s.peek(ctx); err != nil {
		return page, err
	}
	if q.Event != "" {
		return searchByEvent(ctx, s, q, kind, decode)
	}
	sr := s.searcher(&q, kind, bodies)
	list := s.slices()
	if !q.Oldest {
		list = slices.Clone(list)
		slices.Reverse(list)
	}
	var last uint64
	var at int64
	for _, sl := range list {
		blocks := sl.snapshot()
		for i := range blocks {
			b := &blocks[i]
			if !q.Oldest {
				b = &blocks[len(blocks)-1-i]
			}
			if !sr.mayHave(b) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return page, err
			}
			if !sr.deadline.IsZero() && last != 0 && time.Now().After(sr.deadline) {
				page.Next, page.Reached = last, time.UnixMicro(at).UTC()
				return page, nil
			}
			more, err := visit(ctx, sr, sl, b, &page, decode)
			if errors.Is(err, errClosed) {
				break // it was removed meanwhile, or is in another slice now
			}
			if err != nil {
				return page, err
			}
			if more {
				return page, nil
			}
			last, at = b.first, b.minTime
			if q.Oldest {
				last, at = b.last, b.maxTime
			}
		}
	}
	page.Next = 0
	return page, nil
}

func (s *Store) searcher(q *Query, kind byte, bodies bool) *searcher {
	q.Limit = max(1, q.Limit)
	sr := &searcher{store: s, q: q, kind: kind, text: []byte(q.Text), bodies: bodies || q.Text != ""}
	if q.Webhook != (event.WebhookID{}) {
		sr.webhook = hash(nameWebhook, q.Webhook[:])
	}
	if q.Type != "" {
		sr.typ = hash(nameType, []byte(q.Type))
	}
	if q.Program != "" {
		sr.program = hash(nameProgram, []byte(q.Program))
	}
	for _, t := range q.Tenants {
		sr.tenants = append(sr.tenants, hash(nameTenant, []byte(t)))
	}
	for _, st := range q.Statuses {
		sr.statuses |= 1 << st
	}
	if !q.From.IsZero() {
		sr.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		sr.to = q.To.UnixMicro()
	}
	if q.Budget > 0 {
		sr.deadline = time.Now().Add(q.Budget)
	}
	return sr
}

// mayHave says whether a block is worth reading.
func (sr *searcher) mayHave(b *block) bool {
	q := sr.q
	if q.Before != 0 && b.first >= q.Before || q.After != 0 && b.last <= q.After || b.kinds&sr.kind == 0 {
		return false
	}
	if sr.from != 0 && b.maxTime < sr.from || sr.to != 0 && b.minTime >= sr.to {
		return false
	}
	if sr.statuses != 0 && b.statuses&sr.statuses == 0 {
		return false
	}
	for _, h := range [...]uint64{sr.webhook, sr.typ, sr.program} {
		if h != 0 && !b.mayHave(h) {
			return false
		}
	}
	return q.Tenants == nil || slices.ContainsFunc(sr.tenants, b.mayHave)
}

// visit adds the matching records of one block to the page, and says true when the page is full.
func visit[T any](ctx context.Context, sr *searcher, sl *slice, b *block, page *Page[T], decode func(rec, []byte) (T, error)) (full bool, err error) {
	found, body, err := sr.read(sl, b)
	if err != nil {
		return false, err
	}
	for _, r := range found {
		if len(sr.text) > 0 {
			ok, err := sr.hasText(ctx, r, body)
			if err != nil {
				return false, err
			}
			if !ok {
				continue
			}
		}
		if len(page.Items) >= sr.q.Limit {
			return true, nil
		}
		from := r
		if !sr.bodies {
			from = slices.Clone(r)
			clear(from[60:72])
		}
		item, err := decode(from, body)
		if err != nil {
			return false, err
		}
		page.Items = append(page.Items, item)
		if len(page.Items) == sr.q.Limit {
			page.Next = r.seq() // taken back when nothing follows
		}
	}
	return false, nil
}

// read reads the records of a block that match but for the text, in the order of the page, and the block's bodies if they are wanted.
func (sr *searcher) read(sl *slice, b *block) (found []rec, body []byte, err error) {
	if !sl.acquire() {
		return nil, nil, errClosed
	}
	defer sl.release()
	meta, err := sl.meta(b)
	if err != nil {
		return nil, nil, err
	}
	if err := eachRecord(meta, func(r rec) error {
		if sr.matches(r) {
			found = append(found, r)
		}
		return nil
	}); err != nil || len(found) == 0 {
		return nil, nil, err
	}
	if !sr.q.Oldest {
		slices.Reverse(found)
	}
	if sr.bodies {
		body, err = sl.body(b)
	}
	return found, body, err
}

// matches looks at everything but the text.
func (sr *searcher) matches(r rec) bool {
	q := sr.q
	if r.kind() != sr.kind || q.Before != 0 && r.seq() >= q.Before || q.After != 0 && r.seq() <= q.After {
		return false
	}
	if t := r.time(); sr.from != 0 && t < sr.from || sr.to != 0 && t >= sr.to {
		return false
	}
	if q.Mark != nil && event.Mark(r[87]) != *q.Mark {
		return false
	}
	if sr.kind == kindAttempt {
		if sr.statuses != 0 && sr.statuses&(1<<r.status()) == 0 || q.HTTP != 0 && r.httpStatus() != q.HTTP ||
			sr.webhook != 0 && r.webhook() != q.Webhook {
			return false
		}
	} else if sr.webhook != 0 && !hasTarget(r.text(textTargets), q.Webhook) {
		return false
	}
	if q.Tenants != nil && !contains(q.Tenants, r.text(textTenant)) {
		return false
	}
	return (q.Type == "" || string(r.text(textType)) == q.Type) && (q.Program == "" || string(r.text(textProgram)) == q.Program)
}

func contains(list []string, text []byte) bool {
	for _, s := range list {
		if s == string(text) {
			return true
		}
	}
	return false
}

func hasTarget(targets []byte, w event.WebhookID) bool {
	for ; len(targets) >= 16; targets = targets[16:] {
		if event.WebhookID(targets[:16]) == w {
			return true
		}
	}
	return false
}

// hasText looks for the text in what was kept of a record: the envelope, what was sent, what was answered. What was sent is often the
// envelope, and that is stored with the event.
func (sr *searcher) hasText(ctx context.Context, r rec, body []byte) (bool, error) {
	request, response, envelope, err := r.bodies(body)
	if err != nil {
		return false, err
	}
	if bytes.Contains(envelope, sr.text) || bytes.Contains(request, sr.text) || bytes.Contains(response, sr.text) {
		return true, nil
	}
	if r.kind() != kindAttempt || r.flags()&flagSameBody == 0 || len(envelope) > 0 {
		return false, nil
	}
	h := eventHash(r.text(textID))
	if has, known := sr.lookUps[h]; known {
		return has, nil
	}
	has := false
	err = sr.store.follow(ctx, h, func(e rec, block []byte) (bool, error) {
		_, _, envelope, err := e.bodies(block)
		if e.flags()&flagEnvelope != 0 && bytes.Equal(e.text(textID), r.text(textID)) {
			has = has || bytes.Contains(envelope, sr.text)
		}
		return !has, err
	}, true)
	if sr.lookUps == nil || len(sr.lookUps) > 1<<16 {
		sr.lookUps = map[uint64]bool{}
	}
	sr.lookUps[h] = has
	return has, err
}

// searchByEvent finds the records of one event by the index.
func searchByEvent[T any](ctx context.Context, s *Store, q Query, kind byte, decode func(rec, []byte) (T, error)) (page Page[T], err error) {
	sr := s.searcher(&q, kind, true)
	err = s.follow(ctx, eventHash([]byte(q.Event)), func(r rec, block []byte) (bool, error) {
		if !sr.matches(r) || string(r.text(textID)) != q.Event {
			return true, nil
		}
		if len(sr.text) > 0 {
			if ok, err := sr.hasText(ctx, r, block); err != nil || !ok {
				return true, err
			}
		}
		if len(page.Items) == q.Limit {
			return false, nil
		}
		item, err := decode(r, block)
		if err != nil {
			return false, err
		}
		page.Items = append(page.Items, item)
		if len(page.Items) == q.Limit {
			page.Next = r.seq()
		}
		return true, nil
	}, true)
	return page, err
}

// follow calls fn for each record that the index has for a hash, newest first, until fn says false. Records of other ids with the same hash
// may be among them.
func (s *Store) follow(ctx context.Context, h uint64, fn func(r rec, block []byte) (more bool, err error), bodies bool) error {
	list := s.slices()
	for i := len(list) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := list[i].lookUp(h, bodies)
		if errors.Is(err, errClosed) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range found {
			if more, err := fn(f.r, f.block); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// located is a record with the bodies of its block.
type located struct {
	r     rec
	block []byte
}

// lookUp returns the records that the index has for a hash, newest first.
func (s *slice) lookUp(h uint64, bodies bool) (found []located, err error) {
	if !s.acquire() {
		return nil, errClosed
	}
	defer s.release()
	seqs, err := s.find(h)
	if err != nil {
		return nil, err
	}
	var at *block
	var meta, body []byte
	blocks := s.snapshot()
	for _, seq := range seqs {
		i := sort.Search(len(blocks), func(i int) bool { return blocks[i].first > seq }) - 1
		if i < 0 || seq > blocks[i].last {
			continue
		}
		if at != &blocks[i] {
			at, body = &blocks[i], nil
			if meta, err = s.meta(at); err == nil && bodies {
				body, err = s.body(at)
			}
			if err != nil {
				return nil, err
			}
		}
		r, err := recordOf(meta, seq)
		if err != nil {
			return nil, err
		}
		if r != nil {
			found = append(found, located{r, body})
		}
	}
	return found, nil
}

// recordOf finds a record by its number, nil if it is not there.
func recordOf(meta []byte, seq uint64) (rec, error) {
	for len(meta) > 0 {
		r, rest, err := next(meta)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", seq, err)
		}
		if r.seq() == seq {
			return r, nil
		}
		meta = rest
	}
	return nil, nil
}
