package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is a package of the house: which of our packages it may import, and which more its tests may.
type room struct {
	imports []string
	tests   []string
}

// house is the plan: who may import whom. A package that is not here does not belong; a line that nobody needs any more goes. The program's
// own tests (directory ".") drive it from outside.
var house = map[string]room{
	".": {imports: []string{"cli"}, tests: []string{"bench", "config", "plugins", "relay"}},
	"cli": {imports: []string{"config", "relay", "relay/admin", "relay/event", "relay/sign", "plugins", "plugins/guests", "plugins/kit", "plugins/playground", "bench",
		"relay/queue", "relay/queue/badgerq"}}, // the last two for `bench queue`, which measures the engine alone

	"relay": {imports: []string{"config", "relay/alert", "relay/trace", "relay/admin", "relay/catalogue", "relay/dashboard", "relay/series", "relay/deliver", "relay/event", "relay/guard", "relay/history", "relay/ingress", "relay/metrics", "relay/payload",
		"relay/queue", "relay/queue/badgerq", "relay/replay", "relay/sign", "relay/store", "relay/webhooks", "plugins", "plugins/kit", "transform"}, tests: []string{"bench", "relay/guard/dnstest"}},
	"relay/ingress": {imports: []string{"relay/catalogue", "relay/event", "relay/metrics", "relay/payload", "relay/queue", "relay/trace", "relay/webhooks"}, tests: []string{"relay/queue/badgerq"}},
	"relay/deliver": {imports: []string{"relay/event", "relay/guard", "relay/history", "relay/metrics", "relay/payload", "relay/queue", "relay/sign", "relay/webhooks", "relay/trace", "transform"},
		tests: []string{"bench", "plugins"}},
	"relay/webhooks": {imports: []string{"relay/event", "relay/payload", "relay/sign"}},
	// What happened, in a store of its own: whoever makes attempts writes, the wing reads.
	"relay/history": {imports: []string{"relay/event"}},
	"relay/replay":  {imports: []string{"relay/event", "relay/history", "relay/queue"}, tests: []string{"relay/queue/badgerq"}},
	// News for people: e-mails, and the relay's own events.
	"relay/alert": {imports: []string{"relay/event"}},
	// The wing reads what the path of an event leaves behind: never queue, ingress or deliver.
	"relay/admin": {imports: []string{"config", "relay/event"}, tests: []string{"relay/metrics"}},

	// The pages are a client of the API like any other, only in the same process.
	"relay/dashboard": {imports: []string{"relay/admin"}},

	"relay/queue":           {imports: []string{"relay/event"}},
	"relay/queue/badgerq":   {imports: []string{"relay/event", "relay/queue"}, tests: []string{"relay/queue/queuetest"}},
	"relay/queue/queuetest": {imports: []string{"relay/event", "relay/queue"}},

	// The life of a plugin before it meets a relay, on the same engine.
	"plugins/kit": {imports: []string{"config", "plugins", "plugins/sdk", "relay/event", "relay/payload", "transform", "transform/jspack",
		"transform/meter"}},

	// What a plugin's author looks at while working.
	"plugins/playground": {imports: []string{"plugins/kit"}, tests: []string{"transform/jspack"}},

	// Leaves: they know nothing of the house.
	"relay/store":                  {},
	"relay/event":                  {},
	"relay/guard":                  {tests: []string{"relay/guard/dnstest"}},
	"relay/guard/dnstest":          {},
	"relay/sign":                   {},
	"relay/trace":                  {},
	"relay/payload":                {},
	"relay/catalogue":              {},
	"relay/series":                 {},
	"relay/metrics":                {tests: []string{"relay/queue", "transform"}},
	"config":                       {},
	"plugins":                      {tests: []string{"relay/event", "transform", "plugins/kit"}},
	"plugins/guests":               {tests: []string{"plugins/kit"}},
	"plugins/sdk":                  {},
	"plugins/sdk/go":               {}, // compiled into plugins, not into the program
	"transform":                    {imports: []string{"transform/meter"}, tests: []string{"transform/internal/wasmbuild", "transform/jspack"}},
	"transform/jspack":             {imports: []string{"transform/meter"}},
	"transform/meter":              {tests: []string{"transform/internal/wasmbuild"}},
	"transform/internal/wasmbuild": {},

	// Uses the program from outside, in a browser.
	"scenarios": {},

	"bench": {imports: []string{"relay/event", "relay/sign"}},
}

// optional rooms have their place in the plan before they are built.
var optional = []string{"relay/queue/queuetest"}

// owners says which packages may import a module from outside, by the start of its path. The one with the longest start counts.
// Owners of the tests come after the bar.
var owners = map[string]string{
	"unsafe":                                         "relay/payload relay/event relay/deliver plugins/sdk/go relay/queue/badgerq", // texts and bytes as views of each other; deliver: whether two slices are the same memory; badgerq: one field of Badger (trim.go)
	"github.com/dgraph-io/badger":                    "relay/queue/badgerq relay/history",
	"github.com/dgraph-io/ristretto":                 "relay/queue/badgerq",
	"google.golang.org/protobuf":                     "relay/queue/badgerq", // Badger's manifest and streams
	"github.com/klauspost/compress":                  "relay/history",       // Badger brings it
	"github.com/tetratelabs/wazero":                  "transform | transform/meter",
	"github.com/evanw/esbuild":                       "transform/jspack",
	"github.com/fsnotify/fsnotify":                   "plugins/kit",
	"gopkg.in/yaml.v3":                               "config plugins",
	"github.com/invopop/jsonschema":                  "config",
	"github.com/santhosh-tekuri/jsonschema":          "plugins relay/catalogue | config relay",
	"github.com/valyala/fasthttp":                    "relay/ingress relay/deliver bench | . relay",
	"code.dny.dev/ssrf":                              "relay/guard",
	"github.com/expr-lang/expr":                      "relay/payload",
	"github.com/prometheus/client_golang":            "relay/metrics",
	"github.com/wneessen/go-mail":                    "relay/alert",
	"github.com/emersion/go-smtp":                    "| relay/alert relay scenarios",
	"github.com/HdrHistogram/hdrhistogram-go":        "bench cli",
	"github.com/spf13/cobra":                         "cli",
	"github.com/danielgtaylor/huma":                  "relay/admin", // schemas and the API document
	"github.com/KimMachineGun/automemlimit":          "cli",
	"golang.org/x/term":                              "cli",
	"golang.org/x/text":                              "relay/catalogue", // the words of the schema checker
	"golang.org/x/sys":                               "relay/queue/badgerq relay/history bench",
	"github.com/standard-webhooks/standard-webhooks": "| relay/sign relay/deliver scenarios",
	"github.com/stripe/stripe-go":                    "| relay/sign relay/deliver",
	"github.com/rogpeppe/go-internal":                "| .",
	"github.com/google/go-cmp":                       "| *",
	"github.com/chromedp":                            "| scenarios",
	"go.uber.org/goleak":                             "| *",
	"pgregory.net/rapid":                             "| *",
}

// sleepers are the tests that may call time.Sleep, with the reason. Everywhere else time is passed in, or waited for with a channel.
var sleepers = map[string]string{
	"relay/queue/badgerq/bench_test.go": "a benchmark that polls the counters of the queue that it measures",
}

// mostLines bounds a file: one noun, to be read in one sitting.
const mostLines = 500

// source is one parsed Go file.
type source struct {
	path string
	pkg  string // directory, "." for the root
	test bool
	text []byte
	ast  *ast.File
}

// sources parses the files itself. With `go list` the go command would cache the test's result by the files that the test has opened, and
// a forbidden import would go unnoticed.
func sources(t *testing.T) (all []source) {
	t.Helper()
	walk(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "testdata/") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{path: path, pkg: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"), text: text, ast: f})
	})
	return all
}

// walk calls fn for every file of the repository that a person would read.
func walk(t *testing.T, fn func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && (name == ".git" || name == "edgerelay-data"):
			return fs.SkipDir
		case d.IsDir() || name == "go.sum" || name == ".git" || strings.HasSuffix(name, ".out") || !d.Type().IsRegular():
			return nil // .git is a file in a work tree of its own; .out is what CI writes
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err // not a text
		}
		fn(filepath.ToSlash(path), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHouseImports(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		r, ok := house[s.pkg]
		if !ok {
			t.Errorf("%s: package %s is not in the plan: which room does it belong to?", s.path, s.pkg)
			continue
		}
		used[s.pkg] = true
		for _, spec := range s.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, isOurs := strings.CutPrefix(path, "edgerelay/")
			switch {
			case path == "C":
				t.Errorf("%s imports C: the program is built without cgo", s.path)
			case path == "unsafe":
				checkOwner(t, s, path)
			case isOurs:
				if !slices.Contains(r.imports, ours) && !(s.test && (slices.Contains(r.tests, ours) || ours == s.pkg)) {
					t.Errorf("%s imports %s, which %s may not", s.path, ours, s.pkg)
				}
			case strings.Contains(strings.SplitN(path, "/", 2)[0], "."):
				checkOwner(t, s, path)
			}
		}
	}
	for pkg := range house {
		if !used[pkg] && !slices.Contains(optional, pkg) {
			t.Errorf("the plan has a room %q that does not exist", pkg)
		}
	}
}

func checkOwner(t *testing.T, s source, path string) {
	t.Helper()
	best := ""
	for prefix := range owners {
		if (path == prefix || strings.HasPrefix(path, prefix+"/")) && len(prefix) > len(best) {
			best = prefix
		}
	}
	if best == "" {
		t.Errorf("%s imports %s, which has no owner: give it one here, and a reason in RATIONALE.md", s.path, path)
		return
	}
	program, tests, _ := strings.Cut(owners[best], "|")
	allowed := strings.Fields(program)
	if s.test {
		allowed = append(allowed, strings.Fields(tests)...)
	}
	if !slices.Contains(allowed, s.pkg) && !slices.Contains(allowed, "*") {
		t.Errorf("%s imports %s, which belongs to %s", s.path, path, owners[best])
	}
}

func TestHousePackageComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		doc := s.ast.Doc.Text()
		good := strings.HasPrefix(doc, "Package "+s.ast.Name.Name+" ") || s.ast.Name.Name == "main" && strings.HasPrefix(doc, "Command ")
		documented[s.pkg] = documented[s.pkg] || good
	}
	for _, pkg := range slices.Sorted(maps.Keys(documented)) {
		if !documented[pkg] {
			t.Errorf("package %s has no comment that says what it is and who calls it", pkg)
		}
	}
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

func TestHouseFileLength(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > mostLines && !generated.Match(s.text) {
			t.Errorf("%s has %d lines, more than %d: which second noun is in it?", s.path, n, mostLines)
		}
	}
}

func TestHouseTestsDoNotSleep(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				seen[s.path] = true
				if sleepers[s.path] == "" {
					t.Errorf("%s calls time.Sleep: pass the time in, use testing/synctest, or wait on a channel", s.path)
				}
			}
			return true
		})
	}
	for path := range sleepers {
		if !seen[path] {
			t.Errorf("%s does not sleep any more: take it off the list", path)
		}
	}
}

// machinePath finds the directories of somebody's machine. The pattern is put together so that this file does not match itself.
var machinePath = regexp.MustCompile(`(^|[^\w.])(/(` + "ho" + `me|Users|ro` + `ot|wo` + `rk|tmp/bash_jobs)/\w|[A-Z]:\\\\?Users)`)

func TestHouseNoPathOfAMachine(t *testing.T) {
	walk(t, func(path string, text []byte) {
		if m := machinePath.Find(text); m != nil {
			t.Errorf("%s names a path of a machine: %q", path, m)
		}
	})
}
