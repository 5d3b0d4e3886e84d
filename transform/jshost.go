package transform

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/tetratelabs/wazero/api"
)

//go:embed javascript_runtime.js
var javascriptRuntime string

// scriptState is what the host knows of a running engine. Values of the engine are addresses in its memory.
type scriptState struct {
	scriptValues
	calls   [numCalls]api.Function
	inside  bool // a function of the host is running: it calls the engine, which must not call the host again
	failure *Error
	done    bool
	typed   bool // the script has set a content type
	meta    []byte
	stack   [4]uint64
}

// scriptValues are part of a snapshot: they are the same in every instance that was restored from it.
type scriptValues struct {
	dispatch, undefined, runName uint64
	scratch                      uint64 // a few words for arguments and answers
}

// scratchSize: the arguments of a call come first, then the length that qjs_get_string_len answers with.
const (
	scratchSize   = 64
	scratchLength = 48
)

func setupScript(in *instance) {
	in.script = &scriptState{}
	for i, name := range engineCalls {
		in.script.calls[i] = in.module.ExportedFunction(name)
	}
}

// memoryAt is a view of n bytes, or nil.
func (in *instance) memoryAt(at uint64, n int) []byte {
	b, _ := in.memory.Read(uint32(at), uint32(n))
	return b
}

// arguments writes values where a call finds them.
func (in *instance) arguments(values ...uint64) uint64 {
	b := in.memoryAt(in.script.scratch, scratchSize)
	if b == nil {
		return 0
	}
	for i, v := range values {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
	return in.script.scratch
}

// call calls a function of the engine, from outside.
func (s *scriptState) call(in *instance, which int, args ...uint64) (uint64, *Error) {
	copy(in.stack[:], args)
	if err := in.guest(s.calls[which]); err != nil {
		return 0, err
	}
	return uint64(uint32(in.stack[0])), nil
}

// nested calls a function of the engine while the engine waits for a function of the host. It may be one that runs no script only.
func (s *scriptState) nested(in *instance, which int, args ...uint64) uint64 {
	copy(s.stack[:], args)
	if err := s.calls[which].CallWithStack(&in.call, s.stack[:]); err != nil {
		if in.end.kind != 0 {
			panic(errEnd) // it was ended by the host; the outer call ends, too
		}
		in.abort(KindTrap, err.Error())
	}
	return s.stack[0]
}

// scriptFuncs are the engine's callbacks. The script's side of host_call is in javascript_runtime.js.
var scriptFuncs = map[string]hostFunc{
	"host_call":                {"iiiii", "i", scriptHostCall},
	"host_interrupt":           {"", "i", wasiAnswer(0)},
	"host_promise_rejection":   {"iii", "", func(in *instance, _ []uint64) { in.spend(hostCallFuel) }},
	"host_module_normalize":    {"ii", "i", wasiAnswer(0)}, // a script is bundled: it cannot load another
	"host_module_load":         {"ii", "i", wasiAnswer(0)},
	"host_get_timezone_offset": {"ii", "i", wasiAnswer(0)}, // UTC
}

const (
	opLog = iota
	opSet
	opEnd
	opFailed
	opOutput
)

// scriptHostCall is host(op, a, b) of the script's side. The answer is a number.
func scriptHostCall(in *instance, s []uint64) {
	in.spend(hostCallFuel)
	state := in.script
	if state.inside {
		in.abort(KindTrap, "the engine called the host from within the host")
	}
	state.inside = true
	defer func() { state.inside = false }()
	args := scriptArguments{in: in, list: in.view(s[4], 4*uint64(min(uint32(s[3]), 3)))}
	answer := int32(0)
	switch args.number(0) {
	case opLog:
		in.out.logLine(Level(min(uint32(args.number(1)), uint32(LevelError))), args.text(2), in.pool.limits.MaxLog)
	case opSet:
		answer = setRefused
		if in.meta != nil {
			key := args.text(1)
			answer = in.out.set(key, args.text(2), in.pool.limits.MaxHeaders)
			state.typed = state.typed || string(key) == "content-type" && answer == setOK
		}
	case opEnd:
		if a := uint32(args.number(1)); a < uint32(numActions) {
			in.out.Action = Action(a)
		}
		in.out.Reason = string(clipped(args.text(2), maxReason))
	case opFailed:
		state.failure = in.scriptError(string(args.text(1)), string(args.text(2)))
	case opOutput:
		state.done = true
		args.output()
	}
	s[0] = uint64(uint32(state.nested(in, callNewNumber, math.Float64bits(float64(answer)))))
}

// scriptArguments reads what the script's side passes: numbers and texts. Anything else is nothing, so that no script runs here.
type scriptArguments struct {
	in   *instance
	list []byte // addresses of values; a view, so it is read before the engine is called
}

func (a scriptArguments) value(i int) uint64 {
	if len(a.list) < 4*(i+1) {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(a.list[4*i:]))
}

func (a scriptArguments) number(i int) int32 {
	v := a.value(i)
	if v == 0 {
		return 0
	}
	f := math.Float64frombits(a.in.script.nested(a.in, callGetFloat, v))
	if !(math.Abs(f) < 1<<31) {
		return -1
	}
	return int32(f)
}

// text is a view of a text, valid until the host function ends.
func (a scriptArguments) text(i int) []byte {
	in, v := a.in, a.value(i)
	s := in.script
	if v == 0 || uint32(s.nested(in, callIsString, v)) == 0 {
		return nil
	}
	at := s.nested(in, callGetString, v, s.scratch+scratchLength)
	n := binary.LittleEndian.Uint32(in.view(s.scratch+scratchLength, 4))
	if uint32(at) == 0 {
		in.abort(KindMemory, engineMemory)
	}
	in.spend(int64(n) / bytesPerFuel)
	text := in.view(at, uint64(n))
	if in.pool.isolation == IsolationShared { // otherwise all memory is put back after the event
		text = bytes.Clone(text)
		s.nested(in, callFreeCString, at)
	}
	return text
}

// output takes the body and its type; nothing when the script has none.
func (a scriptArguments) output() {
	in := a.in
	if len(a.list) < 12 || in.meta == nil {
		return
	}
	if !in.script.typed {
		in.out.set([]byte("content-type"), a.text(1), in.pool.limits.MaxHeaders)
	}
	body := bytes.ToValidUTF8(a.text(2), []byte("\uFFFD"))
	in.roomForOutput(uint64(len(body)))
	in.out.Body = append(in.out.Body, body...)
}

// about is what the script's side is told of an event, besides its body.
type about struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Time    string    `json:"time"`
	Tenant  string    `json:"tenant"`
	Program string    `json:"program,omitempty"`
	Webhook string    `json:"webhook"`
	Attempt int       `json:"attempt"`
	Seed    [4]uint32 `json:"seed"` // of Math.random
}

func (in *instance) appendMeta(dst []byte) []byte {
	m := in.meta
	a := about{ID: string(m.ID), Type: string(m.Type), Time: string(m.Time), Tenant: string(m.Tenant), Program: string(m.Program),
		Webhook: string(m.Webhook), Attempt: m.Attempt}
	random := in.random()
	for i := range a.Seed {
		a.Seed[i] = uint32(random.Uint64())
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic("BUG: texts and numbers cannot be JSON: " + err.Error())
	}
	return append(dst, b...)
}
