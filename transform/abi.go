package transform

import (
	"context"
	"fmt"
	"strconv"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"edgerelay/transform/meter"
)

// The native ABI. A guest exports its memory as "memory" and
//
//	transform() -> i32      0 send, 1 drop, 2 failed for good, 3 failed, try later
//	init() -> i32           optional: once per instance, 0 = ready
//	_initialize()           optional: what language runtimes need first
//
// and imports from the module below what it needs. Additions keep the name; a breaking change would be edgerelay_v2.
const abiModule = "edgerelay_v1"

const (
	exportTransform  = "transform"
	exportInit       = "init"
	exportInitialize = "_initialize"
	exportMemory     = "memory"
)

// hostFunc is an import that we answer. Signatures are written with one letter per value: i for i32, I for i64.
type hostFunc struct {
	params, results string
	call            func(in *instance, s []uint64)
}

// abiFuncs are the imports of edgerelay_v1. Every pointer and length is the guest's and is checked before it is used.
var abiFuncs = map[string]hostFunc{
	// input_read(ptr, cap) -> length of the input; writes at most cap bytes
	"input_read": {"ii", "i", func(in *instance, s []uint64) { s[0] = in.give(s[0], s[1], in.input) }},
	// output_write(ptr, len): appends to the body
	"output_write": {"ii", "", (*instance).outputWrite},
	// meta_get(key, key_len, ptr, cap) -> length of the value, -1 = none
	"meta_get": {"iiii", "i", (*instance).metaGet},
	// config_read(ptr, cap) -> length of the configuration
	"config_read": {"ii", "i", func(in *instance, s []uint64) { s[0] = in.give(s[0], s[1], in.pool.config) }},
	// set(key, key_len, value, value_len) -> 0, or below zero: refused
	"set": {"iiii", "i", (*instance).setField},
	// log(level, ptr, len)
	"log": {"iii", "", (*instance).logWrite},
	// reason(ptr, len): why it is dropped or failed
	"reason": {"ii", "", (*instance).setReason},
}

// meterFuncs are the imports that package meter adds.
var meterFuncs = map[string]hostFunc{
	meter.RefillImport: {"", "", func(in *instance, _ []uint64) { in.refill() }},
	meter.GrowImport:   {"i", "i", func(in *instance, s []uint64) { s[0] = uint64(in.grow(uint32(s[0]))) }},
}

// register makes one host module. The instance that calls is found in the context: guests run under nothing else.
func register(ctx context.Context, rt wazero.Runtime, module string, funcs map[string]hostFunc) error {
	b := rt.NewHostModuleBuilder(module)
	for name, f := range funcs {
		call := f.call
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, stack []uint64) {
			call(ctx.(*callContext).in, stack)
		}), valueTypes(f.params), valueTypes(f.results)).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("register imports %q: %w", module, err)
	}
	return nil
}

func valueTypes(letters string) []api.ValueType {
	ts := make([]api.ValueType, len(letters))
	for i, l := range letters {
		ts[i] = api.ValueTypeI32
		if l == 'I' {
			ts[i] = api.ValueTypeI64
		}
	}
	return ts
}

// What a call costs in fuel: leaving and entering the guest, and the bytes that are moved.
const (
	hostCallFuel  = 200
	bytesPerFuel  = 8
	growPageFuel  = 65536 / bytesPerFuel
	hostFuelCheck = FuelSlice / 16
)

const none = uint64(0xffff_ffff) // -1

// give writes b to the guest and returns its full length.
func (in *instance) give(ptr, capacity uint64, b []byte) uint64 {
	n := min(uint64(uint32(capacity)), uint64(len(b)))
	in.spend(hostCallFuel + int64(n)/bytesPerFuel)
	copy(in.view(ptr, n), b)
	return uint64(len(b))
}

func (in *instance) outputWrite(s []uint64) {
	n := uint64(uint32(s[1]))
	if uint64(len(in.out.Body))+n > uint64(in.pool.limits.MaxOutput) {
		in.abort(KindOutputTooLarge, "more than "+strconv.Itoa(in.pool.limits.MaxOutput)+" bytes of output")
	}
	in.spend(hostCallFuel + int64(n)/bytesPerFuel)
	in.out.Body = append(in.out.Body, in.view(s[0], n)...)
}

func (in *instance) metaGet(s []uint64) {
	if uint32(s[1]) > maxKey {
		in.spend(hostCallFuel)
		in.view(s[0], uint64(uint32(s[1])))
		s[0] = none
		return
	}
	value := in.metaValue(in.view(s[0], uint64(uint32(s[1]))))
	if len(value) == 0 {
		in.spend(hostCallFuel)
		s[0] = none
		return
	}
	s[0] = in.give(s[2], s[3], value)
}

func (in *instance) metaValue(key []byte) []byte {
	if in.meta == nil {
		return nil
	}
	switch string(key) {
	case "id":
		return in.meta.ID
	case "type":
		return in.meta.Type
	case "time":
		return in.meta.Time
	case "tenant":
		return in.meta.Tenant
	case "program":
		return in.meta.Program
	case "webhook":
		return in.meta.Webhook
	case "content-type":
		return in.meta.ContentType
	case "attempt":
		return strconv.AppendInt(in.number[:0], int64(in.meta.Attempt), 10)
	}
	return nil
}

func (in *instance) setField(s []uint64) {
	keyLen, valueLen := uint64(uint32(s[1])), uint64(uint32(s[3]))
	key, value := in.view(s[0], keyLen), in.view(s[2], valueLen)
	switch {
	case in.meta == nil:
		in.spend(hostCallFuel)
		s[0] = signed(setRefused)
	case keyLen > maxKey || valueLen > maxValue:
		in.spend(hostCallFuel)
		s[0] = signed(setTooLarge)
	default:
		in.spend(hostCallFuel + int64(keyLen+valueLen))
		s[0] = signed(in.out.set(key, value, in.pool.limits.MaxHeaders))
	}
}

func signed(v int32) uint64 { return uint64(uint32(v)) }

func (in *instance) logWrite(s []uint64) {
	level := Level(min(uint32(s[0]), uint32(LevelError)))
	in.out.logLine(level, in.text(s[1], s[2], in.pool.limits.MaxLog), in.pool.limits.MaxLog)
}

func (in *instance) setReason(s []uint64) { in.out.Reason = string(in.text(s[0], s[1], maxReason)) }

// text is a view of at most limit bytes of what the guest points to.
func (in *instance) text(ptr, length uint64, limit int) []byte {
	n := uint64(uint32(length))
	b := in.view(ptr, n)
	b = b[:min(len(b), limit)]
	in.spend(hostCallFuel + int64(len(b))/bytesPerFuel)
	return b
}

// view is a part of the guest's memory, valid until the guest runs again. A bad pointer ends the guest.
func (in *instance) view(ptr, n uint64) []byte {
	b, ok := in.memory.Read(uint32(ptr), uint32(n))
	if !ok {
		in.abort(KindPointer, fmt.Sprintf("%d bytes at %d are outside the memory of %d bytes", uint32(n), uint32(ptr), in.memory.Size()))
	}
	return b
}
