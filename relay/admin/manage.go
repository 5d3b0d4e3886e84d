package admin

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Actor is who asks for a change.
type Actor struct {
	Name    string // of the token
	Role    Role
	Tenants []string // nil = all
	Program string   // of a program's token
}

func (c *call) actor() Actor {
	return Actor{Name: c.name, Role: c.role, Tenants: c.tenants, Program: c.prog}
}

// ErrPrecondition is answered with 412: If-Match names another version than the one that is there.
var ErrPrecondition = errors.New("it has changed meanwhile")

// ErrKeyReused is answered with 422: the Idempotency-Key came with another request before.
var ErrKeyReused = errors.New("the Idempotency-Key was used for another request")

// Detail is an object with its definition.
type Detail struct {
	Webhook
	Definition json.RawMessage `json:"definition" doc:"All of it, with defaults, under the keys of the configuration. Credentials are ***: sent back as they are, they stay what they were."`
}

// Version is an earlier version of something that was made through the API.
type Version struct {
	Revision   int             `json:"revision"`
	UpdatedAt  time.Time       `json:"updated_at"`
	UpdatedBy  string          `json:"updated_by"`
	Definition json.RawMessage `json:"definition"`
}

// Creation is a request to make something.
type Creation struct {
	Tenant  string // "" = the token's only one
	Program string // "" = none
	Body    json.RawMessage
	Key     string // of an Idempotency-Key
}

// Edit is a request to change something.
type Edit struct {
	ID       string
	Match    string          // If-Match, "" = any version
	Patch    json.RawMessage // JSON merge patch; nil = see the rest
	Status   string
	Revision int // to go back to
	Action   string
}

// Rotation is a request for a new secret.
type Rotation struct {
	ID      string
	Match   string
	Secret  string        // "" = a generated one
	Overlap time.Duration // how long the old one is good, too
}

// TestRequest says which webhook to test, and with which event.
type TestRequest struct {
	ID      string          `json:"-"`
	Draft   json.RawMessage `json:"draft,omitempty" doc:"A webhook that is not stored, or a changed definition of this one, with the keys of the configuration."`
	Event   json.RawMessage `json:"event,omitempty" doc:"An event as producers send it."`
	Example string          `json:"example,omitempty" maxLength:"255" doc:"Instead of an event: the example of this event type. Neither: the first example of a type that the webhook subscribes to."`
	Stored  string          `json:"stored,omitempty" maxLength:"255" doc:"Instead of an event: the id of an event or a delivery that the relay remembers. It is sent under a new id."`
}

// Authorization is a set of credentials as the API shows it.
type Authorization struct {
	ID         string          `json:"id" doc:"Of one of a file: file:NAME."`
	Name       string          `json:"name"`
	Tenant     string          `json:"tenant,omitempty" doc:"Whose webhooks may use it; absent = every tenant's."`
	Type       string          `json:"type" enum:"header,basic,bearer,oauth2,mtls"`
	Endpoint   string          `json:"endpoint,omitempty" doc:"Only webhooks whose URL lies under this one may use it."`
	Origin     string          `json:"origin" enum:"file,api"`
	Revision   int             `json:"revision,omitempty"`
	UpdatedAt  time.Time       `json:"updated_at,omitzero"`
	UpdatedBy  string          `json:"updated_by,omitempty"`
	Webhooks   []string        `json:"webhooks" doc:"Names of the webhooks that use it."`
	Definition json.RawMessage `json:"definition" doc:"Under the keys of the configuration. Secret values are ***: sent back as they are, they stay what they were."`
}

// APIToken is a token that was made through the API, without the token itself.
type APIToken struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind" enum:"operator,ingress,program"`
	Hint      string    `json:"hint" doc:"Its last characters."`
	Tenants   []string  `json:"tenants" doc:"Ids; * = all."`
	Program   string    `json:"program,omitempty"`
	Role      string    `json:"role,omitempty" enum:"viewer,editor,admin"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	UsedAt    time.Time `json:"last_used_at,omitzero"`
	Status    string    `json:"status" enum:"active,expired,revoked"`
}

// NewAPIToken is a request for a token.
type NewAPIToken struct {
	Name    string   `json:"name" minLength:"1" maxLength:"255" doc:"For people and logs."`
	Kind    string   `json:"kind,omitempty" enum:"operator,ingress,program" doc:"operator: people and scripts; ingress: a producer; program: an integration that makes the webhooks of a program. Absent = operator."`
	Tenants []string `json:"tenants,omitempty" maxItems:"1000" doc:"Ids, or * for all. Absent = the only one of the token that asks."`
	Program string   `json:"program,omitempty" maxLength:"255" doc:"Of a token for a program, or for a producer of one."`
	Role    string   `json:"role,omitempty" enum:"viewer,editor,admin" doc:"Of an operator. Absent = viewer."`
	Expires string   `json:"expires,omitempty" maxLength:"64" doc:"How long it is good, such as 90d, or until when, such as 2027-01-31T00:00:00Z. Absent = until it is revoked."`
}

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor" doc:"Name of the token."`
	Role   string          `json:"role,omitempty"`
	Tenant string          `json:"tenant,omitempty"`
	Action string          `json:"action"`
	Kind   string          `json:"kind"`
	Object string          `json:"object,omitempty" doc:"Id of what it was done to."`
	Name   string          `json:"name,omitempty"`
	Before json.RawMessage `json:"before,omitempty" doc:"Without secrets."`
	After  json.RawMessage `json:"after,omitempty" doc:"Without secrets."`
}

// AuditFilter narrows the audit log; zero fields match everything.
type AuditFilter struct {
	Tenants               []string // nil = all
	Object, Actor, Action string
	Before                time.Time
	Limit                 int
}

// TenantInfo is a tenant as the API shows it.
type TenantInfo struct {
	ID       string        `json:"id"`
	Name     string        `json:"name,omitempty"`
	Programs []ProgramInfo `json:"programs"`
	Webhooks int           `json:"webhooks" doc:"How many it has."`
}

// ProgramInfo is a program of a tenant.
type ProgramInfo struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Management is what the API makes and changes. Objects of tenants that the actor does not reach are ErrNotFound; what is wrong with a body is Mistakes; what the
// state does not allow is a *Conflict.
type Management interface {
	Webhook(a Actor, id string) (Detail, error)
	CreateWebhook(ctx context.Context, a Actor, c Creation) (d Detail, replayed bool, err error)
	EditWebhook(ctx context.Context, a Actor, e Edit) (Detail, error)
	DuplicateWebhook(ctx context.Context, a Actor, id, name string) (Detail, error)
	DeleteWebhook(ctx context.Context, a Actor, id, match, deliveries string) error
	WebhookVersions(a Actor, id string) ([]Version, error)
	WebhookSecrets(ctx context.Context, a Actor, id string) (secrets []string, public string, err error)
	RotateSecret(ctx context.Context, a Actor, r Rotation) (d Detail, secret string, err error)
	TestWebhook(ctx context.Context, a Actor, t *TestRequest) (*Trial, error)

	Authorizations(a Actor) []Authorization
	CreateAuthorization(ctx context.Context, a Actor, c Creation) (d Authorization, replayed bool, err error)
	EditAuthorization(ctx context.Context, a Actor, e Edit) (Authorization, error)
	DeleteAuthorization(ctx context.Context, a Actor, id, match string) error

	CreateEventType(ctx context.Context, a Actor, c Creation) error
	EditEventType(ctx context.Context, a Actor, name, tenant, match string, patch json.RawMessage) error
	DeleteEventType(ctx context.Context, a Actor, name, tenant, match string) error

	Tokens(a Actor) []APIToken
	CreateToken(ctx context.Context, a Actor, n *NewAPIToken) (t APIToken, token string, err error)
	RevokeToken(ctx context.Context, a Actor, id string) (APIToken, error)
	// Authenticate returns whose token has this hash, if it is good, and for the management API.
	Authenticate(ctx context.Context, hash string) (a Actor, ok bool)

	Audit(f AuditFilter) ([]AuditEntry, error)
	Tenants(a Actor) []TenantInfo
}
