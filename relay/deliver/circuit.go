package deliver

import "time"

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
	openAfter = 10               // bad answers in a row that open a circuit
	openFirst = 1 * time.Second  // for this long at first,
	openMost  = 30 * time.Second // twice as long each time, up to this
)

// circuit decides whether a receiver is to be left alone for a while. It has no clock and no lock of its own: time is passed in, the
// lane's owner guards it. A receiver that cannot be reached, does not answer in time, or answers 429 or 5xx ten times in a row opens it;
// after the wait one attempt at a time goes through; the first success closes it, with a limit that doubles with every success.
type circuit struct {
	state  State
	bad    int           // in a row
	wait   time.Duration // of the last opening
	until  time.Time
	reason string
	limit  int // attempts at a time while it recovers; 0 = no limit
}

// success notes a good answer.
func (c *circuit) success(most int) {
	switch {
	case c.state == Disabled:
		return
	case c.state != Closed:
		c.limit = 1
	case c.limit > 0:
		if c.limit *= 2; c.limit >= most {
			c.limit = 0
		}
	}
	c.state, c.bad, c.wait, c.reason = Closed, 0, 0, ""
}

// failure notes a bad answer and says whether the circuit has opened by it.
func (c *circuit) failure(now time.Time, reason string) bool {
	c.bad++
	if c.state == Disabled || c.state == Open || c.state == Closed && c.bad < openAfter {
		return false
	}
	c.wait = min(max(2*c.wait, openFirst), openMost)
	c.state, c.until, c.reason = Open, now.Add(c.wait), reason
	return true
}

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
