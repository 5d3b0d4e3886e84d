// Package dnstest is a name server for tests, without a socket: names resolve to what the test says, and may say something else the next time.
//
// Only tests use it. Resolver starts one goroutine per query, which ends with its connection. It imports nothing of ours.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// Zone says what names resolve to. Make it before it is used; its methods may then be called from any goroutine.
type Zone struct {
	// Names are the answers by name, in lower case without the last dot. A name with several lists gives one after the other, the last one
	// for ever: that is how addresses are rebound.
	Names map[string][][]netip.Addr
	// Others is the answer for every other name; nil = there is no such name.
	Others []netip.Addr
	// Aliases are CNAME records.
	Aliases map[string]string

	mu    sync.Mutex
	asked map[string]int
}

// One is the answer for a name that always has these addresses.
func One(addrs ...netip.Addr) [][]netip.Addr { return [][]netip.Addr{addrs} }

// Asked says how often the addresses of name were asked for, by the larger of its two types.
func (z *Zone) Asked(name string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return max(z.asked[name+"/4"], z.asked[name+"/6"])
}

// Resolver returns a resolver that knows z and nothing else.
func (z *Zone) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go z.serve(ours)
		return theirs, nil
	}}
}

// serve answers queries as they are framed over TCP.
func (z *Zone) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil || len(query) < 17 {
			return
		}
		answer := z.answer(query)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
)

// answer makes the answer to a query with one question.
func (z *Zone) answer(query []byte) []byte {
	at := 12
	var labels []string
	for at < len(query) && query[at] != 0 {
		n := int(query[at])
		if at+1+n >= len(query) {
			return nil
		}
		labels = append(labels, strings.ToLower(string(query[at+1:at+1+n])))
		at += 1 + n
	}
	end := at + 5 // the root, type, class
	if end > len(query) {
		return nil
	}
	name, kind := strings.Join(labels, "."), binary.BigEndian.Uint16(query[at+1:])
	var records []byte
	count := uint16(0)
	add := func(owner string, kind uint16, data []byte) {
		records = append(records, appendName(nil, owner)...)
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0) // class IN, TTL 0
		records = binary.BigEndian.AppendUint16(records, uint16(len(data)))
		records = append(records, data...)
		count++
	}
	owner := name
	if to := z.Aliases[owner]; to != "" {
		add(owner, typeCNAME, appendName(nil, to))
		owner = to
	}
	addrs, known := z.next(owner, kind)
	for _, a := range addrs {
		switch {
		case kind == typeA && a.Is4():
			add(owner, typeA, a.AsSlice())
		case kind == typeAAAA && a.Is6():
			add(owner, typeAAAA, a.AsSlice())
		}
	}
	flags := uint16(0x8580) // an authoritative answer
	if !known {
		flags |= 3 // there is no such name
	}
	out := append([]byte(nil), query[:2]...)
	for _, n := range []uint16{flags, 1, count, 0, 0} {
		out = binary.BigEndian.AppendUint16(out, n)
	}
	return append(append(out, query[12:end]...), records...)
}

func (z *Zone) next(name string, kind uint16) (addrs []netip.Addr, known bool) {
	lists, known := z.Names[name]
	if !known && z.Others != nil {
		lists, known = One(z.Others...), true
	}
	key := name + "/4"
	if kind == typeAAAA {
		key = name + "/6"
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.asked == nil {
		z.asked = map[string]int{}
	}
	n := z.asked[key]
	z.asked[key]++
	if len(lists) == 0 {
		return nil, known
	}
	return lists[min(n, len(lists)-1)], known
}

func appendName(dst []byte, name string) []byte {
	for label := range strings.SplitSeq(name, ".") {
		dst = append(append(dst, byte(len(label))), label...)
	}
	return append(dst, 0)
}
