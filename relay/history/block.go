package history

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"edgerelay/relay/event"
)

// block is the summary of a stored block. It is kept in memory, so a search reads only blocks that may have what it looks for.
type block struct {
	first, last          uint64
	minTime, maxTime     int64
	count                uint32
	metaBytes, bodyBytes uint32 // as stored
	kinds                uint8  // 1 = events, 2 = attempts
	statuses             uint8  // a bit per Status
	names                [8]uint64
}

const (
	summaryVersion = 1
	summarySize    = 1 + 8 + 8 + 8 + 4 + 4 + 4 + 1 + 1 + 64
)

func (b *block) has(s Status) bool { return b.statuses&(1<<s) != 0 }

func (b *block) encode() []byte {
	v := make([]byte, 0, summarySize)
	v = append(v, summaryVersion)
	v = le.AppendUint64(v, b.last)
	v = le.AppendUint64(v, uint64(b.minTime))
	v = le.AppendUint64(v, uint64(b.maxTime))
	v = le.AppendUint32(v, b.count)
	v = le.AppendUint32(v, b.metaBytes)
	v = le.AppendUint32(v, b.bodyBytes)
	v = append(v, b.kinds, b.statuses)
	for _, w := range b.names {
		v = le.AppendUint64(v, w)
	}
	return v
}

func (b *block) decode(k, v []byte) error {
	if len(k) != 9 || len(v) != summarySize || v[0] != summaryVersion {
		return fmt.Errorf("%w: summary of %d bytes", errDamaged, len(v))
	}
	*b = block{first: binary.BigEndian.Uint64(k[1:]), last: le.Uint64(v[1:]), minTime: int64(le.Uint64(v[9:])), maxTime: int64(le.Uint64(v[17:])),
		count: le.Uint32(v[25:]), metaBytes: le.Uint32(v[29:]), bodyBytes: le.Uint32(v[33:]), kinds: v[37], statuses: v[38]}
	for i := range b.names {
		b.names[i] = le.Uint64(v[39+8*i:])
	}
	return nil
}

// What names holds are hashes of webhooks, tenants, types and programs, two bits each: enough to say that a block has none of them.
const (
	nameWebhook = 'w'
	nameTenant  = 't'
	nameType    = 'y'
	nameProgram = 'p'
)

func (b *block) addName(h uint64) {
	b.names[h>>6&7] |= 1 << (h & 63)
	h >>= 16
	b.names[h>>6&7] |= 1 << (h & 63)
}

func (b *block) mayHave(h uint64) bool {
	g := h >> 16
	return b.names[h>>6&7]&(1<<(h&63)) != 0 && b.names[g>>6&7]&(1<<(g&63)) != 0
}

// hash is FNV-1a with a stir at its end: it is stored, so it never changes.
func hash(kind byte, parts ...[]byte) uint64 {
	h := uint64(14695981039346656037)
	step := func(c byte) { h = (h ^ uint64(c)) * 1099511628211 }
	step(kind)
	for _, p := range parts {
		for _, c := range p {
			step(c)
		}
		step(0)
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return h
}

// summarize describes a block and lists what the index shall find in it. seen saves work: most records of a block share their names.
func summarize(meta []byte, seen *nameCache, entries []entry) (block, []entry, error) {
	var b block
	clear(seen.names)
	err := eachRecord(meta, func(r rec) error {
		if b.count == 0 {
			b.first, b.minTime, b.maxTime = r.seq(), r.time(), r.time()
		}
		b.count++
		b.last = r.seq()
		b.minTime, b.maxTime = min(b.minTime, r.time()), max(b.maxTime, r.time())
		b.kinds |= r.kind()
		if r.kind() == kindAttempt {
			b.statuses |= 1 << r.status()
			w := r.webhook()
			seen.add(&b, nameWebhook, w[:])
		} else {
			for t := r.text(textTargets); len(t) >= 16; t = t[16:] {
				seen.add(&b, nameWebhook, t[:16])
			}
		}
		seen.add(&b, nameTenant, r.text(textTenant))
		seen.add(&b, nameType, r.text(textType))
		if p := r.text(textProgram); len(p) > 0 {
			seen.add(&b, nameProgram, p)
		}
		entries = appendEntries(entries, r)
		return nil
	})
	return b, entries, err
}

// nameCache remembers which names a block has already.
type nameCache struct {
	seed  maphash.Seed
	names map[uint64]struct{}
}

func newNameCache() *nameCache {
	return &nameCache{seed: maphash.MakeSeed(), names: map[uint64]struct{}{}}
}

func (c *nameCache) add(b *block, kind byte, name []byte) {
	quick := maphash.Bytes(c.seed, name) ^ uint64(kind)
	if _, ok := c.names[quick]; ok {
		return
	}
	c.names[quick] = struct{}{}
	b.addName(hash(kind, name))
}

// The ids that the index finds: an event's, whatever its tenant, and a delivery's.
func eventHash(id []byte) uint64 { return hash('e', id) }

func deliveryHash(id event.DeliveryID) uint64 { return hash('d', id[:]) }

func appendEntries(list []entry, r rec) []entry {
	list = append(list, entry{eventHash(r.text(textID)), r.seq()})
	if r.kind() == kindAttempt {
		list = append(list, entry{deliveryHash(r.delivery()), r.seq()})
	}
	return list
}
