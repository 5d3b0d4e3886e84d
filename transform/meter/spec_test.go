package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The WebAssembly specification's tests, as wazero's archive carries them: every script is run twice side by side, with the modules as
// they are and with the rewritten ones. Both must accept and refuse the same modules, return the same values and trap for the same reason.

type script struct {
	Commands []command
}

type command struct {
	Type       string
	Line       int
	Name       string
	Filename   string
	As         string
	ModuleType string `json:"module_type"`
	Action     struct {
		Type   string
		Module string
		Field  string
		Args   []value
	}
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// suites of wazero's archive. The last five are for features that are off: their modules must be refused, or mean the same.
var suites = []string{"v1", "v2", "extended-const", "tail-call", "threads", "exception-handling", "typed-function-references"}

// different are the commands where the two may differ, with the reason.
var different = map[string]string{
	"typed-function-references/select:279": "the result is the address of a function in this process",
}

func TestSpecification(t *testing.T) {
	dir, err := moduleDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "internal", "integration_test", "spectest")
	spectest, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range suites {
		files, err := filepath.Glob(filepath.Join(dir, suite, "testdata", "*.json"))
		more, err2 := filepath.Glob(filepath.Join(dir, suite, "testdata", "*", "*.json"))
		files = append(files, more...)
		if err != nil || err2 != nil || len(files) == 0 {
			t.Fatalf("%s: %d scripts, %v", suite, len(files), err)
		}
		t.Run(suite, func(t *testing.T) {
			total := counts{}
			for _, file := range files {
				r := &specRun{t: t, name: suite + "/" + strings.TrimSuffix(filepath.Base(file), ".json"), dir: filepath.Dir(file), counts: total}
				r.run(file, spectest)
			}
			t.Logf("%d scripts: %v", len(files), total)
			if len(total) == 0 {
				t.Error("nothing was run")
			}
		})
	}
}

type counts map[string]int

func (c counts) String() string {
	var parts []string
	for k, n := range c {
		parts = append(parts, fmt.Sprintf("%d %s", n, k))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

type specRun struct {
	t         *testing.T
	name, dir string
	counts    counts
	engines   [2]*engine // the original, the rewritten
	last      [2]api.Module
	named     map[string][2]api.Module
	lost      bool // the last module was not instantiated: what belongs to it cannot run
}

func (r *specRun) run(file string, spectest []byte) {
	raw, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		r.t.Fatal(file, err)
	}
	r.named = make(map[string][2]api.Module)
	for i := range r.engines {
		r.engines[i] = newEngine(r.t, wazero.NewRuntimeConfigCompiler())
		if _, err := r.engines[i].instantiate(spectest, "spectest"); err != nil {
			r.t.Fatal(err)
		}
	}
	for i, c := range s.Commands {
		switch c.Type {
		case "module":
			name := ""
			if i+1 < len(s.Commands) && s.Commands[i+1].Type == "register" {
				name = s.Commands[i+1].As
			}
			r.module(c, name)
		case "register": // done with its module
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			r.action(c)
		case "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable", "assert_exception":
			if c.ModuleType == "text" || c.Filename == "" {
				r.counts["in the text format"]++
				continue
			}
			r.module(c, "")
		default:
			r.t.Errorf("%s:%d: unknown command %s", r.name, c.Line, c.Type)
		}
	}
	for _, e := range r.engines {
		e.Close(context.Background())
	}
}

func (r *specRun) fail(c command, format string, args ...any) {
	at := fmt.Sprintf("%s:%d", r.name, c.Line)
	if reason := different[at]; reason != "" {
		r.counts["different: "+reason]++
		return
	}
	r.t.Errorf("%s: %s: %s", at, c.Type, fmt.Sprintf(format, args...))
}

func (r *specRun) module(c command, name string) {
	wasm, err := os.ReadFile(filepath.Join(r.dir, c.Filename))
	if err != nil {
		r.t.Fatal(err)
	}
	r.lost = c.Type == "module"
	metered, _, refusal := rewrite(wasm, Options{})
	if errors.Is(refusal, ErrUnsupported) {
		r.counts["refused as unsupported"]++
		r.t.Logf("%s:%d: %v", r.name, c.Line, refusal)
		return
	}
	// A count that the section cannot hold: the engine would allocate for it first.
	if errors.Is(refusal, errCount) && strings.HasPrefix(c.Type, "assert_") {
		r.counts["refused for a count"]++
		return
	}
	accepted := r.engines[0].accepts(wasm)
	if accepted != nil {
		if refusal == nil && r.engines[1].accepts(metered) == nil {
			r.fail(c, "the original is invalid (%v), the rewritten is not", accepted)
		}
		r.counts["refused by both"]++
		return
	}
	if refusal != nil {
		r.fail(c, "the original is valid, the rewriting says %v", refusal)
		return
	}
	var ms [2]api.Module
	var errs [2]error
	ms[0], errs[0] = r.engines[0].instantiate(wasm, name)
	ms[1], errs[1] = r.engines[1].instantiate(metered, name)
	if reason(errs[0]) != reason(errs[1]) {
		r.fail(c, "instantiated: %v; rewritten: %v", errs[0], errs[1])
		return
	}
	r.counts["modules"]++
	if errs[0] == nil && c.Type == "module" {
		r.lost, r.last = false, ms
		if c.Name != "" {
			r.named[c.Name] = ms
		}
	}
}

// reason is the first line of an error, without what names functions and modules.
func reason(err error) string {
	if err == nil {
		return ""
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	if i := strings.Index(s, "wasm error:"); i >= 0 {
		s = s[i:]
	} else if i := strings.Index(s, "import "); i >= 0 {
		s = "import"
	}
	return s
}

func (r *specRun) action(c command) {
	ms := r.last
	if c.Action.Module != "" {
		ms = r.named[c.Action.Module]
	} else if r.lost {
		ms = [2]api.Module{}
	}
	if ms[0] == nil {
		r.counts["of modules that are refused"]++
		return
	}
	var got [2]string
	for i, m := range ms {
		switch c.Action.Type {
		case "invoke":
			values, err := m.ExportedFunction(c.Action.Field).Call(context.Background(), arguments(c.Action.Args)...)
			got[i] = fmt.Sprint(values, reason(err))
		case "get":
			got[i] = fmt.Sprint(m.ExportedGlobal(c.Action.Field).Get())
		default:
			r.t.Fatalf("%s:%d: action %q", r.name, c.Line, c.Action.Type)
		}
	}
	r.counts["calls"]++
	if got[0] != got[1] {
		r.fail(c, "%s: %s; rewritten: %s", c.Action.Field, got[0], got[1])
	}
}

func arguments(vs []value) (args []uint64) {
	for _, v := range vs {
		if v.Type != "v128" {
			s, _ := v.Value.(string)
			args = append(args, number(s, strings.HasSuffix(v.Type, "32")))
			continue
		}
		width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}[v.LaneType]
		var halves [2]uint64
		for i, lane := range v.Value.([]any) {
			bit := i * width
			halves[bit/64] |= number(lane.(string), width == 32) << (bit % 64)
		}
		args = append(args, halves[0], halves[1])
	}
	return args
}

func number(s string, single bool) uint64 {
	switch {
	case s == "" || s == "null":
		return 0
	case strings.HasPrefix(s, "nan") && single:
		return 0x7fc00000
	case strings.HasPrefix(s, "nan"):
		return 0x7ff8000000000000
	case strings.HasPrefix(s, "-"):
		n, _ := strconv.ParseInt(s, 10, 64)
		if single {
			return uint64(uint32(n))
		}
		return uint64(n)
	}
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}
