package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// later lists what belongs to the config but is not built yet: keys, and values of keys behind an equals sign. Whoever uses one gets
// told so, instead of a suggestion that makes no sense.
var later = map[string]bool{
	"sources":                 true,
	"queue.backend=jetstream": true,
}

var position = regexp.MustCompile(`\[\d+\]`)

// isLater looks path (or path=value) up in later.
func isLater(path string) bool { return later[position.ReplaceAllString(path, "[]")] }

// unknownKey reports a key that the struct does not have, and returns the keys whose absence it explains.
func (d *decoder) unknownKey(path string, key *yaml.Node, known fields) []string {
	if d.report.full() {
		return nil
	}
	if isLater(path) {
		d.fault(path, key, "%s is not available in this version", key.Value)
		return known.keys
	}
	d.fault(path, key, "unknown key %q%s", clip(key.Value), suggest(key.Value, known.keys))
	if near := nearest(key.Value, known.keys); near != "" {
		return []string{near}
	}
	return nil
}

// Suggest ends a message about an unknown name, for the packages that know what there is: with the nearest known one, or with all of them.
func Suggest(name string, known []string) string { return suggest(name, known) }

// suggest ends a message about an unknown name: with the nearest known one, or with all of them when none is near.
func suggest(name string, known []string) string {
	best := nearest(name, known)
	switch {
	case best != "":
		return fmt.Sprintf(": did you mean %q?", best)
	case len(known) == 0:
		return ""
	case len(known) > 12:
		return ": known are " + strings.Join(known[:12], ", ") + " …"
	}
	return ": known are " + strings.Join(known, ", ")
}

// nearest returns the known name that looks most like name, or "".
func nearest(name string, known []string) string {
	best, distance := "", 1+max(2, len(name)/3)
	for _, candidate := range known {
		if n := editDistance(strings.ToLower(name), strings.ToLower(candidate), distance); n < distance {
			best, distance = candidate, n
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b. Once that is certain to
// be at least limit it stops counting, so that a very long name costs nothing.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if slices.Min(row) >= limit {
			return limit
		}
		before, last = last, row
	}
	return last[len(b)]
}
