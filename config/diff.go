package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// The actions of a Change.
const (
	ActionAdd    = "add"
	ActionChange = "change"
	ActionRemove = "remove"
)

type objectKey struct{ kind, tenant, name string }

func (o *Object) key() objectKey { return objectKey{o.Kind, o.Tenant, o.Name} }

// Diff lists what is different in next, which may be sealed: what was added and changed in the order of next, then what was removed.
func (v Inventory) Diff(next Inventory) ([]Change, error) {
	salt, err := hex.DecodeString(next.Salt)
	if err != nil {
		return nil, errors.New("the salt is not hexadecimal")
	}
	old := make(map[objectKey]*Object, len(v.Objects))
	for i := range v.Objects {
		old[v.Objects[i].key()] = &v.Objects[i]
	}
	changes := []Change{}
	seen := make(map[objectKey]bool, len(next.Objects))
	for i := range next.Objects {
		o := &next.Objects[i]
		if seen[o.key()] {
			return nil, fmt.Errorf("%s %q is there twice", o.Kind, o.Name)
		}
		seen[o.key()] = true
		c := Change{Action: ActionChange, Kind: o.Kind, Tenant: o.Tenant, Name: o.Name}
		if was := old[o.key()]; was != nil {
			if c.Fields = was.diff(o, salt); len(c.Fields) == 0 {
				continue
			}
		} else if c.Action = ActionAdd; o.Kind == "" {
			continue // no settings on the other side: nothing to compare with
		}
		changes = append(changes, c)
	}
	for i := range v.Objects {
		if o := &v.Objects[i]; o.Kind != "" && !seen[o.key()] {
			changes = append(changes, Change{Action: ActionRemove, Kind: o.Kind, Tenant: o.Tenant, Name: o.Name})
		}
	}
	return changes, nil
}

// diff compares the values of two versions of an object.
func (o *Object) diff(next *Object, salt []byte) (all []FieldChange) {
	old := make(map[string]*Value, len(o.Values))
	for i := range o.Values {
		old[o.Values[i].Path] = &o.Values[i]
	}
	for i := range next.Values {
		n := &next.Values[i]
		was := old[n.Path]
		delete(old, n.Path)
		switch {
		case was == nil:
			all = append(all, FieldChange{Path: n.Path, New: n.Text, Secret: n.concealed()})
		case !was.same(n, salt):
			all = append(all, FieldChange{Path: n.Path, Old: was.Text, New: n.Text, Secret: was.concealed() || n.concealed()})
		}
	}
	for _, path := range sortedKeys(old) {
		all = append(all, FieldChange{Path: path, Old: old[path].Text, Secret: old[path].concealed()})
	}
	return all
}

func (v *Value) concealed() bool { return v.Hash != "" || v.raw != "" && v.raw != v.Text }

// same compares v, which is ours, with n, which may have come over the wire.
func (v *Value) same(n *Value, salt []byte) bool {
	switch {
	case n.raw != "":
		return v.raw == n.raw
	case n.Hash != "":
		return hashUnder(salt, v.raw) == n.Hash
	}
	return v.raw == n.Text
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
