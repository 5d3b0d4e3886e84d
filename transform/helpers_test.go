package transform

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	wb "edgerelay/transform/internal/wasmbuild"
	"edgerelay/transform/meter"
)

func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	if o.CompileTimeout == 0 {
		o.CompileTimeout = 5 * time.Minute // a busy machine is nobody's fault
	}
	h, err := NewHost(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func newPool(t testing.TB, h *Host, wasm []byte, cfg PoolConfig) *Pool {
	t.Helper()
	m, err := h.Compile(context.Background(), t.Name(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.NewPool(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Close(context.Background())
		m.Close(context.Background())
	})
	return p
}

// kept is how many compiled modules the host holds.
func kept(h *Host) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.codes)
}

// kindOf returns the kind of an *Error, and fails for any other error.
func kindOf(t testing.TB, err error) Kind {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e.Kind
}

// guest is a module under construction with all imports of the ABI.
type guest struct {
	*wb.Module
	inputRead, outputWrite, metaGet, configRead, set, log, reason uint32
}

func newGuest() *guest {
	g := &guest{Module: wb.New()}
	g.inputRead = g.Import(abiModule, "input_read", "ii", "i")
	g.outputWrite = g.Import(abiModule, "output_write", "ii", "")
	g.metaGet = g.Import(abiModule, "meta_get", "iiii", "i")
	g.configRead = g.Import(abiModule, "config_read", "ii", "i")
	g.set = g.Import(abiModule, "set", "iiii", "i")
	g.log = g.Import(abiModule, "log", "iii", "")
	g.reason = g.Import(abiModule, "reason", "ii", "")
	g.Memory(2, -1)
	return g
}

// transform ends the guest with a function transform of that code.
func (g *guest) transform(code ...[]byte) []byte {
	g.Export(exportTransform, wb.Func, g.Func("", "i", "iiI", code...))
	return g.Bytes()
}

var drop = wb.Op(0x1a)

// echo writes its input to its output.
func echo() []byte {
	g := newGuest()
	return g.transform(wb.I32(1024), wb.I32(1024), wb.I32(120_000), wb.Call(g.inputRead), wb.Call(g.outputWrite), wb.I32(0))
}

// constant runs code and sends.
func constant(result int32) []byte { return newGuest().transform(wb.I32(result)) }

var goGuest = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "main.go")
	cmd.Dir = filepath.Join("testdata", "guests", "go-upper")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(err, errors.New(string(msg)))
	}
	return os.ReadFile(out)
})

func goModule(t testing.TB) []byte {
	t.Helper()
	wasm, err := goGuest()
	if err != nil {
		t.Fatalf("build the Go guest: %v", err)
	}
	return wasm
}

// withScript puts a script's section behind a module.
func withScript(wasm []byte, content string) []byte {
	return meter.AppendCustom(bytes.Clone(wasm), scriptSection, []byte(content))
}
