package transform

import (
	"fmt"
	"strconv"

	"edgerelay/transform/meter"
)

// The native ABI: the guest asks for everything, and the host writes nothing into its memory that it did not ask for. A guest exports its
// memory as "memory" and
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

var nativeDialect = dialect{
	imports: map[string]map[string]hostFunc{abiModule: abiFuncs, wasiModule: wasiFuncs},
	check:   checkNative,
	run:     runNative,
	foreign: foreignToNative,
}

func checkNative(c *code, m *meter.Module) string {
	if !exportsFunc(m, exportTransform) {
		if exportsFunc(m, exportStart) {
			return "it exports _start and no transform: a program, not a library" + howToBuild
		}
		return "it does not export the function transform" + howToBuild
	}
	result := signature("", "i")
	for _, x := range []struct {
		name string
		want meter.FuncType
	}{{exportTransform, result}, {exportInitialize, signature("", "")}, {exportInit, result}} {
		if !exportsFunc(m, x.name) {
			continue
		}
		if got := m.FuncType(m.Export(x.name).Index); !got.Equal(x.want) {
			return fmt.Sprintf("it exports %s as %s, it must be %s", x.name, got, x.want)
		}
		if x.name != exportTransform {
			c.init = append(c.init, x.name)
		}
	}
	if mem := m.Export(exportMemory); mem == nil || mem.Kind != meter.KindMemory || m.Memory == nil {
		return "it does not export its memory as \"memory\"" + howToBuild
	}
	c.entries, c.entry = []string{exportTransform}, exportTransform
	return ""
}

func runNative(in *instance) *Error {
	if err := in.guest(in.main); err != nil {
		return err
	}
	if r := uint32(in.stack[0]); r < uint32(numActions) {
		in.out.Action = Action(r)
		return nil
	}
	return &Error{Kind: KindBadResult, Msg: fmt.Sprintf("transform returned %d, not 0 (send), 1 (drop), 2 (fail) or 3 (retry)", int32(in.stack[0]))}
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
	in.roomForOutput(n)
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
