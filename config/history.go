package config

import (
	"fmt"
	"strings"
)

// History is what is remembered of events and attempts.
type History struct {
	Enabled         bool     `yaml:"enabled" jsonschema_description:"Whether anything is remembered."`
	Retention       Duration `yaml:"retention" min:"1m" max:"3650d" jsonschema_description:"How long events and attempts are kept."`
	FailedRetention Duration `yaml:"failed_retention" min:"1m" max:"3650d" jsonschema_description:"How long failed attempts are kept, with what came after them; never shorter than retention."`
	BodyRetention   Duration `yaml:"body_retention,omitempty" min:"0s" max:"3650d" jsonschema_description:"How long bodies are kept. Absent = as long as what they belong to."`
	CaptureBody     Size     `yaml:"capture_body" min:"0" max:"1MiB" jsonschema_description:"How much of each body is kept. An event that is larger cannot be sent again out of the history."`
	MaxBytes        Size     `yaml:"max_bytes" min:"64MiB" jsonschema_description:"How much disk the history may take. What is oldest goes first."`
	MaxBodyBytes    Size     `yaml:"max_body_bytes,omitempty" min:"0" jsonschema_description:"How much of it bodies may take. Absent = three quarters."`
	Redact          []string `yaml:"redact,omitempty" jsonschema_description:"Paths of values in events that are never stored, such as data.card.number. A * stands for every member."`
}

func (c *Config) checkHistory() {
	h := &c.History
	if c.index.has("history.failed_retention") && h.FailedRetention < h.Retention {
		c.fault("history.failed_retention", "is shorter than retention, which is %s", h.Retention)
	}
	if h.MaxBodyBytes > h.MaxBytes {
		c.fault("history.max_body_bytes", "is more than max_bytes, which is %s", h.MaxBytes)
	}
	for i, p := range h.Redact {
		if parts := strings.Split(p, "."); parts[0] != "data" || strings.Contains("."+p+".", "..") {
			c.fault(fmt.Sprintf("history.redact[%d]", i), "%q is not a path: write one that begins with data, such as data.card.number", p)
		}
	}
}
