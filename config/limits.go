package config

// TenantLimits are what producers may hand in for a tenant.
type TenantLimits struct {
	IngressRate  Rate `yaml:"ingress_rate,omitempty" jsonschema_description:"The most events in a span of time, such as 100/s; more are refused with 429 and Retry-After. Absent = no limit."`
	PendingBytes Size `yaml:"pending_bytes,omitempty" jsonschema_description:"The most bytes of events that wait for delivery, counted once for each webhook; above it events are refused with 503 and Retry-After. Absent = no limit."`
}
