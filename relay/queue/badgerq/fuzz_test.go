package badgerq

import (
	"bytes"
	"hash/crc32"
	"testing"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

func FuzzDecodeMeta(f *testing.F) {
	m := meta{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	f.Add(m.append(nil))
	f.Add(metaV1)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMeta(b); err == nil && b[0] == metaVersion && !bytes.Equal(m.append(nil), b) {
			t.Errorf("%x is read as %+v, which is written as %x", b, m, m.append(nil))
		}
	})
}

func FuzzDecodeWaiting(f *testing.F) {
	w := waiting{state: queue.StateDead, attempts: 3, first: 4, due: 5, size: 6, last: queue.Failure{Detail: "x", Status: 500, At: 7}}
	f.Add(w.append(nil))
	w.chained, w.key = true, queue.OrderKey{1, 2, 3}
	f.Add(w.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := decodeWaiting(b); err == nil && w.chained && !bytes.Equal(w.append(nil)[:waitingHeader+16], b[:waitingHeader+16]) {
			t.Errorf("%x is read as %+v", b, w)
		}
	})
}

// metaV1 is a meta record of version 1, with the fields 1 to 11: it is read for ever.
var metaV1 = append(append([]byte{1}, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5,
	0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10,
	0, 0, 0, 0, 0, 0, 0, 11), 0x6b, 0x5c, 0xb8, 0xc3)

func TestMetaOfVersion1(t *testing.T) {
	want := meta{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0}
	if m, err := decodeMeta(metaV1); err != nil || m != want {
		t.Errorf("%+v, %v (its checksum would be %08x)", m, err, crc32.Checksum(metaV1[:len(metaV1)-4], castagnoli))
	}
}

func FuzzDecodeCursor(f *testing.F) {
	f.Add(appendCursor(nil, 7, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		if floor, due, err := decodeCursor(b); err == nil && !bytes.Equal(appendCursor(nil, floor, due), b) {
			t.Errorf("%x is read as %d, %d", b, floor, due)
		}
	})
}

// FuzzGroup reads arbitrary bytes as a group, with a correct checksum so that it gets past that.
func FuzzGroup(f *testing.F) {
	g := newGroup(nil)
	e := makeEvent("e", 10)
	g.add(&e, []event.WebhookID{hook(1), hook(2)})
	g.add(&e, nil)
	sealGroup(g.own.buf, formWhole, 1)
	f.Add(g.own.buf, true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= groupHeader {
			b = bytes.Clone(b)
			b[0] = groupVersion
			sealForm(b)
		}
		g := newGroup(nil)
		g.own.buf = b
		if err := g.index(); err != nil {
			return
		}
		g.ready()
		n := 0
		for i := range uint32(len(g.events)) {
			g.number(i)
			n += g.targets(b, i).Len()
		}
		if n != g.total {
			t.Errorf("total is %d, targets are %d", g.total, n)
		}
	})
}

func FuzzProgress(f *testing.F) {
	g := newGroup(nil)
	g.total = 70
	g.ready()
	g.settled.set(69)
	f.Add(g.progress.append(nil), 70)
	f.Fuzz(func(t *testing.T, b []byte, total int) {
		if total < 0 || total > 1<<16 {
			return
		}
		g := newGroup(nil)
		g.total = total
		g.ready()
		if g.progress.decode(b, total) && g.nSettled > total {
			t.Errorf("%d of %d are settled", g.nSettled, total)
		}
	})
}

func FuzzWAL(f *testing.F) {
	f.Add(append(make([]byte, walHeader), 0x40, 0, 1, 1, 0, 'k', 'v', 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if end := scanWAL(b); end > len(b) {
			t.Errorf("%d bytes end at %d", len(b), end)
		}
	})
}
