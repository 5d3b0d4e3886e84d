package deliver

import (
	"net/http"
	"strconv"
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// Outcome is what an attempt came to, before anybody judges it.
type Outcome struct {
	Reason     queue.Reason // ReasonNone = the receiver has it
	Status     int          // HTTP status, 0 = no answer
	RetryAfter time.Duration
	Detail     string // one line, no secrets
	Ours       bool   // our fault, not the receiver's: no attempt is counted
	Final      bool   // it would fail in the same way again
	swapped    bool   // a transform was closed by a reload before it got the event
}

// Action is what becomes of a delivery.
type Action uint8

// The actions.
const (
	Ack Action = iota
	Retry
	Bury
)

// String returns "ack", "retry" or "bury".
func (a Action) String() string { return [...]string{"ack", "retry", "bury"}[a] }

// Verdict is the decision on an attempt.
type Verdict struct {
	Action  Action
	Due     time.Time     // of a Retry
	Counted bool          // it used up an attempt of the schedule
	Pause   time.Duration // leave the whole webhook alone for this long
	Disable bool          // the receiver is gone for good
	Bad     bool          // the receiver is in trouble: count it for the circuit
	Jam     bool          // the receiver, or what stands before it, has too much to do: fewer requests at a time
}

const (
	// maxRetryAfter bounds what a receiver can ask for.
	maxRetryAfter = 24 * time.Hour
	// ourDelay is how long we wait after a fault of our own.
	ourDelay = time.Second
)

// Judge decides. attempts is how many were counted before this one; random is uniform in [0,1). It depends on nothing else.
//
//	2xx                          ack
//	410                          bury, disable the webhook
//	429, 503 with Retry-After    retry no earlier than that, pause the webhook
//	any other answer or failure  retry by the schedule; after its last entry, bury. No access token is one of them: nothing was sent, but
//	                             the cause may be a mistake that only people can correct, and the webhook is left alone as if it were down
//	our own fault                retry in a second, not counted
func Judge(o Outcome, attempts int, p webhooks.RetryPolicy, now time.Time, random float64) Verdict {
	switch {
	case o.Reason == queue.ReasonNone || o.Reason == queue.ReasonDropped:
		return Verdict{Action: Ack}
	case o.Ours:
		return Verdict{Action: Retry, Due: now.Add(ourDelay)}
	case o.Reason == queue.ReasonGone:
		return Verdict{Action: Bury, Counted: true, Disable: true}
	case o.Reason == queue.ReasonNoWebhook:
		return Verdict{Action: Bury}
	case o.Final:
		return Verdict{Action: Bury, Counted: true}
	}
	v := Verdict{Action: Bury, Counted: true, Bad: inTrouble(o), Jam: overloaded(o)}
	if o.Status == http.StatusTooManyRequests || o.Status == http.StatusServiceUnavailable {
		v.Pause = min(o.RetryAfter, maxRetryAfter)
	}
	if attempts < len(p.Schedule) {
		v.Action = Retry
		v.Due = now.Add(max(jitter(p.Schedule[attempts], p.Jitter, random), v.Pause))
	}
	return v
}

// inTrouble tells a receiver that cannot serve anybody from one that refuses this event.
func inTrouble(o Outcome) bool {
	switch o.Reason {
	case queue.ReasonTransform, queue.ReasonPayload:
		return false
	case queue.ReasonStatus:
		return o.Status >= 500 && o.Status != http.StatusNotImplemented || o.Status == http.StatusTooManyRequests || o.Status == http.StatusRequestTimeout
	}
	return true
}

// overloaded tells a receiver that gets more than it can take.
func overloaded(o Outcome) bool {
	switch o.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return o.Reason == queue.ReasonTimeout
}

// jitter spreads d by ±share.
func jitter(d time.Duration, share, random float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*random-1)))
}

// ParseRetryAfter reads the header (RFC 9110, 10.2.3): seconds, or a date in one of three forms. What is unreadable, past or negative is 0.
func ParseRetryAfter(value []byte, now time.Time) time.Duration {
	if len(value) == 0 {
		return 0
	}
	if seconds, err := strconv.ParseUint(string(value), 10, 63); err == nil {
		return min(time.Duration(min(seconds, 1<<32))*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(string(value))
	if err != nil || !at.After(now) {
		return 0
	}
	return min(at.Sub(now), maxRetryAfter)
}
