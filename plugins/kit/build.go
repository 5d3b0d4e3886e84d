package kit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerelay/transform"
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

// command is a compiler's command line; env is added to ours.
type command struct {
	args []string
	env  []string
}

// compilers make the command line that compiles the plugin in dir to the file out (relative to dir), or say what is missing. produced is
// where the compiler leaves the module when it does not take out.
var compilers = map[string]func(ctx context.Context, dir, out string) (c command, produced string, err error){
	"go": compileGo, "c": compileC, "assemblyscript": compileAssemblyScript, "rust": compileRust,
}

// Build compiles the plugin with the toolchain of its language and checks that the relay would take the module; only then it replaces the
// old one. What the compiler prints goes to log.
func (h *Host) Build(ctx context.Context, p *Package, log io.Writer) (*Built, error) {
	compile := compilers[p.Language]
	if compile == nil {
		return nil, fmt.Errorf("plugin %q names no language in its %s: it is not built by this command", p.Name, ManifestFile)
	}
	start := time.Now()
	temporary := filepath.Join(filepath.Dir(filepath.FromSlash(p.Module)), ".new-"+filepath.Base(p.Module))
	defer os.Remove(filepath.Join(p.Dir, temporary)) // it is gone when all went well
	c, produced, err := compile(ctx, p.Dir, temporary)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, append(os.Environ(), c.env...), log, log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build plugin %q: %s: %w", p.Name, filepath.Base(c.args[0]), err)
	}
	if produced == "" {
		produced = temporary
	}
	b := &Built{Module: p.Module, Command: append(c.env, c.args...)}
	if err := h.adopt(ctx, p, produced, b); err != nil {
		return nil, err
	}
	b.Seconds = time.Since(start).Seconds()
	return b, nil
}

// adopt checks a new module and puts it in its place.
func (h *Host) adopt(ctx context.Context, p *Package, produced string, b *Built) error {
	wasm, err := os.ReadFile(filepath.Join(p.Dir, produced))
	if err != nil {
		return fmt.Errorf("build plugin %q: the compiler left no module: %w", p.Name, err)
	}
	module, err := h.Compile(ctx, p.Name, wasm)
	if err != nil {
		return fmt.Errorf("build plugin %q: the relay would refuse the module: %w", p.Name, reasonOf(err))
	}
	memory := module.MinMemory()
	module.Close(ctx)
	if limit := uint64(p.poolConfig().Limits.Memory); memory > limit {
		return fmt.Errorf("build plugin %q: the module begins with %d bytes of memory and limits.memory is %d", p.Name, memory, limit)
	}
	temporary := filepath.Join(p.Dir, filepath.Dir(filepath.FromSlash(p.Module)), ".new-"+filepath.Base(p.Module))
	if err := os.WriteFile(temporary, wasm, 0o644); err != nil {
		return fmt.Errorf("build plugin %q: %w", p.Name, err)
	}
	if err := os.Rename(temporary, filepath.Join(p.Dir, filepath.FromSlash(p.Module))); err != nil {
		return fmt.Errorf("build plugin %q: %w", p.Name, err)
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

func compileGo(_ context.Context, _, out string) (command, string, error) {
	tool, ok := look("go")
	if !ok {
		return command{}, "", &MissingTool{"go", "https://go.dev/dl/ (1.24 or later), or: apt-get install golang-go"}
	}
	return command{args: []string{tool, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o", out, "."},
		env: []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWORK=off"}}, "", nil
}

// clangs are the compilers that know wasm32, the plain name first; each goes with the linker of its version.
func clangs() (clang, linker string, ok bool) {
	for _, version := range []string{"", "-22", "-21", "-20", "-19", "-18", "-17", "-16", "-15", "-14"} {
		c, okC := look("clang" + version)
		l, okL := look("wasm-ld" + version)
		if okC && okL {
			return c, l, true
		}
	}
	return "", "", false
}

func compileC(_ context.Context, _, out string) (command, string, error) {
	clang, linker, ok := clangs()
	if !ok {
		return command{}, "", &MissingTool{"clang with lld", "apt-get install clang lld"}
	}
	return command{args: []string{clang, "--target=wasm32", "-std=c11", "-O2", "-mbulk-memory", "-Wall", "-Wextra", "-Wno-unused-function",
		"-ffreestanding", "-nostdlib", "-fuse-ld=" + linker, "-Wl,--no-entry", "-Wl,--stack-first", "-Wl,-z,stack-size=32768", "-o", out, "plugin.c"}}, "", nil
}

func compileAssemblyScript(_ context.Context, dir, out string) (command, string, error) {
	node, ok := look("node")
	if !ok {
		return command{}, "", &MissingTool{"node", "apt-get install nodejs npm"}
	}
	asc := filepath.Join("node_modules", "assemblyscript", "bin", "asc.js")
	if _, err := os.Stat(filepath.Join(dir, asc)); err != nil {
		return command{}, "", &MissingTool{"the AssemblyScript compiler", "(cd " + filepath.ToSlash(dir) + " && npm install)"}
	}
	return command{args: []string{node, asc, "assembly/index.ts", "-o", out, "-O", "--runtime", "incremental", "--use", "abort=assembly/edgerelay/abort"}}, "", nil
}

const rustTarget = "wasm32-unknown-unknown"

func compileRust(ctx context.Context, dir, _ string) (command, string, error) {
	cargo, ok := look("cargo")
	if !ok {
		return command{}, "", &MissingTool{"cargo", "https://rustup.rs and rustup target add " + rustTarget + "\nor: apt-get install cargo rustc libstd-rust-dev-wasm32"}
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
		return command{}, "", &MissingTool{"Rust's " + rustTarget, "rustup target add " + rustTarget + "\nor, with Debian's Rust: apt-get install libstd-rust-dev-wasm32"}
	}
	// target-dir: wherever the user's own settings put it, we must find it.
	return command{args: []string{cargo, "build", "--quiet", "--release", "--offline", "--target", rustTarget, "--target-dir", "target"}},
		filepath.Join("target", rustTarget, "release", "plugin.wasm"), nil
}

// Stamp says when the plugin was changed last: a text that is another one after every change. What is built counts only if built is true.
func (p *Package) Stamp(built bool) (string, error) {
	var b strings.Builder
	skip := []string{"node_modules", "target", ".git"}
	err := filepath.WalkDir(p.Dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			if os.IsNotExist(err) { // gone since the directory was read
				return nil
			}
			return err
		case d.IsDir() && slices.Contains(skip, d.Name()):
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), ".new-") || !built && strings.HasSuffix(path, ".wasm"):
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone
		}
		fmt.Fprintln(&b, path, info.ModTime().UnixNano(), info.Size())
		return nil
	})
	return b.String(), err
}
