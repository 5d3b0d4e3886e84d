package plugins_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgerelay/plugins"
	"edgerelay/transform"
)

var fence = regexp.MustCompile("(?ms)^```(yaml|json|csv)\n(.*?)^```")

// TestDocs runs the example of every plugin, on the page of all of them and in its README: the event becomes what is written there.
func TestDocs(t *testing.T) {
	host := newHost(t)
	page := string(read(t, filepath.Join("..", "docs", "plugins.md")))
	for _, p := range plugins.List() {
		_, section, ok := strings.Cut(page, "\n## "+p.Name+"\n")
		if !ok {
			t.Errorf("docs/plugins.md has no section about %s", p.Name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		module := newModule(t, host, p.Name, p.Wasm)
		checkExample(t, host, module, p, "docs/plugins.md", section)
		checkExample(t, host, module, p, "README.md", string(read(t, filepath.Join(p.Name, "README.md"))))
	}
}

func checkExample(t *testing.T, host *transform.Host, module *transform.Module, p plugins.Plugin, where, text string) {
	t.Helper()
	blocks := fence.FindAllStringSubmatch(text, -1)
	if len(blocks) != 3 || blocks[0][1] != "yaml" || blocks[1][1] != "json" {
		t.Errorf("%s, %s: want a config, an event and what becomes of it", where, p.Name)
		return
	}
	var file struct {
		Webhooks []struct {
			Transform []struct {
				Plugin string
				Config map[string]any
			}
		}
	}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(blocks[0][2], "${REDACT_SALT}", "a salt of sixteen or more")), &file); err != nil {
		t.Fatalf("%s, %s: %v", where, p.Name, err)
	}
	step := file.Webhooks[0].Transform[0]
	config, err := json.Marshal(step.Config)
	if err != nil {
		t.Fatal(err)
	}
	if step.Config == nil {
		config = nil
	}
	if err := p.Validate(config); err != nil || step.Plugin != p.Name {
		t.Errorf("%s, %s: plugin %q: %v", where, p.Name, step.Plugin, err)
	}
	out := run(t, newPool(t, host, module, transform.PoolConfig{Config: config}), newEnvelope(t, []byte(blocks[1][2])))
	if want := blocks[2][2]; blocks[2][1] == "csv" {
		if got := strings.ReplaceAll(string(out.Body), "\r\n", "\n"); got != want {
			t.Errorf("%s, %s: the example becomes\n%s", where, p.Name, got)
		}
	} else if !reflect.DeepEqual(decoded(t, out.Body), decoded(t, []byte(want))) {
		t.Errorf("%s, %s: the example becomes\n%s", where, p.Name, out.Body)
	}
}
