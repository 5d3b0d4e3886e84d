package kit

import (
	"encoding/json"
	"fmt"

	"edgerelay/plugins"
)

// noConfig is the schema of a plugin whose manifest has none: it takes no configuration.
const noConfig = `{"type":"object","additionalProperties":false}`

// schema compiles the schema of the plugin's configuration.
func (m *Manifest) schema() (*plugins.Schema, error) {
	if len(m.Config) == 0 {
		return plugins.CompileSchema(json.RawMessage(noConfig))
	}
	return plugins.CompileSchema(json.RawMessage(m.Config))
}

// ConfigError says that the plugin's schema refuses a configuration.
type ConfigError struct{ err error }

func (e *ConfigError) Error() string { return "config: " + e.err.Error() }

// Unwrap leads to the plugins.Mistakes.
func (e *ConfigError) Unwrap() error { return e.err }

// CheckConfig checks a configuration (JSON text, nil = none) against the plugin's schema. The error is a *ConfigError.
func (m *Manifest) CheckConfig(config []byte) error {
	s, err := m.schema()
	if err != nil {
		return fmt.Errorf("plugin %q: config schema: %w", m.Name, err)
	}
	err = s.Validate(config)
	if err != nil && len(m.Config) == 0 {
		err = fmt.Errorf("plugin %q takes no configuration: its %s has no config", m.Name, ManifestFile)
	}
	if err != nil {
		return &ConfigError{err}
	}
	return nil
}
