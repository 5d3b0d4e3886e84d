package webhooks

import (
	"fmt"
	"strings"

	"edgerelay/relay/event"
)

// CheckPattern reports why p cannot be an event pattern, or nil: 1 to 255 of the characters of event types, and '*' anywhere.
func CheckPattern(p string) error {
	if p == "" {
		return fmt.Errorf("event pattern is empty; all events are %q", "*")
	}
	if !event.ValidType([]byte(strings.ReplaceAll(p, "*", "-"))) {
		return fmt.Errorf("event pattern %q: want at most 255 of the characters A-Z a-z 0-9 _ . : / - and *", p)
	}
	return nil
}

// glob is a pattern with '*' in it that its index entry does not decide alone.
type glob string

// matches reports whether g covers all of s; '*' stands for any run of characters, also an empty one, also with dots in it.
// It never looks back further than the last star, so it takes at most len(g)*len(s) steps.
func (g glob) matches(s []byte) bool {
	i, p := 0, 0
	star, retry := -1, 0 // where the last star stands in g, and the next place in s to let it end
	for i < len(s) {
		switch {
		case p < len(g) && g[p] == '*':
			star, retry = p, i
			p++
		case p < len(g) && g[p] == s[i]:
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	for p < len(g) && g[p] == '*' {
		p++
	}
	return p == len(g)
}

// affixes says what every text that p matches begins and ends with, and whether one of the two is all that p asks for.
func affixes(p string) (prefix, suffix string, inner bool) {
	first, last := strings.IndexByte(p, '*'), strings.LastIndexByte(p, '*')
	prefix, suffix = p[:first], p[last+1:]
	return prefix, suffix, strings.Trim(p[first:last+1], "*") != "" || prefix != "" && suffix != ""
}

// OperationalPrefix is how the types of the relay's own events begin. Only patterns that begin with it too take them in: a webhook for "*" wants
// what producers send. Producers may not send such types.
const OperationalPrefix = "edgerelay."

// MatchPattern says whether a pattern takes in an event type. The Table has an index for it; this is for one pattern at a time.
func MatchPattern(p, typ string) bool {
	return (strings.HasPrefix(p, OperationalPrefix) || !strings.HasPrefix(typ, OperationalPrefix)) && glob(p).matches([]byte(typ))
}
