package event

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// UUID is the 128-bit value behind every TypeID of the product.
type UUID [16]byte

// WebhookID names one webhook. Those that come from a file derive theirs from tenant and name (see NamedWebhookID).
type WebhookID UUID

// DeliveryID names one event for one webhook. It is derived from both, so that fan-out can be done again after a crash.
type DeliveryID UUID

// The prefixes of the TypeIDs (contract, "Words").
const (
	PrefixEvent         = "we"
	PrefixWebhook       = "wh"
	PrefixDelivery      = "dl"
	PrefixAttempt       = "at"
	PrefixAuthorization = "au"
)

// clock makes UUIDv7s that never go back: a 48-bit millisecond and a 12-bit counter seeded per millisecond (RFC 9562, 6.2 method 1).
type clock struct {
	mu      sync.Mutex
	last    int64  // millisecond of the last id
	counter uint16 // 12 bits
	rnd     [1024]byte
	used    int
}

var ids = clock{used: 1024}

// NewUUID returns a UUIDv7 for the time now; ids made in one process are strictly increasing.
func NewUUID(now time.Time) UUID { return ids.next(now.UnixMilli()) }

func (c *clock) next(ms int64) UUID {
	var u UUID
	c.mu.Lock()
	if c.used+10 > len(c.rnd) {
		rand.Read(c.rnd[:]) // never fails (crypto/rand, since Go 1.24)
		c.used = 0
	}
	r := c.rnd[c.used : c.used+10]
	c.used += 10
	if ms > c.last {
		c.last, c.counter = ms, binary.BigEndian.Uint16(r)&0x7ff // top bit clear: room to count up
	} else if c.counter++; c.counter > 0xfff {
		c.last, c.counter = c.last+1, 0
	}
	ms = c.last
	binary.BigEndian.PutUint64(u[0:], uint64(ms)<<16|0x7000|uint64(c.counter))
	copy(u[8:], r[2:])
	c.mu.Unlock()
	u[8] = u[8]&0x3f | 0x80
	return u
}

// NamedWebhookID is the id of a webhook that a file defines: the same tenant and name give the same id on every machine.
// It is a UUIDv8 (RFC 9562, 5.8) over SHA-256.
func NamedWebhookID(tenant, name string) WebhookID {
	h := sha256.New()
	h.Write([]byte("edgerelay webhook\x00" + tenant + "\x00" + name))
	return WebhookID(version8(h.Sum(nil)))
}

// DeliveryIDOf derives a delivery's id from its event's id (within its tenant) and its webhook. It allocates nothing.
func DeliveryIDOf(tenant, eventID []byte, w WebhookID) DeliveryID {
	var buf [600]byte
	b := append(buf[:0], w[:]...)
	b = append(b, tenant...)
	b = append(b, 0)
	b = append(b, eventID...)
	sum := sha256.Sum256(b)
	return DeliveryID(version8(sum[:]))
}

func version8(sum []byte) UUID {
	var u UUID
	copy(u[:], sum)
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

var crockfordValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(crockford) {
		t[crockford[i]] = byte(i)
	}
	return t
}()

// AppendTypeID appends prefix, "_" and the 26 base32 characters of u (TypeID specification 0.3).
func AppendTypeID(dst []byte, prefix string, u UUID) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, '_')
	hi, lo := binary.BigEndian.Uint64(u[:8]), binary.BigEndian.Uint64(u[8:])
	for shift := 125; shift >= 0; shift -= 5 {
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59:
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		dst = append(dst, crockford[v&31])
	}
	return dst
}

// ErrID is what ParseTypeID wraps: the text is not a TypeID of the wanted kind.
var ErrID = errors.New("not a valid id")

// ParseTypeID reads a TypeID with this prefix. The first character must be at most '7', else the value has more than 128 bits.
func ParseTypeID(prefix, s string) (UUID, error) {
	var u UUID
	n := len(prefix) + 1
	if len(s) != n+26 || s[:len(prefix)] != prefix || s[n-1] != '_' {
		return u, fmt.Errorf("%w: want %s_ and 26 characters, got %q", ErrID, prefix, s)
	}
	var hi, lo uint64
	for i := n; i < len(s); i++ {
		v := crockfordValue[s[i]]
		if v == 0xff || (i == n && v > 7) {
			return u, fmt.Errorf("%w: character %q at %d in %q", ErrID, s[i], i, s)
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	binary.BigEndian.PutUint64(u[:8], hi)
	binary.BigEndian.PutUint64(u[8:], lo)
	return u, nil
}

// String returns the TypeID, wh_….
func (w WebhookID) String() string { return string(AppendTypeID(nil, PrefixWebhook, UUID(w))) }

// String returns the TypeID, dl_….
func (d DeliveryID) String() string { return string(AppendTypeID(nil, PrefixDelivery, UUID(d))) }

// ParseWebhookID reads wh_….
func ParseWebhookID(s string) (WebhookID, error) {
	u, err := ParseTypeID(PrefixWebhook, s)
	return WebhookID(u), err
}

// ParseDeliveryID reads dl_….
func ParseDeliveryID(s string) (DeliveryID, error) {
	u, err := ParseTypeID(PrefixDelivery, s)
	return DeliveryID(u), err
}
