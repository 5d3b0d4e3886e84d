package transform

import (
	"encoding/json"
	"fmt"

	"edgerelay/transform/meter"
)

// JavaScript: a module that is an engine (QuickJS, as the npm package quickjs-wasi builds it) with a script behind it, in a custom section
// of its own. One file is the whole transform, and one hash names it; the engine is compiled once for all scripts that carry the same.
// How the script is called is written in JavaScript (javascript_runtime.js), what it calls in jshost.go.
const (
	scriptSection = "edgerelay.javascript"
	scriptModule  = "env" // where the engine's callbacks are imported from
)

// script is the content of the section.
type script struct {
	File string          `json:"file"`          // for messages
	Kind string          `json:"kind"`          // module or script
	Code string          `json:"code"`          // as it is evaluated
	Map  json.RawMessage `json:"map,omitempty"` // source map of the code, when it is not what the author wrote

	positions *sourceMap
}

// splitScript takes a script and its engine apart. A module without a script is returned as it is.
func splitScript(wasm []byte) (engine []byte, _ *script, err error) {
	at, content, ok := meter.LastCustom(wasm, scriptSection)
	if !ok {
		return wasm, nil, nil
	}
	s := new(script)
	if err := json.Unmarshal(content, s); err != nil {
		return nil, nil, fmt.Errorf("its section %s is damaged: %w", scriptSection, err)
	}
	if s.Kind != "module" && s.Kind != "script" {
		return nil, nil, fmt.Errorf("its section %s is of an unknown kind, %q", scriptSection, s.Kind)
	}
	if len(s.Map) > 0 {
		if s.positions, err = parseSourceMap(s.Map); err != nil {
			return nil, nil, fmt.Errorf("its source map is damaged: %w", err)
		}
	}
	return wasm[:at], s, nil
}

var scriptDialect = dialect{
	imports: map[string]map[string]hostFunc{scriptModule: scriptFuncs, wasiModule: wasiFuncs},
	check:   checkEngine,
	setup:   setupScript,
	start:   startScript,
	run:     runScript,
	foreign: func(imp *meter.Import) string {
		return fmt.Sprintf("it carries a script, but is not its engine: it imports %s.%s. Use quickjs.wasm of the npm package quickjs-wasi", imp.Module, imp.Name)
	},
}

// engineCalls are the functions of the engine that are called while events are handled; engineInit those that are called once.
var (
	engineCalls = [...]string{"malloc", "free", "qjs_new_string", "qjs_call", "qjs_free_value", "qjs_is_exception", "qjs_get_exception",
		"qjs_is_job_pending", "qjs_execute_pending_job", "qjs_is_string", "qjs_get_string_len", "qjs_free_cstring", "qjs_get_float64", "qjs_new_number"}
	engineInit = [...]string{"qjs_init", "qjs_set_max_stack_size", "qjs_eval", "qjs_new_host_function", "qjs_get_undefined",
		"qjs_is_promise", "qjs_promise_state", "qjs_promise_result"}
)

const (
	callMalloc = iota
	callFree
	callNewString
	callCall
	callFreeValue
	callIsException
	callGetException
	callIsJobPending
	callExecuteJob
	callIsString
	callGetString
	callFreeCString
	callGetFloat
	callNewNumber
	numCalls
)

func checkEngine(c *code, m *meter.Module) string {
	for _, names := range [][]string{engineCalls[:], engineInit[:]} {
		for _, name := range names {
			if !exportsFunc(m, name) {
				return fmt.Sprintf("it carries a script, but is not its engine: it does not export %s. Use quickjs.wasm of the npm package quickjs-wasi", name)
			}
		}
	}
	if m.Memory == nil {
		return "it carries a script, but is not its engine: it has no memory"
	}
	if exportsFunc(m, exportInitialize) && m.FuncType(m.Export(exportInitialize).Index).Equal(signature("", "")) {
		c.init = append(c.init, exportInitialize)
	}
	c.entries, c.entry = []string{"qjs_call"}, "qjs_call"
	return ""
}

// What a script may use of the engine's own stack: half of it, as quickjs-wasi recommends.
const scriptStack = 512 << 10

// startScript brings the engine up and evaluates the script.
func startScript(in *instance) (failed *Error) {
	s := in.script
	e := &engineStart{in: in}
	defer func() {
		if r := recover(); r != nil {
			err, ok := r.(engineError)
			if !ok {
				panic(r)
			}
			failed = err.err
		}
	}()
	if e.call("qjs_init") != 0 {
		return &Error{Kind: KindInit, Msg: "the engine does not start"}
	}
	e.call("qjs_set_max_stack_size", scriptStack)
	s.scratch = e.call("malloc", scratchSize)
	s.undefined = e.call("qjs_get_undefined")
	name := e.text("host")
	function := e.call("qjs_new_host_function", name, 4, 0)
	setup := e.eval(javascriptRuntime, "<edgerelay>", "script")
	s.dispatch = e.invoke(setup, function)
	source := in.pool.module.script
	exports := e.settled(e.eval(source.Code, source.File, source.Kind))
	if source.Kind == "script" {
		exports = s.undefined
	}
	e.invoke(s.dispatch, e.value("start"), exports, e.value(string(in.pool.config)))
	if s.failure != nil {
		return s.failure
	}
	s.runName = e.value("run")
	return nil
}

// engineStart calls functions of the engine by name. What goes wrong comes out as a panic with engineError, for startScript only.
type engineStart struct{ in *instance }

type engineError struct{ err *Error }

func (e *engineStart) call(name string, args ...uint64) uint64 {
	in := e.in
	copy(in.stack[:], args)
	if err := in.guest(in.module.ExportedFunction(name)); err != nil {
		panic(engineError{err})
	}
	return uint64(uint32(in.stack[0]))
}

// text puts a text into the engine's memory.
func (e *engineStart) text(s string) uint64 {
	at := e.call("malloc", uint64(len(s))+1)
	if at == 0 {
		panic(engineError{&Error{Kind: KindMemory, Msg: "no memory for the script"}})
	}
	b := e.in.memoryAt(at, len(s)+1)
	if b == nil {
		panic(engineError{badEngine()})
	}
	copy(b, s)
	b[len(s)] = 0
	return at
}

func (e *engineStart) value(s string) uint64 {
	return e.call("qjs_new_string", e.text(s), uint64(len(s)))
}

func (e *engineStart) eval(code, file, kind string) uint64 {
	flags := uint64(0)
	if kind == "module" {
		flags = 1
	}
	return e.checked(e.call("qjs_eval", e.text(code), uint64(len(code)), e.text(file), flags))
}

// invoke calls a function value.
func (e *engineStart) invoke(function uint64, args ...uint64) uint64 {
	return e.checked(e.call("qjs_call", function, e.in.script.undefined, uint64(len(args)), e.in.arguments(args...)))
}

// checked turns an exception into an error.
func (e *engineStart) checked(value uint64) uint64 {
	if e.call("qjs_is_exception", value) == 0 {
		return value
	}
	e.explain(e.call("qjs_get_exception"))
	return 0
}

// explain lets the script's own side say what an exception is.
func (e *engineStart) explain(exception uint64) {
	s := e.in.script
	if s.dispatch != 0 {
		name := e.value("failed")
		e.call("qjs_call", s.dispatch, s.undefined, 2, e.in.arguments(name, exception))
	}
	if s.failure == nil {
		s.failure = &Error{Kind: KindInit, Msg: "the engine does not accept the runtime"}
	}
	panic(engineError{s.failure})
}

// settled waits until a module is evaluated, and returns its exports.
func (e *engineStart) settled(value uint64) uint64 {
	if e.call("qjs_is_promise", value) == 0 {
		return value
	}
	for e.call("qjs_is_job_pending") != 0 {
		e.call("qjs_execute_pending_job")
		if e.in.hostFuel += hostCallFuel; e.in.used() > e.in.limit {
			panic(engineError{&Error{Kind: KindFuel, Msg: e.in.fuelMsg()}})
		}
	}
	switch e.call("qjs_promise_state", value) {
	case 1:
		return e.call("qjs_promise_result", value)
	case 2:
		e.explain(e.call("qjs_promise_result", value))
	}
	panic(engineError{&Error{Kind: KindInit, Msg: "the script waits for something that never comes (await outside of a function)"}})
}

// runScript gives one event to the script.
func runScript(in *instance) *Error {
	s := in.script
	s.failure, s.done, s.typed = nil, false, false
	event, err := s.newString(in, in.input)
	if err != nil {
		return err
	}
	s.meta = in.appendMeta(s.meta[:0])
	meta, err := s.newString(in, s.meta)
	if err != nil {
		return err
	}
	result, err := s.call(in, callCall, s.dispatch, s.undefined, 3, in.arguments(s.runName, event, meta))
	if err != nil {
		return err
	}
	exception, err := s.call(in, callIsException, result)
	if err != nil {
		return err
	}
	if exception != 0 { // not one of the script, which are caught: the engine has no memory or stack left
		return &Error{Kind: KindMemory, Msg: "the engine ran out of memory or stack"}
	}
	if err := s.finishJobs(in); err != nil {
		return err
	}
	if in.pool.isolation == IsolationShared {
		for _, v := range [...]uint64{event, meta, result} {
			if _, err := s.call(in, callFreeValue, v); err != nil {
				return err
			}
		}
	}
	switch {
	case s.failure != nil:
		return s.failure
	case !s.done:
		return &Error{Kind: KindFailed, Msg: "the transform waits for something that never comes: its promise is not settled"}
	}
	return nil
}

// finishJobs runs what the script has put off: the continuations of promises.
func (s *scriptState) finishJobs(in *instance) *Error {
	for {
		pending, err := s.call(in, callIsJobPending)
		if err != nil || pending == 0 {
			return err
		}
		if _, err := s.call(in, callExecuteJob); err != nil {
			return err
		}
		if in.hostFuel += hostCallFuel; in.used() > in.limit {
			return &Error{Kind: KindFuel, Msg: in.fuelMsg()}
		}
	}
}

// badEngine: what calls itself an engine is none.
func badEngine() *Error {
	return &Error{Kind: KindPointer, Msg: "the engine answers with memory that it does not have"}
}

const engineMemory = "the engine has no memory left for the event"

// newString makes a text of the engine.
func (s *scriptState) newString(in *instance, b []byte) (uint64, *Error) {
	at, err := s.call(in, callMalloc, uint64(len(b))+1)
	if err != nil {
		return 0, err
	}
	if at == 0 {
		return 0, &Error{Kind: KindMemory, Msg: engineMemory}
	}
	buf := in.memoryAt(at, len(b)+1)
	if buf == nil {
		return 0, badEngine()
	}
	copy(buf, b)
	buf[len(b)] = 0
	in.hostFuel += int64(len(b)) / bytesPerFuel
	value, err := s.call(in, callNewString, at, uint64(len(b)))
	if err != nil {
		return 0, err
	}
	_, err = s.call(in, callFree, at)
	return value, err
}
