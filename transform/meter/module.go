package meter

import (
	"fmt"
	"slices"
	"strings"
)

// Value types.
const (
	i32       = 0x7f
	i64       = 0x7e
	f32       = 0x7d
	f64       = 0x7c
	v128      = 0x7b
	funcref   = 0x70
	externref = 0x6f
)

// Kinds of imports and exports.
const (
	KindFunc   = 0
	KindTable  = 1
	KindMemory = 2
	KindGlobal = 3
)

// Section ids.
const (
	secCustom = iota
	secType
	secImport
	secFunc
	secTable
	secMemory
	secGlobal
	secExport
	secStart
	secElem
	secCode
	secData
	secDataCount
	numSections
)

// What we add to a module: the module its imports come from, and the prefix of its exports. A guest that uses either is refused.
const (
	ImportModule = "edgerelay_meter"
	RefillImport = "refill" // () -> (): fuel went below zero
	GrowImport   = "grow"   // (pages i32) -> i32: what memory.grow would answer
	prefix       = "__edgerelay_"
	FuelExport   = prefix + "fuel"  // i64, mutable: what is left of the slice
	PagesExport  = prefix + "pages" // i32, mutable: what memory.size answers
	StartExport  = prefix + "start" // the original start function, if there was one
)

// Caps on the shape of a module. The engine cannot be interrupted inside a function, and the time and memory it spends on one grow faster
// than the function: 30 kB of nested loops take longer than anybody would wait. Each cap alone is worth about three seconds at most;
// what compilers make stays far below (a large Go function: 20 locals, 800 blocks, 3 loops, 30 kB).
const (
	maxLocals       = 2_000
	maxBlocks       = 10_000
	maxBlockLocals  = 3_000_000 // blocks times locals of a function
	maxLoopLocals   = 256_000   // loops times locals of a function
	maxTargets      = 32_000    // entries of the br_tables of a function
	maxFunctionBody = 512 << 10
	maxSignature    = 1_000
	maxTables       = 16
)

// FuncType is a signature; its bytes are value types.
type FuncType struct{ Params, Results []byte }

func (t FuncType) String() string {
	return fmt.Sprintf("(%s) -> (%s)", types(t.Params), types(t.Results))
}

func (t FuncType) Equal(u FuncType) bool {
	return slices.Equal(t.Params, u.Params) && slices.Equal(t.Results, u.Results)
}

var typeNames = map[byte]string{i32: "i32", i64: "i64", f32: "f32", f64: "f64", v128: "v128", funcref: "funcref", externref: "externref"}

func types(ts []byte) string {
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = typeNames[t]
	}
	return strings.Join(names, " ")
}

// Import is what a module asks for; Type is set for functions.
type Import struct {
	Module, Name string
	Kind         byte
	Type         FuncType
}

// Export is what a module offers; Index is in the index space of its kind.
type Export struct {
	Name  string
	Kind  byte
	Index uint32
}

type global struct {
	typ     byte
	mutable bool
}

type section struct {
	body []byte
	base int
	ok   bool
}

// Module is a decoded module: enough to inspect and to rewrite it.
type Module struct {
	Imports []Import
	Exports []Export
	Tables  []Limits // own tables
	Memory  *Limits  // own memory, in pages of 64 KiB

	size     int
	sections [numSections]section
	names    []byte // the content of the name section

	types    []FuncType
	funcs    []uint32 // type of every function, imported ones first
	globals  []global // imported ones first
	declared []uint64 // bit set: functions that ref.func may name
	start    int64    // -1: none

	importedFuncs, importedGlobals, importedTables, importedMemories int
}

// FuncType returns the signature of function idx (imported ones first).
func (m *Module) FuncType(idx uint32) FuncType { return m.types[m.funcs[idx]] }

// Export returns the export of that name, or nil.
func (m *Module) Export(name string) *Export {
	for i := range m.Exports {
		if m.Exports[i].Name == name {
			return &m.Exports[i]
		}
	}
	return nil
}

func (m *Module) declare(f uint32) {
	if m.declared == nil {
		m.declared = make([]uint64, len(m.funcs)/64+1)
	}
	m.declared[f/64] |= 1 << (f % 64)
}

func (m *Module) isDeclared(f uint32) bool {
	return m.declared != nil && m.declared[f/64]&(1<<(f%64)) != 0
}
