package relay

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerelay/config"
	"edgerelay/transform"
)

// counter is a module that counts its events in its memory, and writes the count as a digit.
func counter(t *testing.T) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../plugins/kit/testdata/counter.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

const counterManifest = "name: counter\nversion: 1.0.0\nabi: edgerelay_v1\n"

// withTransform is a config with one transform step, next to the files of a plugin in the directory my.
func withTransform(t *testing.T, step string, files map[string]string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("my/plugin.wasm", string(counter(t)))
	for name, text := range files {
		write(name, text)
	}
	write("a.yaml", "webhooks:\n  - name: w\n    events: [x]\n    url: https://a.example/\n    transform:\n      - "+step+"\n")
	cfg, err := config.Load(filepath.Join(dir, "a.yaml"))
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	return cfg
}

// digits runs three events through the webhook's transform and returns what it wrote, or the first error.
func digits(t *testing.T, cfg *config.Config) string {
	t.Helper()
	ctx := context.Background()
	host, err := transform.NewHost(ctx, transform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	b := &builder{cfg: cfg, host: host, secret: generated}
	out, problems := b.build(ctx)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	defer out.close(ctx)
	text := ""
	for range 3 {
		var r transform.Result
		if err := out.targets[0].Steps[0].Pool.Run(ctx, &transform.Meta{}, []byte(`{"data":1}`), &r); err != nil {
			return err.Error()
		}
		text += string(r.Body)
	}
	return text
}

// TestTransformSettings: what a step says about isolation, sample and fuel is what happens, and what a plugin's manifest says where the step
// is silent.
func TestTransformSettings(t *testing.T) {
	const sample, primed = "my/events/first.json", counterManifest + "sample: first\n"
	const event = `{"type":"a.b","data":{}}`
	for _, c := range []struct {
		step, manifest string
		files          map[string]string
		want           string
	}{
		{step: "wasm: my/plugin.wasm", want: "111"},
		{step: "{ wasm: my/plugin.wasm, isolation: shared }", want: "123"},
		{step: "{ wasm: my/plugin.wasm, isolation: fresh }", want: "111"},
		{step: "{ wasm: my/plugin.wasm, sample: { type: a.b, data: {} } }", want: "222"},
		{step: "{ wasm: my/plugin.wasm, fuel: 1000 }", want: "111"},
		{step: "wasm: my", manifest: counterManifest, want: "111"},
		{step: "wasm: my", manifest: primed, files: map[string]string{sample: event}, want: "222"},
		{step: "wasm: my", manifest: counterManifest, files: map[string]string{sample: event}, want: "111"},
		{step: "wasm: my/plugin.wasm", manifest: primed, files: map[string]string{sample: event}, want: "222"},
		{step: "wasm: my/other.wasm", manifest: counterManifest, files: map[string]string{sample: event, "my/other.wasm": string(counter(t))}, want: "111"},
		{step: "wasm: my", manifest: counterManifest + "isolation: shared\n", want: "111"}, // a plugin cannot switch isolation off by itself
		{step: "{ wasm: my, isolation: shared }", manifest: primed + "isolation: shared\n", files: map[string]string{sample: event}, want: "234"},
		{step: "{ wasm: my, isolation: event }", manifest: primed + "isolation: fresh\n", files: map[string]string{sample: event}, want: "222"},
		{step: "wasm: my", manifest: primed + "isolation: fresh\n", files: map[string]string{sample: event}, want: "111"},
		{step: "wasm: my", manifest: counterManifest + "limits: { fuel: 5 }\n", want: `transform "counter": fuel: more than 5 units of work`},
		{step: "{ wasm: my, fuel: 100000 }", manifest: counterManifest + "limits: { fuel: 5 }\n", want: "111"},
		{step: "{ wasm: my, fuel: 900000000 }", manifest: counterManifest + "limits: { fuel: 900000000 }\n", want: "111"},
	} {
		files := map[string]string{}
		for name, text := range c.files {
			files[name] = text
		}
		if c.manifest != "" {
			files["my/plugin.yaml"] = c.manifest
		}
		if got := digits(t, withTransform(t, c.step, files)); got != c.want {
			t.Errorf("%s\n%s:\n got %s\nwant %s", c.step, c.manifest, got, c.want)
		}
	}
}

// TestTransformMistakes: what does not fit is said where it is written.
func TestTransformMistakes(t *testing.T) {
	for _, c := range []struct{ step, manifest, want string }{
		{"wasm: gone.wasm", "", "webhooks[0].transform[0].wasm: stat "},
		{"wasm: my", "", "my is a directory without a plugin.yaml: name a module's file, or the directory of a plugin"},
		{"wasm: my", "name: counter\n", "plugin.yaml:1:1: abi: is missing"},
		{"wasm: my", "name: counter\nversion: 1.0.0\nabi: extism\n", "the module speaks the ABI edgerelay_v1, its plugin.yaml says extism"},
		{"{ wasm: my, config: { a: 1 } }", counterManifest, `transform[0].config: plugin "counter" takes no configuration`},
		{"wasm: my", counterManifest + "limits: { fuel: 900000000 }\n",
			`transform[0]: the plugin "counter" asks for fuel 900000000 in its plugin.yaml, which is more than the default: allow it here with fuel: 900000000`},
		{"wasm: my", counterManifest + "limits: { memory: 64MiB, timeout: 2s }\n", "asks for memory 64MiB in its plugin.yaml, which is more than the default: allow it here with memory: 64MiB"},
		{"wasm: my", counterManifest + "sample: first\n", `plugin.yaml: sample: plugin "counter" has no sample event "first"`},
		{"{ wasm: my/plugin.wasm, sample: { data: {} } }", "", `transform[0].sample: is not an event: `},
		{"{ wasm: my/plugin.wasm, entry: greet }", "", `it has no function "greet" that can be given events, only: transform`},
		{"{ wasm: my/plugin.wasm, output: request }", "", "output: request is for Extism plug-ins and WASI programs; this module speaks edgerelay_v1"},
	} {
		files := map[string]string{}
		if c.manifest != "" {
			files["my/plugin.yaml"] = c.manifest
		}
		if got := Check(context.Background(), withTransform(t, c.step, files)).Error(); !strings.Contains(got, c.want) {
			t.Errorf("%s\n%s:\n got %s\nwant %s", c.step, c.manifest, got, c.want)
		}
	}
}
