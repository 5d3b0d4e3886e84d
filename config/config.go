// Package config is the YAML tree as Go structs: defaults, loading, checking, printing, and its JSON Schema.
//
// The commands call it (run, validate, config …) and hand the result to the relay. It starts no goroutines and imports nothing of
// ours. It owns yaml.v3 and the JSON Schema generator: no other package may import them.
//
// The way of a config, top to bottom (see Load):
//
//	files ─► parse (limits first) ─► decode (strict, ${…} expanded, every mistake kept) ─► settle (what is inherited) ─► check
//
// A mistake never ends the load: all of them are collected, each with file, line and column, and returned together as Problems.
package config

import "net/netip"

// Config is the whole tree. Keys that are absent have the values of Default, or of the default of their list element.
type Config struct {
	Version          int             `yaml:"version" jsonschema:"enum=1" jsonschema_description:"Version of the config format."`
	DataDir          Path            `yaml:"data_dir" jsonschema_description:"Directory that holds the queue and everything else that must survive a restart. One process at a time."`
	ShutdownTimeout  Duration        `yaml:"shutdown_timeout" min:"0s" max:"1h" jsonschema_description:"How long a stop waits for requests that are under way."`
	Log              Log             `yaml:"log" jsonschema_description:"What the daemon writes to stderr."`
	Ingress          Ingress         `yaml:"ingress" jsonschema_description:"The listener on which producers hand in events."`
	Admin            Admin           `yaml:"admin" jsonschema_description:"The listener of the management API, metrics and dashboard."`
	Queue            Queue           `yaml:"queue" jsonschema_description:"Where accepted events wait."`
	Sender           Sender          `yaml:"sender" jsonschema_description:"How requests go out."`
	Retry            Retry           `yaml:"retry" jsonschema_description:"When failed deliveries are tried again. Give either schedule, or initial and what goes with it."`
	History          History         `yaml:"history" jsonschema_description:"What is remembered of events and attempts, for people and for sending again."`
	Alerts           Alerts          `yaml:"alerts" jsonschema_description:"Who is told by e-mail when deliveries fail, and how often."`
	Tracing          Tracing         `yaml:"tracing" jsonschema_description:"Where spans go."`
	Policy           Policy          `yaml:"policy" jsonschema_description:"What webhooks may not do."`
	Tenants          []Tenant        `yaml:"tenants,omitempty" jsonschema_description:"The business units. With none declared, any tenant id may be used and the default one is called default."`
	EventTypes       []EventType     `yaml:"event_types,omitempty" jsonschema_description:"The catalogue of event types."`
	StrictEventTypes bool            `yaml:"strict_event_types" jsonschema_description:"Refuse events whose type is not in event_types."`
	ValidateEvents   bool            `yaml:"validate_events" jsonschema_description:"Refuse events whose data does not fit the schema of their type. Types without a schema are not checked."`
	Authorizations   []Authorization `yaml:"authorizations,omitempty" jsonschema_description:"Named credentials that webhooks can use."`
	Webhooks         []Webhook       `yaml:"webhooks,omitempty" jsonschema_description:"Which events go where, and in which shape."`

	index         *index   // where each path was written; nil for a tree that was not loaded
	report        *report  // only while loading
	defaultTenant string   // see DefaultTenant
	blank         []string // files without a single character
}

// Log is the daemon's own log.
type Log struct {
	Level  string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error" jsonschema_description:"The least important line that is written."`
	Format string `yaml:"format" jsonschema:"enum=auto,enum=text,enum=json" jsonschema_description:"auto is text on a terminal and json elsewhere."`
}

// TLS names a certificate. Both files or neither.
type TLS struct {
	CertFile Path `yaml:"cert_file,omitempty" jsonschema_description:"PEM file with the certificate and its chain."`
	KeyFile  Path `yaml:"key_file,omitempty" jsonschema_description:"PEM file with the private key."`
}

// Enabled says whether a certificate is configured.
func (t TLS) Enabled() bool { return t.CertFile != "" }

// Ingress is the producers' side.
type Ingress struct {
	Listen  string         `yaml:"listen" jsonschema_description:"Address as host:port. Port 0 takes any free one. An address that is not loopback needs tokens."`
	TLS     TLS            `yaml:"tls,omitempty" jsonschema_description:"Certificate of this listener. Absent = plain HTTP."`
	MaxBody Size           `yaml:"max_body" min:"1KiB" max:"64MiB" jsonschema_description:"The largest request body that is accepted."`
	Tokens  []IngressToken `yaml:"tokens,omitempty" jsonschema_description:"Bearer tokens of the producers. None = open, which only a loopback listener may be."`
}

// IngressToken is one producer.
type IngressToken struct {
	Name    string `yaml:"name" jsonschema:"required" jsonschema_description:"Name of the producer, for logs."`
	Token   Secret `yaml:"token" jsonschema:"required" jsonschema_description:"The bearer token."`
	Tenant  string `yaml:"tenant,omitempty" jsonschema_description:"Every event sent with the token belongs to this tenant. Absent = the event says, else the default tenant."`
	Program string `yaml:"program,omitempty" jsonschema_description:"Every event sent with the token belongs to this program."`
}

// Admin is the management side.
type Admin struct {
	Listen string       `yaml:"listen" jsonschema_description:"Address as host:port. An address that is not loopback needs tls and tokens."`
	TLS    TLS          `yaml:"tls,omitempty" jsonschema_description:"Certificate of this listener. Absent = plain HTTP."`
	Tokens []AdminToken `yaml:"tokens,omitempty" jsonschema_description:"Bearer tokens of operators. None = one is generated."`

	PublicCatalogue bool `yaml:"public_catalogue" jsonschema_description:"Show the event types that belong to no tenant at /event-types, to everybody who reaches the listener, without a token."`
}

// AdminToken is one operator.
type AdminToken struct {
	Name    string   `yaml:"name" jsonschema:"required" jsonschema_description:"Name of the operator, for logs."`
	Token   Secret   `yaml:"token" jsonschema:"required" jsonschema_description:"The bearer token."`
	Tenants []string `yaml:"tenants" jsonschema:"required" jsonschema_description:"Ids of the tenants that the token may see, or * for all of them."`
	Role    string   `yaml:"role" jsonschema:"enum=viewer,enum=editor,enum=admin" jsonschema_description:"What the token may do."`
}

// Queue is the place where events wait.
type Queue struct {
	Backend     string `yaml:"backend" jsonschema:"enum=badger" jsonschema_description:"The engine."`
	MaxBytes    Size   `yaml:"max_bytes" min:"1MiB" jsonschema_description:"Above this size new events are refused with 503 and Retry-After."`
	MinFreeDisk Size   `yaml:"min_free_disk" jsonschema_description:"Below this much free disk new events are refused with 503 and Retry-After."`
	Durability  string `yaml:"durability" jsonschema:"enum=fsync,enum=os" jsonschema_description:"fsync: an accepted event survives a power cut. os: it survives a crash of the process only."`
}

// Sender is the side that talks to receivers.
type Sender struct {
	Timeout              Duration       `yaml:"timeout" min:"10ms" max:"10m" jsonschema_description:"How long one attempt may take."`
	UserAgent            string         `yaml:"user_agent,omitempty" jsonschema_description:"User-Agent of outgoing requests. Absent = edgerelay and its version."`
	AllowPrivateNetworks []netip.Prefix `yaml:"allow_private_networks,omitempty" jsonschema_description:"Networks in CIDR notation that webhooks may point to although they are private, loopback or link-local."`
	DenyNetworks         []netip.Prefix `yaml:"deny_networks,omitempty" jsonschema_description:"Networks in CIDR notation that are never connected to, whatever is allowed."`
	Proxy                Proxy          `yaml:"proxy,omitempty" jsonschema_description:"The HTTP proxy that requests to receivers and token endpoints go through."`
	MaxInFlight          int            `yaml:"max_in_flight" jsonschema:"minimum=1,maximum=65536" jsonschema_description:"The most requests that are under way at the same time, over all webhooks."`
	RateLimit            Rate           `yaml:"rate_limit,omitempty" jsonschema_description:"The most requests in a span of time, over all webhooks, such as 1000/s. Absent = no limit."`
	DisableAfter         Duration       `yaml:"disable_after" max:"365d" jsonschema_description:"A webhook whose attempts have all failed for this long is disabled until somebody changes it. 0s = never."`
}

// Policy holds what webhooks may not do.
type Policy struct {
	LockEndpoint bool `yaml:"lock_endpoint" jsonschema_description:"Through the API the url and the secret of a webhook cannot be changed once it is made; the secret can be rotated."`
	RequireHTTPS bool `yaml:"require_https" jsonschema_description:"Refuse webhooks and authorizations with a plain http URL."`
}

// Tenant is a business unit.
type Tenant struct {
	ID        string       `yaml:"id" jsonschema:"required" jsonschema_description:"Id of the tenant."`
	Name      string       `yaml:"name,omitempty" jsonschema_description:"Name for people."`
	Programs  []Program    `yaml:"programs,omitempty" jsonschema_description:"Programs of the tenant. With none declared, any program id may be used."`
	RateLimit Rate         `yaml:"rate_limit,omitempty" jsonschema_description:"The most requests to receivers in a span of time, over all webhooks of the tenant, such as 100/s. Absent = no limit."`
	Limits    TenantLimits `yaml:"limits,omitempty" jsonschema_description:"What the tenant may hand in."`

	AllowPrivateNetworks []netip.Prefix `yaml:"allow_private_networks,omitempty" jsonschema_description:"Private networks in CIDR notation that this tenant's webhooks may point to, besides those of sender.allow_private_networks. Loopback and link-local ones cannot be granted here."`
}

// Program is a programme inside a tenant.
type Program struct {
	ID   string `yaml:"id" jsonschema:"required" jsonschema_description:"Id of the program, unique in its tenant."`
	Name string `yaml:"name,omitempty" jsonschema_description:"Name for people."`
}
