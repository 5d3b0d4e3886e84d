package badgerq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// The keys, big-endian. Every key exists at one constant version, so a put and a delete of the same key collapse in the memtable.
//
//	m                          meta: counters, the newest group, the floor
//	a <seq 8> <chunk 2>        a commit group: the events that shared one sync
//	p <seq 8>                  progress: which deliveries of the group are settled
//	c <webhook 16>             cursor: the first group that a lagging webhook has not finished
//	z <^seq 8> <^event 4> <chunk 2>   an event that left its group, because a delivery of it waits or is dead
//	w <^seq 8> <^event 4> <webhook 16>   a waiting or dead delivery (newest event first)
//	t <webhook 16> <due ms 8> <seq 8> <event 4>   the due clock of each webhook
//	o <webhook 16> <key 16> <seq 8> <event 4>   the chain of a key: its deliveries that left their groups, oldest first
//	d <delivery 16> <^seq 8> <^event 4>   finds a w key by the delivery's id (a producer may use an event's id again, hence the place)
//	i <hash 16>                a producer's own id, for 24 hours
//	k <name>                   small values that others keep here
//
// The order matters to compaction, which rewrites every table of the next level that lies between the smallest and the largest key of the
// table it moves. What is large stands at the two ends, and what is new is nearest to the middle, so that old groups and events lie outside.
const (
	kMeta, kGroup, kProgress, kCursor = 'm', 'a', 'p', 'c'
	kEvent, kWaiting, kDue, kDelivery = 'z', 'w', 't', 'd'
	kDedup, kValue, kChain            = 'i', 'k', 'o'
)

// chunkSize keeps every stored value well under Badger's value threshold, so that nothing durable depends on the value log,
// whose failed syncs are only logged.
const chunkSize = 512 << 10

// place is one event in the log: the group it came in and its number there.
type place struct {
	seq   uint64
	event uint32
}

func appendGroupKey(b []byte, seq uint64, chunk int) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kGroup), seq)
	return binary.BigEndian.AppendUint16(b, uint16(chunk))
}

func appendProgressKey(b []byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kProgress), seq)
}

func appendCursorKey(b []byte, w event.WebhookID) []byte { return append(append(b, kCursor), w[:]...) }

func appendEventKey(b []byte, at place, chunk int) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kEvent), ^at.seq)
	b = binary.BigEndian.AppendUint32(b, ^at.event)
	return binary.BigEndian.AppendUint16(b, uint16(chunk))
}

func appendWaitingPrefix(b []byte, at place) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kWaiting), ^at.seq)
	return binary.BigEndian.AppendUint32(b, ^at.event)
}

func appendWaitingKey(b []byte, at place, w event.WebhookID) []byte {
	return append(appendWaitingPrefix(b, at), w[:]...)
}

func appendDueKey(b []byte, w event.WebhookID, due int64, at place) []byte {
	b = append(append(b, kDue), w[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(due))
	b = binary.BigEndian.AppendUint64(b, at.seq)
	return binary.BigEndian.AppendUint32(b, at.event)
}

func appendDeliveryKey(b []byte, d event.DeliveryID, at place) []byte {
	b = append(append(b, kDelivery), d[:]...)
	b = binary.BigEndian.AppendUint64(b, ^at.seq)
	return binary.BigEndian.AppendUint32(b, ^at.event)
}

// parseDeliveryKey returns the place in a key of appendDeliveryKey.
func parseDeliveryKey(k []byte) (place, bool) {
	if len(k) != 29 || k[0] != kDelivery {
		return place{}, false
	}
	return place{^binary.BigEndian.Uint64(k[17:]), ^binary.BigEndian.Uint32(k[25:])}, true
}

// parseWaitingKey is the inverse of appendWaitingKey.
func parseWaitingKey(k []byte) (place, event.WebhookID, bool) {
	if len(k) != 29 || k[0] != kWaiting {
		return place{}, event.WebhookID{}, false
	}
	return place{^binary.BigEndian.Uint64(k[1:]), ^binary.BigEndian.Uint32(k[9:])}, event.WebhookID(k[13:29]), true
}

// parseDueKey is the inverse of appendDueKey.
func parseDueKey(k []byte) (w event.WebhookID, due int64, at place, ok bool) {
	if len(k) != 37 || k[0] != kDue {
		return w, 0, at, false
	}
	due = int64(binary.BigEndian.Uint64(k[17:]))
	return event.WebhookID(k[1:17]), due, place{binary.BigEndian.Uint64(k[25:]), binary.BigEndian.Uint32(k[33:])}, due >= 0
}

// Errors of the decoders.
var (
	errDamaged = errors.New("damaged record")
	errVersion = errors.New("record of an unknown version")
)

// meta is the one record that every commit rewrites, so the counters are exact after any crash: a version byte, the fields below in
// this order as 8 bytes each, crc32.
type meta struct {
	lastSeq  uint64 // newest group that was ever committed
	floor    uint64 // no group below it has a delivery that is not settled, waiting, dead, or behind a cursor
	commits  int64  // commits ever made
	events   int64  // events ever committed
	groups   int64  // group records present
	pending  int64  // deliveries in them that are not settled on disk
	bytes    int64  // payload bytes of groups and detached events
	retrying int64
	dead     int64
	cursors  int64 // cursor records present
	values   int64 // small values present
	held     int64 // since version 2
}

const (
	metaVersion = 2
	metaFields  = 12
	metaSize    = 1 + 8*metaFields + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *meta) append(b []byte) []byte {
	start := len(b)
	b = append(b, metaVersion)
	for _, v := range [metaFields]uint64{m.lastSeq, m.floor, uint64(m.commits), uint64(m.events), uint64(m.groups), uint64(m.pending),
		uint64(m.bytes), uint64(m.retrying), uint64(m.dead), uint64(m.cursors), uint64(m.values), uint64(m.held)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func decodeMeta(b []byte) (m meta, err error) {
	if len(b) > 0 && b[0] != metaVersion && b[0] != 1 {
		return m, fmt.Errorf("meta: %w: found %d, this program reads 1 to %d", errVersion, b[0], metaVersion)
	}
	size := metaSize
	if len(b) > 0 && b[0] == 1 { // without held
		size -= 8
	}
	if len(b) != size || crc32.Checksum(b[:size-4], castagnoli) != binary.BigEndian.Uint32(b[size-4:]) {
		return m, fmt.Errorf("meta: %w: %d bytes", errDamaged, len(b))
	}
	u := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	n := func(i int) int64 { return int64(u(i)) }
	m = meta{lastSeq: u(0), floor: u(1), commits: n(2), events: n(3), groups: n(4), pending: n(5), bytes: n(6), retrying: n(7), dead: n(8),
		cursors: n(9), values: n(10)}
	if size == metaSize {
		m.held = n(11)
	}
	return m, nil
}

// A group's value, over all its chunks, little-endian:
//
//	 0   1      2     4       8           16
//	+---+------+-----+-------+-----------+--------------------------------+
//	| v | form |  0  | crc32 | committed | event records, one after the other
//	+---+------+-----+-------+-----------+--------------------------------+
//
// crc32 (Castagnoli) covers everything but itself. Form 1 is a group whose settled events were dropped: there each record comes behind
// the number, 4 bytes, that it had in the whole group.
const (
	groupVersion = 1
	groupHeader  = 16
	formWhole    = 0
	formSparse   = 1
	numberSize   = 4
)

func sealGroup(buf []byte, form byte, committed int64) {
	buf[0], buf[1], buf[2], buf[3] = groupVersion, form, 0, 0
	binary.LittleEndian.PutUint64(buf[8:], uint64(committed))
	binary.LittleEndian.PutUint32(buf[4:], groupSum(buf))
}

func groupSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

func checkGroup(b []byte) (sparse bool, committed int64, err error) {
	if len(b) < groupHeader {
		return false, 0, fmt.Errorf("group: %w: %d bytes", errDamaged, len(b))
	}
	if b[0] != groupVersion {
		return false, 0, fmt.Errorf("group: %w: found %d, this program reads %d", errVersion, b[0], groupVersion)
	}
	if got, want := groupSum(b), binary.LittleEndian.Uint32(b[4:]); got != want {
		return false, 0, fmt.Errorf("group: %w: checksum %08x, stored %08x", errDamaged, got, want)
	}
	if b[1] > formSparse {
		return false, 0, fmt.Errorf("group: %w: found form %d", errVersion, b[1])
	}
	return b[1] == formSparse, int64(binary.LittleEndian.Uint64(b[8:])), nil
}

// A progress record:
//
//	 0   1        5            5+8n
//	+---+--------+------------+-------+
//	| v | n words| settled    | crc32 |
//	+---+--------+------------+-------+
const progressVersion = 1

func progressSize(words int) int { return 9 + 8*words }

func (p *progress) append(b []byte) []byte {
	start := len(b)
	b = append(b, progressVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.settled)))
	for _, w := range p.settled {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// decode reads what append wrote, for a group of total deliveries whose bitmaps are ready. A record that does not fit is not believed:
// the deliveries are made again rather than lost.
func (p *progress) decode(b []byte, total int) bool {
	n := len(p.settled)
	if len(b) != progressSize(n) || b[0] != progressVersion || int(binary.BigEndian.Uint32(b[1:])) != n ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return false
	}
	for i := range p.settled {
		p.settled[i] = binary.BigEndian.Uint64(b[5+8*i:])
	}
	if used := total % 64; used != 0 && p.settled[n-1]>>used != 0 {
		clear(p.settled)
		return false
	}
	p.nSettled = p.settled.count()
	p.onDisk = p.nSettled
	return true
}

// waiting is what a delivery outside its group remembers:
//
//	 0   1       2        3       5          7       15      23      31      35
//	+---+-------+--------+-------+----------+-------+-------+-------+-------+--------+
//	| v | state | reason | status| attempts | first | due   | at    | size  | detail |
//	+---+-------+--------+-------+----------+-------+-------+-------+-------+--------+
//
// followed by crc32. size is the length of the event's record, for the byte counter. Version 2, of a delivery in a chain, has the 16 bytes of
// the chain's key before detail.
type waiting struct {
	state    queue.State
	attempts int
	first    int64
	due      int64
	size     uint32
	last     queue.Failure
	key      queue.OrderKey
	chained  bool
}

const (
	waitingVersion = 1
	waitingChained = 2
	waitingHeader  = 35
	maxDetail      = 512
)

func (w *waiting) append(b []byte) []byte {
	start := len(b)
	version := byte(waitingVersion)
	if w.chained {
		version = waitingChained
	}
	b = append(b, version, byte(w.state), byte(w.last.Reason))
	b = binary.BigEndian.AppendUint16(b, uint16(w.last.Status))
	b = binary.BigEndian.AppendUint16(b, uint16(min(w.attempts, 1<<16-1)))
	b = binary.BigEndian.AppendUint64(b, uint64(w.first))
	b = binary.BigEndian.AppendUint64(b, uint64(w.due))
	b = binary.BigEndian.AppendUint64(b, uint64(w.last.At))
	b = binary.BigEndian.AppendUint32(b, w.size)
	if w.chained {
		b = append(b, w.key[:]...)
	}
	b = append(b, strings.ToValidUTF8(w.last.Detail[:min(len(w.last.Detail), maxDetail)], "")...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func decodeWaiting(b []byte) (w waiting, err error) {
	if len(b) > 0 && b[0] != waitingVersion && b[0] != waitingChained {
		return w, fmt.Errorf("waiting delivery: %w: found %d, this program reads 1 and 2", errVersion, b[0])
	}
	head := waitingHeader
	if len(b) > 0 && b[0] == waitingChained {
		head += len(w.key)
	}
	if len(b) < head+4 || crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return w, fmt.Errorf("waiting delivery: %w: %d bytes", errDamaged, len(b))
	}
	w.state, w.last.Reason = queue.State(b[1]), queue.Reason(b[2])
	w.last.Status, w.attempts = int(binary.BigEndian.Uint16(b[3:])), int(binary.BigEndian.Uint16(b[5:]))
	w.first, w.due = int64(binary.BigEndian.Uint64(b[7:])), int64(binary.BigEndian.Uint64(b[15:]))
	w.last.At, w.size = int64(binary.BigEndian.Uint64(b[23:])), binary.BigEndian.Uint32(b[31:])
	if w.chained = b[0] == waitingChained; w.chained {
		w.key = queue.OrderKey(b[waitingHeader:])
	}
	w.last.Detail = string(b[head : len(b)-4])
	return w, nil
}

// A cursor record: version, floor, due watermark, crc32.
const (
	cursorVersion = 1
	cursorSize    = 21
)

func appendCursor(b []byte, floor uint64, due int64) []byte {
	start := len(b)
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, floor)
	b = binary.BigEndian.AppendUint64(b, uint64(due))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func decodeCursor(b []byte) (floor uint64, due int64, err error) {
	if len(b) > 0 && b[0] != cursorVersion {
		return 0, 0, fmt.Errorf("cursor: %w: found %d, this program reads %d", errVersion, b[0], cursorVersion)
	}
	if len(b) != cursorSize || crc32.Checksum(b[:cursorSize-4], castagnoli) != binary.BigEndian.Uint32(b[cursorSize-4:]) {
		return 0, 0, fmt.Errorf("cursor: %w: %d bytes", errDamaged, len(b))
	}
	return binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:])), nil
}

// dedupTTL is how long a producer's own id is remembered (contract, section 4).
const dedupTTL = 24 * time.Hour

// A dedup value is the fingerprint, 16 bytes, and the id that was answered.
func appendDedup(b []byte, fingerprint [16]byte, id []byte) []byte {
	return append(append(b, fingerprint[:]...), id...)
}
