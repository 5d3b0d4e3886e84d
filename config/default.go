package config

import "time"

// Default returns the config that a relay without a file runs with. Every default of the tree is in this file.
func Default() *Config {
	return &Config{
		Version:         1,
		DataDir:         "edgerelay-data",
		ShutdownTimeout: Duration(30 * time.Second),
		Log:             Log{Level: "info", Format: "auto"},
		Ingress:         Ingress{Listen: "127.0.0.1:8080", MaxBody: 1 << 20},
		Admin:           Admin{Listen: "127.0.0.1:8081"},
		Queue:           Queue{Backend: "badger", MaxBytes: 10 << 30, MinFreeDisk: 512 << 20, Durability: "fsync"},
		Sender:          Sender{Timeout: Duration(15 * time.Second), MaxInFlight: 1024, DisableAfter: Duration(5 * 24 * time.Hour)},
		History:         History{Enabled: true, Retention: Duration(72 * time.Hour), FailedRetention: Duration(30 * 24 * time.Hour), CaptureBody: 64 << 10, MaxBytes: 2 << 30},
		Alerts: Alerts{SMTP: SMTP{StartTLS: "required", Timeout: Duration(30 * time.Second)}, MinInterval: Duration(5 * time.Minute),
			MaxPerDay: 50, OpenAfter: Duration(5 * time.Minute)},
		Tracing: Tracing{SampleRatio: 1, ServiceName: "edgerelay"},
		Retry: Retry{
			Schedule: []Duration{
				Duration(5 * time.Second), Duration(5 * time.Minute), Duration(30 * time.Minute),
				Duration(2 * time.Hour), Duration(5 * time.Hour),
			},
			Jitter: 0.2,
		},
		defaultTenant: "default",
	}
}

// setDefaults is called by the decoder on a new list element before it reads the element's keys.
func (w *Webhook) setDefaults() {
	*w = Webhook{
		Method:      "POST",
		Signing:     Signing{Scheme: "standard"},
		Payload:     Payload{Type: "json"},
		Concurrency: 16,
		Ordering:    "none",
		Log:         "all",
		Status:      "active",
		OnPaused:    "drop",
		// Tenant, Timeout and Retry are inherited: see settle.
	}
}

// setDefaults: the limits of a transform depend on its plugin.yaml, see relay.
func (t *Transform) setDefaults() { *t = Transform{OnError: "retry"} }

func (t *AdminToken) setDefaults() { *t = AdminToken{Role: "admin"} }

func (e *EventType) setDefaults() { *e = EventType{Scope: "any"} }

func (h *AuthHeader) setDefaults() { *h = AuthHeader{Visibility: "secret"} }

// growth holds the defaults of the second form of Retry, which apply once initial is given.
var growth = Retry{Multiplier: 2, MaxInterval: Duration(time.Hour)}

// growthRetries is how often that form tries again when neither max_retries nor max_age says it.
const growthRetries = 5
