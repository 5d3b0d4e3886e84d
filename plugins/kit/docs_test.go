package kit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgerelay/transform"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/transforms", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var fence = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")

type block struct{ kind, text string }

// blocks returns the fenced blocks of a page in order.
func blocks(text string) (all []block) {
	for _, m := range fence.FindAllStringSubmatch(text, -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

// shown is what plugin run prints of an outcome on its standard output.
func shown(t *testing.T, o *Outcome) string {
	t.Helper()
	switch o.Action {
	case "send":
	case "drop":
		return "dropped: " + o.Reason + "\n"
	default:
		return "failed: " + o.Reason + o.Message + "\n"
	}
	r, err := o.Request(DefaultURL)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Method + " " + r.URL + "\n"
	for _, h := range r.Headers {
		s += h.Name + ": " + h.Value + "\n"
	}
	if len(r.Body) > 0 {
		s += "\n" + string(r.Body) + "\n"
	}
	return s
}

// TestCookbook: every recipe does what the page says; so does every transform from elsewhere.
func TestCookbook(t *testing.T) {
	for name, least := range map[string]int{"cookbook.md": 8, "migrating.md": 3} {
		t.Run(name, func(t *testing.T) { checkRecipes(t, name, least) })
	}
}

func checkRecipes(t *testing.T, name string, least int) {
	h := newHost(t)
	dir := filepath.Join(t.TempDir(), "recipe")
	if _, err := New(dir, "js", "slack"); err != nil {
		t.Fatal(err)
	}
	toolchain(t, "js", dir)
	recipes := 0
	var config []byte
	var event Event
	for _, b := range blocks(page(t, name)) {
		switch b.kind {
		case "js":
			recipes++
			config = nil
			if err := os.WriteFile(filepath.Join(dir, scriptJS), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "json config":
			config = []byte(b.text)
		case "json event":
			var err error
			if event, err = ParseEvent(name, []byte(b.text)); err != nil {
				t.Fatal(err)
			}
		case "text result":
			out := buildAndRun(t, h, dir, config, event)
			if got := shown(t, out); got != b.text {
				t.Errorf("recipe %d:\n%s\nwant\n%s", recipes, got, b.text)
			}
		default:
			t.Errorf("a block of the kind %q is not run", b.kind)
		}
	}
	if recipes < least {
		t.Errorf("%d recipes", recipes)
	}
}

// buildAndRun builds the plugin and runs its module without the manifest, whose schema is that of the scaffold.
func buildAndRun(t *testing.T, h *Host, dir string, config []byte, e Event) *Outcome {
	t.Helper()
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, err := h.Build(t.Context(), p, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	wasm, err := p.Wasm()
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.NewModuleRunner(t.Context(), "docs", wasm, config)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	return r.Run(t.Context(), &e)
}

// TestLanguagePages: the commands are those that TestScaffolds carries out, and the example on each page is a plugin that works.
func TestLanguagePages(t *testing.T) {
	h := newHost(t)
	const goHead = "package main\n\nimport \"example.com/my-orders/edgerelay\"\n\nvar config struct{}\n\n"
	for _, c := range []struct{ page, language, kind, file, head string }{
		{"go.md", "go", "go", "main.go", goHead},
		{"c.md", "c", "c", "plugin.c", ""},
		{"javascript.md", "ts", "js", "index.ts", ""},
		{"assemblyscript.md", "assemblyscript", "ts", "assembly/index.ts", ""},
		{"rust.md", "rust", "rust", "src/lib.rs", ""},
	} {
		t.Run(c.page, func(t *testing.T) {
			all := blocks(page(t, c.page))
			install := ""
			if NeedsNPM(c.language) {
				install = "npm install\n"
			}
			commands := "edgerelay plugin new my-orders --lang " + c.language + "\ncd my-orders\n" + install + "edgerelay plugin build\nedgerelay plugin test\n"
			if !slices.Contains(all, block{"sh", commands}) {
				t.Errorf("the page has no block with the commands\n%s", commands)
			}
			at := slices.IndexFunc(all, func(b block) bool { return b.kind == c.kind })
			if at < 0 {
				t.Fatal("the page has no example")
			}
			dir := filepath.Join(t.TempDir(), "my-orders")
			if _, err := New(dir, c.language, "slack"); err != nil {
				t.Fatal(err)
			}
			toolchain(t, c.language, dir)
			source := strings.Replace(all[at].text, "(event, ctx)", "(event: any, ctx: any)", 1)
			if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.head+source), 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := ParseEvent("e", []byte(signup))
			if err != nil {
				t.Fatal(err)
			}
			o := buildAndRun(t, h, dir, nil, e)
			want := `{"text":"hello` // and in some the type
			if o.Action != "send" || !strings.HasPrefix(string(o.Body), want) || !slices.Contains(o.Headers, Field{"X-Type", "user.signed_up"}) {
				t.Errorf("%s %v", o.Body, o)
			}
		})
	}
}

func TestPackagePage(t *testing.T) {
	for _, b := range blocks(page(t, "package.md")) {
		var err error
		switch b.kind {
		case "yaml manifest":
			_, err = decodeManifest("package.md", []byte(b.text))
		case "yaml expect":
			err = new(Expect).decode("package.md", []byte(b.text))
		}
		if err != nil {
			t.Error(err)
		}
	}
	for _, word := range Capabilities() {
		if !strings.Contains(page(t, "package.md"), "`"+word+"`") {
			t.Errorf("capability %q is not explained", word)
		}
	}
}

var importRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| `\\(([a-z_, ]*)\\)( -> i32)?` \\|")

// TestABIPage: every import has exactly the type that the page says, and the example runs.
func TestABIPage(t *testing.T) {
	h := newHost(t)
	text := page(t, "abi.md")
	var names []string
	_, imports, _ := strings.Cut(text, "\n## Imports\n")
	for _, m := range importRow.FindAllStringSubmatch(imports, -1) {
		names = append(names, m[1])
		params, results := strings.Count(m[2], ",")+1, strings.Count(m[3], "i32")
		wasm := importing(m[1], params, results)
		if i := h.Inspect(t.Context(), wasm); !i.Accepted {
			t.Errorf("%s: %s", m[1], i.Refusal)
		}
		if i := h.Inspect(t.Context(), importing(m[1], params+1, results)); i.Accepted || !strings.Contains(i.Refusal, "it is (i32") {
			t.Errorf("%s is accepted with another type: %s", m[1], i.Refusal)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "config_read input_read log meta_get output_write reason set" {
		t.Errorf("the page has the imports %s", got)
	}
	checkSmallest(t, h, text)
}

// importing assembles a plugin that imports one function of the ABI.
func importing(name string, params, results int) []byte {
	types := append(append([]byte{1, 2, 0x60, byte(params)}, bytes.Repeat([]byte{0x7f}, params)...), byte(results))
	types = append(append(types, bytes.Repeat([]byte{0x7f}, results)...), 0x60, 0, 1, 0x7f)
	imports := append([]byte{2, 1}, fmt.Sprintf("\x0cedgerelay_v1%c%s\x00\x00", rune(len(name)), name)...)
	return module(types, imports, []byte("\x03\x01\x01"), []byte("\x05\x01\x00\x01"),
		[]byte("\x07\x02\x09transform\x00\x01\x06memory\x02\x00"), []byte("\x0a\x01\x04\x00\x41\x00\x0b"))
}

func checkSmallest(t *testing.T, h *Host, text string) {
	at := slices.IndexFunc(blocks(text), func(b block) bool { return b.kind == "wat" })
	tool, ok := look("wat2wasm")
	if !ok {
		t.Skip("skipped the example: no wat2wasm; apt-get install wabt")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello.wat"), []byte(blocks(text)[at].text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "hello.wat", "-o", "hello.wasm")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "hello.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := h.NewModuleRunner(t.Context(), "hello", wasm, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	e, err := ParseEvent("e", []byte(signup))
	if err != nil {
		t.Fatal(err)
	}
	if o := r.Run(t.Context(), &e); string(o.Body) != `{"text":"hello"}` {
		t.Errorf("%s %s", o.Body, o.Message)
	}
}

// TestLimitsPage: the defaults in the table are the defaults.
func TestLimitsPage(t *testing.T) {
	text, l := page(t, "limits.md"), transform.DefaultLimits()
	for _, want := range []string{
		"| fuel: work, about one unit for each instruction | 200,000,000 ", "| time | 250ms |", "| linear memory | 32 MiB |", "| tables | 10,000 entries |",
		"| input | what `ingress.max_body` lets in, at least 1 MiB |", "64 of each, 16 KiB together", "| log | 64 KiB ", "| module | 16 MiB |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if l.Fuel != 200_000_000 || l.Timeout.String() != "250ms" || l.Memory != 32<<20 || transform.MaxTable != 10_000 || l.MaxInput != 1<<20 ||
		l.MaxOutput != 1<<20 || transform.MaxFields != 64 || l.MaxHeaders != 16<<10 || l.MaxLog != 64<<10 || transform.MaxModule != 16<<20 {
		t.Errorf("the page is not true any more: %+v", l)
	}
}

// TestTutorialIsTheScript: the script carries out every command of the tutorial, in its order.
func TestTutorialIsTheScript(t *testing.T) {
	text, err := os.ReadFile("../../testdata/script/plugin_tutorial.txtar")
	if err != nil {
		t.Fatal(err)
	}
	script, archive, _ := strings.Cut(string(text), "\n-- edgerelay.yaml --\n")
	rest := strings.Split(script, "\n")
	commands := 0
	for _, b := range blocks(page(t, "tutorial.md")) {
		switch b.kind {
		case "sh":
			for command := range strings.Lines(b.text) {
				command = strings.TrimSpace(command)
				at := slices.IndexFunc(rest, func(l string) bool {
					return l == command || l == "exec "+command || l == "! exec "+command || l == "# $ "+command
				})
				if at < 0 {
					t.Errorf("the script does not carry out, at this place: %s", command)
					continue
				}
				rest = rest[at+1:]
				commands++
			}
		case "yaml relay":
			if !strings.HasPrefix(archive, b.text) {
				t.Errorf("the script has another config:\n%s", archive)
			}
		}
	}
	if commands < 15 {
		t.Errorf("%d commands", commands)
	}
}
