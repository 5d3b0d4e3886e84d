package history

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"edgerelay/relay/event"
)

// Status is what an attempt made of its delivery. The numbers are stored.
type Status uint8

// The states of a delivery after an attempt.
const (
	StatusDelivered Status = 1 // the receiver has it
	StatusDropped   Status = 2 // a transform decided not to send it
	StatusRetrying  Status = 3 // it is tried again at Next
	StatusDead      Status = 4 // it was given up
)

var statusNames = [...]string{"", "delivered", "dropped", "retrying", "dead"}

// String returns "delivered", "dropped", "retrying" or "dead".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// ParseStatus is the inverse of String; ok is false for anything else.
func ParseStatus(s string) (Status, bool) {
	i := slices.Index(statusNames[1:], s)
	return Status(i + 1), i >= 0
}

// Failed says whether the attempt failed: the delivery is tried again, or was given up.
func (s Status) Failed() bool { return s == StatusRetrying || s == StatusDead }

// AttemptID names one attempt, at_….
type AttemptID event.UUID

// String returns the TypeID.
func (a AttemptID) String() string {
	return string(event.AppendTypeID(nil, event.PrefixAttempt, event.UUID(a)))
}

// ParseAttemptID reads at_….
func ParseAttemptID(s string) (AttemptID, error) {
	u, err := event.ParseTypeID(event.PrefixAttempt, s)
	return AttemptID(u), err
}

// attemptID makes a UUIDv7 out of the time of an attempt and its number in the history, which no two attempts share.
func attemptID(start time.Time, seq uint64) AttemptID {
	var u event.UUID
	binary.BigEndian.PutUint64(u[0:], uint64(start.UnixMilli())<<16|0x7000|seq>>52)
	binary.BigEndian.PutUint64(u[8:], seq)
	u[8] = u[8]&0x3f | 0x80
	return AttemptID(u)
}

// Header is one header of a request or an answer.
type Header struct{ Name, Value []byte }

// Timings say where the time of an attempt went. What did not happen is zero: a connection that was used again has no DNS, Connect and TLS.
type Timings struct {
	DNS       time.Duration // finding the address
	Connect   time.Duration // TCP
	TLS       time.Duration // the handshake
	FirstByte time.Duration // from the request to the first byte of the answer
	Total     time.Duration // everything, transforms included
}

// Attempt is one try of a delivery: what was sent, what came back, how long it took and what was decided. The worker that made it owns its
// memory; whoever wants to keep one takes a Clone.
type Attempt struct {
	ID          AttemptID // given by the Recorder
	Delivery    event.DeliveryID
	Webhook     event.WebhookID
	WebhookName string
	Event       *event.Event // whole; nil when it was read back from the history
	EventID     []byte
	Type        []byte
	Tenant      []byte
	Program     []byte // empty = none
	Mark        event.Mark
	Number      int // 1 is the first
	Start       time.Time

	Status     Status
	Reason     string // the class of the failure, as in the metrics; "" = none
	HTTPStatus int    // 0 = no answer
	Detail     string // one line for people, no secrets
	Next       time.Time

	Method          []byte // empty = no request was made
	URL             []byte
	RequestHeaders  []Header // credentials are redacted
	RequestBody     []byte   // as it went out, at most the configured part of it
	RequestSize     int      // of the whole body
	SameAsEvent     bool     // the body is the event's envelope: it is not stored twice
	ResponseHeaders []Header
	ResponseBody    []byte
	ResponseSize    int    // of what was read
	Remote          []byte // address and port of the receiver
	Timings         Timings
	TransformLog    []byte

	// Keep is false for an attempt that is shown to those who watch, but not stored: a success of a webhook that logs errors only.
	Keep bool

	// Of an attempt that was read back:
	Seq      uint64 // its number in the history; newer is larger
	Redacted bool   // values in it were replaced
	BodyGone bool   // its bodies were kept for a while only
}

// Reset makes a ready for another attempt and keeps its memory.
func (a *Attempt) Reset() {
	*a = Attempt{RequestHeaders: a.RequestHeaders[:0], ResponseHeaders: a.ResponseHeaders[:0], TransformLog: a.TransformLog[:0], Remote: a.Remote[:0]}
}

// AddRequestHeader adds one header of the request.
func (a *Attempt) AddRequestHeader(name, value []byte) {
	a.RequestHeaders = append(a.RequestHeaders, Header{name, value})
}

// AddResponseHeader adds one header of the answer.
func (a *Attempt) AddResponseHeader(name, value []byte) {
	a.ResponseHeaders = append(a.ResponseHeaders, Header{name, value})
}

// Clone copies a and everything that it points to.
func (a *Attempt) Clone() *Attempt {
	c := *a
	if a.Event != nil {
		c.Event = a.Event.Clone()
	}
	for _, b := range []*[]byte{&c.EventID, &c.Type, &c.Tenant, &c.Program, &c.Method, &c.URL, &c.RequestBody, &c.ResponseBody, &c.TransformLog, &c.Remote} {
		*b = bytes.Clone(*b)
	}
	c.RequestHeaders, c.ResponseHeaders = cloneHeaders(a.RequestHeaders), cloneHeaders(a.ResponseHeaders)
	return &c
}

func cloneHeaders(hs []Header) []Header {
	if hs == nil {
		return nil
	}
	out := make([]Header, len(hs))
	for i, h := range hs {
		out[i] = Header{bytes.Clone(h.Name), bytes.Clone(h.Value)}
	}
	return out
}
