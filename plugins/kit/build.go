package kit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"edgerelay/transform"
	"edgerelay/transform/jspack"
)

// MissingTool is the error of a build whose toolchain is not there.
type MissingTool struct {
	Tool    string // what was looked for
	Install string // the line that installs it
}

func (e *MissingTool) Error() string {
	return fmt.Sprintf("%s is missing; install it:\n  %s", e.Tool, strings.ReplaceAll(e.Install, "\n", "\n  "))
}

// Built is what a build made.
type Built struct {
	Module  string   `json:"module"`
	Bytes   int      `json:"bytes"`
	Seconds float64  `json:"seconds"`
	Command []string `json:"command"`
	Imports []string `json:"imports"`
}

// compiler compiles the plugin in dir to the file out, relative to dir, or leaves the module in another file and returns its name. What it
// has to say goes to log. The command line is for people.
type compiler func(ctx context.Context, dir, out string, log io.Writer) (produced string, commandLine []string, err error)

var compilers = map[string]compiler{"go": external(commandGo), "c": external(commandC), "assemblyscript": external(commandAssemblyScript),
	"rust": external(commandRust), "js": packScript(scriptJS), "ts": packScript(scriptTS)}

// Build compiles the plugin with the toolchain of its language and checks that the relay would take the module; only then it replaces the
// old one. What the compiler prints goes to log.
func (h *Host) Build(ctx context.Context, p *Package, log io.Writer) (*Built, error) {
	compile := compilers[p.Language]
	if compile == nil {
		return nil, fmt.Errorf("plugin %q names no language in its %s: it is not built by this command", p.Name, ManifestFile)
	}
	start := time.Now()
	temporary := p.temporary()
	defer os.Remove(filepath.Join(p.Dir, temporary)) // it is gone when all went well
	produced, commandLine, err := compile(ctx, p.Dir, temporary, log)
	if err != nil {
		return nil, fmt.Errorf("build plugin %q: %w", p.Name, err)
	}
	b := &Built{Module: p.Module, Command: commandLine}
	if err := h.adopt(ctx, p, produced, b); err != nil {
		return nil, fmt.Errorf("build plugin %q: %w", p.Name, err)
	}
	b.Seconds = time.Since(start).Seconds()
	return b, nil
}

// temporary is where a new module is put together, relative to the plugin.
func (p *Package) temporary() string {
	return filepath.Join(filepath.Dir(filepath.FromSlash(p.Module)), ".new-"+filepath.Base(p.Module))
}

// command is a compiler's command line; env is added to ours. produced is where it leaves the module when it does not take out.
type command struct {
	args, env []string
	produced  string
}

// external is a compiler that is a program of its own. find makes its command line, or says what is missing.
func external(find func(ctx context.Context, dir, out string) (command, error)) compiler {
	return func(ctx context.Context, dir, out string, log io.Writer) (string, []string, error) {
		c, err := find(ctx, dir, out)
		if err != nil {
			return "", nil, err
		}
		cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), c.env...), log, log
		if err := cmd.Run(); err != nil {
			return "", nil, fmt.Errorf("%s: %w", filepath.Base(c.args[0]), err)
		}
		return cmp.Or(c.produced, out), append(c.env, c.args...), nil
	}
}

// The files that plugins in JavaScript and TypeScript begin with.
const (
	scriptJS = "index.js"
	scriptTS = "index.ts"
)

// packScript is the compiler of scripts: it bundles them and puts the engine in front.
func packScript(file string) compiler {
	return func(_ context.Context, dir, out string, _ io.Writer) (string, []string, error) {
		engine, err := jspack.FindEngine(dir)
		if err != nil {
			return "", nil, &MissingTool{"the JavaScript engine", "(cd " + filepath.ToSlash(dir) + " && npm install)"}
		}
		wasm, err := os.ReadFile(engine)
		if err != nil {
			return "", nil, err
		}
		if wasm, err = jspack.Pack(wasm, filepath.Join(dir, file)); err != nil {
			return "", nil, err
		}
		return out, []string{file, "+", filepath.ToSlash(engine)}, os.WriteFile(filepath.Join(dir, out), wasm, 0o644)
	}
}

// adopt checks a new module and puts it in its place.
func (h *Host) adopt(ctx context.Context, p *Package, produced string, b *Built) error {
	wasm, err := os.ReadFile(filepath.Join(p.Dir, produced))
	if err != nil {
		return fmt.Errorf("the compiler left no module: %w", err)
	}
	module, err := h.Compile(ctx, p.Name, wasm)
	if err != nil {
		return fmt.Errorf("the relay would refuse the module: %w", reasonOf(err))
	}
	memory, abi := module.MinMemory(), module.ABI().String()
	module.Close(ctx)
	if limit := uint64(p.poolConfig().Limits.Memory); memory > limit {
		return fmt.Errorf("the module begins with %d bytes of memory and limits.memory is %d", memory, limit)
	}
	if abi != p.ABI {
		return fmt.Errorf("the module speaks the ABI %s, the %s says %s", abi, ManifestFile, p.ABI)
	}
	temporary := filepath.Join(p.Dir, p.temporary())
	if err := os.WriteFile(temporary, wasm, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(p.Dir, filepath.FromSlash(p.Module))); err != nil {
		return err
	}
	b.Bytes = len(wasm)
	for _, i := range inspectImports(wasm) {
		b.Imports = append(b.Imports, i.Module+"."+i.Name)
	}
	return nil
}

// reasonOf drops what the engine's errors say in front of the reason.
func reasonOf(err error) error {
	var e *transform.Error
	if errors.As(err, &e) {
		return errors.New(e.Msg)
	}
	return err
}

// look finds the first of the programs that is installed.
func look(names ...string) (string, bool) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, true
		}
	}
	return "", false
}

func commandGo(_ context.Context, _, out string) (command, error) {
	tool, ok := look("go")
	if !ok {
		return command{}, &MissingTool{"go", "https://go.dev/dl/ (1.24 or later), or: apt-get install golang-go"}
	}
	return command{args: []string{tool, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o", out, "."},
		env: []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off"}}, nil
}

// versions are what Debian puts behind the names of LLVM's programs.
var versions = []string{"", "-22", "-21", "-20", "-19", "-18", "-17", "-16", "-15", "-14"}

func linkers() (names []string) {
	for _, v := range versions {
		names = append(names, "wasm-ld"+v)
	}
	return names
}

// clangs are the compilers that know wasm32, the plain name first; each goes with the linker of its version.
func clangs() (clang, linker string, ok bool) {
	for _, version := range versions {
		c, okC := look("clang" + version)
		l, okL := look("wasm-ld" + version)
		if okC && okL {
			return c, l, true
		}
	}
	return "", "", false
}

func commandC(_ context.Context, _, out string) (command, error) {
	clang, linker, ok := clangs()
	if !ok {
		return command{}, &MissingTool{"clang with lld", "apt-get install clang lld"}
	}
	return command{args: []string{clang, "--target=wasm32", "-std=c11", "-O2", "-g", "-mbulk-memory", "-Wall", "-Wextra", "-Wno-unused-function",
		"-ffreestanding", "-nostdlib", "-fuse-ld=" + linker, "-Wl,--no-entry", "-Wl,--stack-first", "-Wl,-z,stack-size=32768", "-o", out, "plugin.c"}}, nil
}

func commandAssemblyScript(_ context.Context, dir, out string) (command, error) {
	node, ok := look("node")
	if !ok {
		return command{}, &MissingTool{"node", "apt-get install nodejs npm"}
	}
	asc := filepath.Join("node_modules", "assemblyscript", "bin", "asc.js")
	if _, err := os.Stat(filepath.Join(dir, asc)); err != nil {
		return command{}, &MissingTool{"the AssemblyScript compiler", "(cd " + filepath.ToSlash(dir) + " && npm install)"}
	}
	return command{args: []string{node, asc, "assembly/index.ts", "-o", out, "-O", "--runtime", "incremental", "--use", "abort=assembly/edgerelay/abort"}}, nil
}

const rustTarget = "wasm32-unknown-unknown"

func commandRust(ctx context.Context, dir, _ string) (command, error) {
	cargo, ok := look("cargo")
	if !ok {
		return command{}, &MissingTool{"cargo", "https://rustup.rs and rustup target add " + rustTarget + "\nor: apt-get install cargo rustc libstd-rust-dev-wasm32 lld"}
	}
	rustc := os.Getenv("RUSTC")
	if rustc == "" {
		rustc = "rustc"
	}
	cmd := exec.CommandContext(ctx, rustc, "--print", "target-libdir", "--target", rustTarget)
	cmd.Dir = dir
	lib, err := cmd.Output()
	if err == nil {
		_, err = os.Stat(string(bytes.TrimSpace(lib)))
	}
	if err != nil {
		return command{}, &MissingTool{"Rust's " + rustTarget, "rustup target add " + rustTarget + "\nor, with Debian's Rust: apt-get install libstd-rust-dev-wasm32 lld"}
	}
	// The stack is a megabyte otherwise, and all of it is put back after every event. target-dir: wherever the user's own settings put it, we
	// must find it.
	env := []string{"CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-C link-arg=-zstack-size=131072"}
	if bundled, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(lib)), "..", "..", "*", "bin", "rust-lld*")); err != nil || len(bundled) == 0 {
		if _, ok := look("rust-lld"); !ok { // Debian's Rust comes without a linker
			linker, ok := look(linkers()...)
			if !ok {
				return command{}, &MissingTool{"a linker for WebAssembly", "apt-get install lld"}
			}
			env = append(env, "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="+linker)
			env[0] += " -C linker-flavor=wasm-ld -C link-arg=--no-fatal-warnings" // newer linkers warn of what older compilers put into archives
		}
	}
	return command{args: []string{cargo, "build", "--quiet", "--release", "--offline", "--target", rustTarget, "--target-dir", "target"},
		env: env, produced: filepath.Join("target", rustTarget, "release", "plugin.wasm")}, nil
}
