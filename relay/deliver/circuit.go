package deliver

import (
	"math/bits"
	"time"
)

// State of a lane's circuit.
type State uint8

// The states. Half open lets one attempt through at a time.
const (
	Closed State = iota
	HalfOpen
	Open
	Disabled
)

// String returns "closed", "half_open", "open" or "disabled".
func (s State) String() string { return [...]string{"closed", "half_open", "open", "disabled"}[s] }

const (
	resultsKept = 32               // a circuit looks back on this many results,
	openAfter   = 16               // and opens when it has at least so many of them,
	openShare   = 95               // and this percentage of them is bad:
	openFirst   = 1 * time.Second  // for this long at first,
	openMost    = 30 * time.Second // twice as long each time, up to this
)

// circuit decides whether a receiver is to be left alone for a while. It has no clock and no lock of its own: time is passed in, the
// lane's owner guards it. A receiver that cannot be reached, does not answer in time, or answers 429 or 5xx to nearly all of its last
// requests opens it; after the wait one attempt at a time goes through, and the first success closes it. A receiver that answers half of
// them badly is up: what it can take is found out by the lane's pace, and the chance that it opens a circuit is one in a hundred thousand.
type circuit struct {
	state   State
	results uint32 // the last ones, the newest lowest; 1 = bad
	n       int    // how many of them
	wait    time.Duration
	until   time.Time
	reason  string
}

// success notes a good answer and says whether the circuit has closed by it.
func (c *circuit) success() (closed bool) {
	switch c.state {
	case Disabled:
		return false
	case Closed:
		c.note(0)
		return false
	}
	*c = circuit{}
	return true
}

// failure notes a bad answer and says whether the circuit has opened by it.
func (c *circuit) failure(now time.Time, reason string) bool {
	switch c.state {
	case Disabled, Open:
		return false
	case Closed:
		if c.note(1); c.n < openAfter || 100*c.bad() < openShare*c.n {
			return false
		}
	}
	c.wait = min(max(2*c.wait, openFirst), openMost)
	c.state, c.until, c.reason = Open, now.Add(c.wait), reason
	return true
}

func (c *circuit) note(bad uint32) {
	c.results = c.results<<1 | bad
	c.n = min(c.n+1, resultsKept)
}

// bad is how many of the last results were.
func (c *circuit) bad() int { return bits.OnesCount32(c.results) }

// pause opens the circuit because the receiver has said for how long.
func (c *circuit) pause(now time.Time, d time.Duration) bool {
	until := now.Add(d)
	if c.state == Disabled || c.state == Open && !until.After(c.until) {
		return false
	}
	c.state, c.until, c.reason = Open, until, "the receiver asked for a pause (Retry-After)"
	return true
}

// try lets one attempt through when the wait is over.
func (c *circuit) try(now time.Time) bool {
	if c.state == Open && !now.Before(c.until) {
		c.state = HalfOpen
		return true
	}
	return false
}
