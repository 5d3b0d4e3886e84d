package kit

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/transform"
)

// ManifestFile is the name of the file that makes a directory a plugin.
const ManifestFile = "plugin.yaml"

// Manifest is plugin.yaml.
type Manifest struct {
	Name        string `yaml:"name" jsonschema:"required" json:"name"`
	Version     string `yaml:"version" jsonschema:"required" json:"version"`
	Description string `yaml:"description" json:"description,omitempty"`
	ABI         string `yaml:"abi" jsonschema:"required,enum=edgerelay_v1,enum=javascript,enum=extism,enum=wasi" json:"abi"`
	Language    string `yaml:"language" jsonschema:"enum=go,enum=c,enum=assemblyscript,enum=rust,enum=js,enum=ts" json:"language,omitempty"` // what Build compiles; "" = built by other means
	Module      string `yaml:"module" json:"module"`
	Entry       string `yaml:"entry" json:"entry,omitempty"`                                       // the function to call, for extism
	Output      string `yaml:"output" jsonschema:"enum=body,enum=request" json:"output,omitempty"` // what is written means, for extism and wasi
	Isolation   string `yaml:"isolation" jsonschema:"enum=event,enum=shared,enum=fresh" json:"isolation"`
	Limits      Limits `yaml:"limits" json:"limits"`
	// Sample names the sample event that is run once before the module's state is kept; absent = none.
	Sample string `yaml:"sample" json:"sample,omitempty"`
	// Config is the JSON Schema of the plugin's configuration; absent = it takes none.
	Config config.JSON `yaml:"config" json:"config,omitempty"`
	// Capabilities are what the plugin may do besides writing a body; see Capabilities.
	Capabilities []string `yaml:"capabilities" json:"capabilities"`
}

// Limits are what a plugin asks for; the operator's own limits may be lower.
type Limits struct {
	Fuel    int             `yaml:"fuel" jsonschema:"minimum=1" json:"fuel,omitempty"`
	Timeout config.Duration `yaml:"timeout" min:"1ms" max:"1m" json:"timeout,omitempty"`
	Memory  config.Size     `yaml:"memory" min:"64KiB" max:"256MiB" json:"memory,omitempty"`
	Output  config.Size     `yaml:"output" min:"1KiB" max:"64MiB" json:"output,omitempty"`
}

// Capabilities returns what a manifest may list. A run that does one of these things without its capability is a mistake of the plugin, so
// that whoever reads the manifest of a stranger's plugin knows what it can do to a request.
func Capabilities() []string {
	return []string{"content-type", "method", "path", "headers", "query", "drop", "retry"}
}

var (
	nameRule    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	versionRule = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
)

// ValidName says whether a plugin may be called that.
func ValidName(name string) bool { return nameRule.MatchString(name) && !strings.HasSuffix(name, "-") }

// decodeManifest reads plugin.yaml; name is what mistakes call it. The error is config.Problems.
func decodeManifest(name string, text []byte) (*Manifest, error) {
	m := &Manifest{Module: "plugin.wasm", Isolation: transform.IsolationEvent.String()}
	at, err := config.DecodeManifest(name, text, m)
	if err != nil {
		return nil, err
	}
	var problems config.Problems
	fault := func(path, format string, args ...any) {
		problems = append(problems, at.Problem(path, fmt.Sprintf(format, args...)))
	}
	if m.Name == "" {
		fault("name", "is missing")
	} else if !ValidName(m.Name) {
		fault("name", "%q is not a plugin's name: small letters, digits and -, beginning with a letter", m.Name)
	}
	if !versionRule.MatchString(m.Version) {
		fault("version", "%q is not a version such as 1.0.0", m.Version)
	}
	if !fs.ValidPath(m.Module) || m.Module == "." || strings.Contains(m.Module, `\`) {
		fault("module", "%q is not a file below the plugin's directory", m.Module)
	}
	if m.Entry != "" && m.ABI != transform.ABIExtism.String() {
		fault("entry", "only a plugin of the ABI extism has a choice")
	}
	if m.Output != "" && m.ABI != transform.ABIExtism.String() && m.ABI != transform.ABICommand.String() {
		fault("output", "only plugins of the ABIs extism and wasi have a choice")
	}
	for i, c := range m.Capabilities {
		if !slices.Contains(Capabilities(), c) {
			fault(fmt.Sprintf("capabilities[%d]", i), "%q is no capability: known are %s", c, strings.Join(Capabilities(), ", "))
		}
	}
	if _, err := m.schema(); err != nil {
		fault("config", "is not a JSON Schema: %v", err)
	}
	if len(problems) > 0 {
		problems.Sort()
		return nil, problems
	}
	return m, nil
}

// Isolated is how the plugin's events are kept apart.
func (m *Manifest) Isolated() transform.Isolation { return ParseIsolation(m.Isolation) }

// ParseIsolation knows the names of a manifest and of a configuration; "" is event.
func ParseIsolation(name string) transform.Isolation {
	for _, i := range []transform.Isolation{transform.IsolationShared, transform.IsolationFresh} {
		if i.String() == name {
			return i
		}
	}
	return transform.IsolationEvent
}

// poolConfig is how the plugin wants to be run.
func (m *Manifest) poolConfig() transform.PoolConfig {
	c := transform.PoolConfig{QuarantineAfter: -1, Limits: transform.DefaultLimits(), Isolation: m.Isolated()}
	c.Entry = m.Entry
	c.Output, _ = transform.ParseOutput(m.Output) // one of the two, or none
	override(&c.Limits.Fuel, int64(m.Limits.Fuel))
	override(&c.Limits.Timeout, time.Duration(m.Limits.Timeout))
	override(&c.Limits.Memory, uint32(m.Limits.Memory))
	override(&c.Limits.MaxOutput, int(m.Limits.Output))
	return c
}

func override[T int | int64 | uint32 | time.Duration](to *T, wanted T) {
	if wanted != 0 {
		*to = wanted
	}
}
