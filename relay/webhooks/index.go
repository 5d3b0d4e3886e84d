package webhooks

import (
	"slices"
	"strings"
)

// scope indexes the patterns of those webhooks of a tenant that are linked to one program, or to none. A look-up costs one map access for
// the exact type and one per distinct length of prefixes and suffixes, however many webhooks there are.
type scope struct {
	exact    map[string][]entry
	prefixes affixIndex
	suffixes affixIndex
}

// entry is one pattern of one webhook. Lists of entries are in the order of the configuration.
type entry struct {
	slot  int32 // position in Table.slots
	check glob  // "" = to be found under this key is enough
}

// affixIndex finds patterns by what a type begins (or ends) with.
type affixIndex struct {
	lens []int // the distinct lengths of the keys
	keys map[string][]entry
}

func newScope() *scope {
	return &scope{exact: map[string][]entry{}, prefixes: affixIndex{keys: map[string][]entry{}}, suffixes: affixIndex{keys: map[string][]entry{}}}
}

// add indexes one pattern. Stars are indexed by the longer one of their ends, which is what tells them apart best.
func (s *scope) add(pattern string, slot int32) {
	if !strings.Contains(pattern, "*") {
		s.exact[pattern] = append(s.exact[pattern], entry{slot: slot})
		return
	}
	e := entry{slot: slot}
	prefix, suffix, inner := affixes(pattern)
	if inner {
		e.check = glob(pattern)
	}
	if len(prefix) >= len(suffix) {
		s.prefixes.add(prefix, e)
	} else {
		s.suffixes.add(suffix, e)
	}
}

func (x *affixIndex) add(key string, e entry) {
	if !slices.Contains(x.lens, len(key)) {
		x.lens = append(x.lens, len(key))
		slices.Sort(x.lens)
	}
	x.keys[key] = append(x.keys[key], e)
}

// find appends the lists of entries that may match typ.
func (s *scope) find(lists [][]entry, typ []byte) [][]entry {
	if l := s.exact[string(typ)]; l != nil {
		lists = append(lists, l)
	}
	for _, n := range s.prefixes.lens {
		if n > len(typ) {
			break
		}
		if l := s.prefixes.keys[string(typ[:n])]; l != nil {
			lists = append(lists, l)
		}
	}
	for _, n := range s.suffixes.lens {
		if n > len(typ) {
			break
		}
		if l := s.suffixes.keys[string(typ[len(typ)-n:])]; l != nil {
			lists = append(lists, l)
		}
	}
	return lists
}
