package cli

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/plugins"
	"edgerelay/relay/sign"
)

//go:embed demo.yaml
var demoYAML string

// demoHooks are the webhooks of demo.yaml. A hookSet has one bit for each, in this order.
var demoHooks = [...]string{"warehouse", "accounting", "partner", "intranet", "newsletter"}

const (
	toWarehouse hookSet = 1 << iota
	toAccounting
	toPartner
	toIntranet
	toNewsletter
)

// flaky is the hook whose receiver fails now and then.
const flaky = "partner"

// hookSet is a set of demoHooks.
type hookSet uint8

func hookBit(name string) hookSet {
	for i, n := range demoHooks {
		if n == name {
			return 1 << i
		}
	}
	return 0
}

func (s hookSet) count() (n int) {
	for ; s != 0; s &= s - 1 {
		n++
	}
	return n
}

// demoSecrets are made for one run of the demo.
type demoSecrets struct{ standard, gitHub string }

// receivers are the other side of the webhooks: each checks signatures with the secret that was agreed on.
func (s demoSecrets) receivers() []bench.Hook {
	hooks := make([]bench.Hook, len(demoHooks))
	for i, name := range demoHooks {
		hooks[i] = bench.Hook{Name: name, Scheme: "standard", Secrets: []string{s.standard}}
		if name == "intranet" {
			hooks[i].Scheme, hooks[i].Secrets = "github", []string{s.gitHub}
		}
	}
	return hooks
}

func newDemoSecrets() demoSecrets {
	return demoSecrets{standard: sign.NewSecret(), gitHub: sign.NewSecret()}
}

// demoConfig writes the config and the transform's module into dir and loads them, as `run -c` would.
func demoConfig(dir, url string, s demoSecrets) (*config.Config, error) {
	t, err := template.New("demo.yaml").Delims("<%", "%>").Parse(demoYAML)
	if err != nil {
		panic("BUG: demo.yaml is no template: " + err.Error())
	}
	var text bytes.Buffer
	values := struct{ URL, Secret, GitHubSecret string }{url, s.standard, s.gitHub}
	if err := t.Execute(&text, values); err != nil {
		panic("BUG: demo.yaml cannot be filled in: " + err.Error())
	}
	path := filepath.Join(dir, "demo.yaml")
	for name, content := range map[string][]byte{path: text.Bytes(), filepath.Join(dir, "mask.wasm"): plugins.Mask} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return nil, fmt.Errorf("write demo file: %w", err)
		}
	}
	return config.Load(path)
}

// sample is an event that the demo sends, with the webhooks that must get it. Who must is said here and not asked from the relay.
type sample struct {
	kind string
	data json.RawMessage
	to   hookSet
}

var demoPeople = [...]string{"Ada", "Grace", "Linus", "Margaret", "Dennis", "Barbara", "Ken", "Radia"}

func orderSample(i int) sample {
	return sample{"order.created", fmt.Appendf(nil, `{"order":"A-%d","total":%d.50,"currency":"EUR"}`, 1000+i, 20+i*7%180), toWarehouse | toAccounting | toPartner}
}

func recognitionSample(i, points int) sample {
	s := sample{kind: "recognition.complete"}
	n := len(demoPeople)
	s.data = fmt.Appendf(nil, `{"giver":%q,"receiver":%q,"points":%d}`, demoPeople[i%n], demoPeople[(i+3)%n], points)
	if points >= 50 {
		s.to = toIntranet
	}
	return s
}

func userSample(i int) sample {
	name := demoPeople[i%len(demoPeople)]
	return sample{"user.signed_up", fmt.Appendf(nil, `{"name":%q,"email":"%c%s@example.com"}`, name, name[0]|0x20, name[1:]), toNewsletter}
}

// flowSample is the i-th event of the steady flow.
func flowSample(i int) sample {
	switch i % 4 {
	case 0:
		return orderSample(i)
	case 1:
		return userSample(i)
	case 2:
		return sample{"order.paid", fmt.Appendf(nil, `{"order":"A-%d"}`, 1000+i-2), toWarehouse}
	}
	return recognitionSample(i, 10+i*13%90)
}
