package admin

import (
	"cmp"
	"encoding/base64"
	"slices"
)

// pageOf cuts a page out of a whole list, in the order of key. A cursor is the key of the last item, so it stays valid when that goes away.
func pageOf[T any](items []T, in pageInput, key func(T) string) (page[T], error) {
	p := page[T]{Items: []T{}}
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return p, ErrCursor
	}
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	from, found := slices.BinarySearchFunc(items, string(after), func(item T, k string) int { return cmp.Compare(key(item), k) })
	if found && in.Cursor != "" {
		from++
	}
	p.Items = append(p.Items, items[from:]...)
	if len(p.Items) > in.Limit {
		p.Items = p.Items[:in.Limit]
		p.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(key(p.Items[in.Limit-1])))
	}
	return p, nil
}
