package history

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"

	"github.com/dgraph-io/badger/v4"
)

// entry leads from the hash of an id to a record. Different ids may share a hash: whoever follows an entry looks at the record.
type entry struct {
	hash uint64
	seq  uint64
}

// The index is written in chunks, each sorted as a whole and cut into pages. A search by id reads one page per chunk.
const (
	indexEntries = 1 << 16
	pageEntries  = 1 << 10
	entrySize    = 16
)

// indexChunk is the directory of one chunk: the first hash of each of its pages.
type indexChunk struct {
	number uint32
	pages  []uint64
}

func pageKey(chunk uint32, first uint64) []byte {
	k := binary.BigEndian.AppendUint32([]byte{keyPage}, chunk)
	return binary.BigEndian.AppendUint64(k, first)
}

// writeIndex writes the pending entries as a chunk. Only the writer calls it.
func (s *slice) writeIndex() error {
	s.mu.RLock()
	list := slices.Clone(s.pending)
	c := indexChunk{number: uint32(len(s.chunks))}
	s.mu.RUnlock()
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.seq, b.seq)) })
	reach := uint64(0)
	err := s.db.Update(func(txn *badger.Txn) error {
		for at := 0; at < len(list); {
			end := min(at+pageEntries, len(list))
			for end < len(list) && list[end].hash == list[end-1].hash {
				end++ // a hash is in one page
			}
			page := make([]byte, 0, entrySize*(end-at))
			for _, e := range list[at:end] {
				page = le.AppendUint64(le.AppendUint64(page, e.hash), e.seq)
				reach = max(reach, e.seq)
			}
			c.pages = append(c.pages, list[at].hash)
			if err := txn.Set(pageKey(c.number, list[at].hash), page); err != nil {
				return err
			}
			at = end
		}
		return txn.Set(binary.BigEndian.AppendUint32([]byte{keyReach}, c.number), binary.BigEndian.AppendUint64(nil, reach))
	})
	if err != nil {
		return fmt.Errorf("write index of history %s: %w", filepath.Base(s.dir), err)
	}
	s.mu.Lock()
	s.chunks = append(s.chunks, c)
	s.pending = nil
	s.mu.Unlock()
	return nil
}

// loadIndex reads the directory of the index and how far it reaches.
func (s *slice) loadIndex(txn *badger.Txn, reach *uint64) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyReach}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		k := it.Item().Key()
		if err := it.Item().Value(func(v []byte) error {
			if len(k) != 5 || len(v) != 8 {
				return fmt.Errorf("%w: index", errDamaged)
			}
			*reach = max(*reach, binary.BigEndian.Uint64(v))
			return nil
		}); err != nil {
			return err
		}
		s.chunks = append(s.chunks, indexChunk{number: binary.BigEndian.Uint32(k[1:])})
	}
	it.Close()
	for i := range s.chunks {
		c := &s.chunks[i]
		if c.number != uint32(i) {
			return fmt.Errorf("%w: index chunk %d is missing", errDamaged, i)
		}
		pages := txn.NewIterator(badger.IteratorOptions{Prefix: pageKey(c.number, 0)[:5]})
		for pages.Rewind(); pages.Valid(); pages.Next() {
			c.pages = append(c.pages, binary.BigEndian.Uint64(pages.Item().Key()[5:]))
		}
		pages.Close()
	}
	return nil
}

// find returns the numbers of the records that the index has for a hash, newest first.
func (s *slice) find(h uint64) (seqs []uint64, err error) {
	s.mu.RLock()
	chunks := s.chunks[:len(s.chunks):len(s.chunks)]
	for _, e := range s.pending {
		if e.hash == h {
			seqs = append(seqs, e.seq)
		}
	}
	s.mu.RUnlock()
	for i := range chunks {
		c := &chunks[i]
		at := sort.Search(len(c.pages), func(i int) bool { return c.pages[i] > h }) - 1
		if at < 0 {
			continue
		}
		page, err := s.get(pageKey(c.number, c.pages[at]))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil, fmt.Errorf("%w: index page", errDamaged)
		}
		if err != nil {
			return nil, err
		}
		n := len(page) / entrySize
		for j := sort.Search(n, func(j int) bool { return le.Uint64(page[entrySize*j:]) >= h }); j < n && le.Uint64(page[entrySize*j:]) == h; j++ {
			seqs = append(seqs, le.Uint64(page[entrySize*j+8:]))
		}
	}
	slices.SortFunc(seqs, func(a, b uint64) int { return cmp.Compare(b, a) })
	return seqs, nil
}
