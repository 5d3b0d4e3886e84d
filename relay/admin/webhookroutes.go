package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

type createWebhookInput struct {
	Key  string          `header:"Idempotency-Key" doc:"The same key with the same request makes nothing new, for 24 hours."`
	Body json.RawMessage `schema:"WebhookDefinition" doc:"The webhook under the keys of the configuration. tenant may be absent if the token is for one only."`
}

type createLinkedInput struct {
	Program string          `path:"program" doc:"Id of the program." example:"summer"`
	Tenant  string          `query:"tenant" doc:"Whose program, if the token is for several tenants." example:"acme"`
	Key     string          `header:"Idempotency-Key" doc:"The same key with the same request makes nothing new, for 24 hours."`
	Body    json.RawMessage `schema:"WebhookDefinition" doc:"The webhook under the keys of the configuration, without tenant and program."`
}

type editWebhookInput struct {
	ID    string          `path:"id" doc:"Id of the webhook." example:"wh_00000000000000000000000000"`
	Match string          `header:"If-Match" doc:"The ETag of the version that was read. If there is a newer one, nothing is changed."`
	Body  json.RawMessage `schema:"WebhookPatch" doc:"JSON merge patch: keys of the configuration that change; null = back to the default."`
}

type actInput struct {
	ID    string `path:"id" doc:"Id of the webhook." example:"wh_00000000000000000000000000"`
	Match string `header:"If-Match" doc:"The ETag of the version that was read."`
}

type deleteWebhookInput struct {
	actInput
	Deliveries string `query:"deliveries" enum:"bury,discard" default:"bury" doc:"What becomes of deliveries that wait. bury: they are listed as dead. discard: they are removed."`
}

type duplicateInput struct {
	ID   string `path:"id" doc:"Id of the webhook." example:"wh_00000000000000000000000000"`
	Body *struct {
		Name string `json:"name,omitempty" maxLength:"255" doc:"Name of the copy."`
	}
}

type rollbackInput struct {
	actInput
	Body struct {
		Revision int `json:"revision" minimum:"1" doc:"The version to go back to. The newest is then a copy of it."`
	}
}

type rotateInput struct {
	actInput
	Body *struct {
		Secret  string `json:"secret,omitempty" maxLength:"4096" doc:"The new secret. Absent = one is generated."`
		Overlap *int   `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long requests are signed with the old secret, too. Absent = a day."`
	}
}

type testWebhookInput struct {
	ID   string `path:"id" doc:"Id of the webhook." example:"wh_00000000000000000000000000"`
	Body *TestRequest
}

type testDraftInput struct{ Body TestRequest }

// SecretAnswer shows signing secrets.
type SecretAnswer struct {
	Secrets   []string `json:"secrets" doc:"The newest first. Requests are signed with all of them."`
	PublicKey string   `json:"public_key,omitempty" doc:"Of an asymmetric scheme: what the receiver needs."`
}

// RotateAnswer is a webhook with its new secret.
type RotateAnswer struct {
	Detail
	Secret string `json:"secret" doc:"The new secret."`
}

// VersionList are the earlier versions of something.
type VersionList struct {
	Items []Version `json:"items" doc:"The newest first."`
}

const (
	webhookExample = `{"name":"orders","description":"Orders for the CRM","tenant":"acme","events":["order.*"],"url":"https://crm.example/hooks","payload":{"type":"json","body":{"id":"{{ id }}","total":"{{ data.total }}"}},"status":"draft"}`
	linkedExample  = `{"name":"summer orders","events":["order.paid"],"url":"https://shop.example/hooks","status":"active"}`
	patchExample   = `{"description":"Orders for the new CRM","events":["order.*","invoice.sent"],"concurrency":4}`
	testExample    = `{"event":{"type":"order.paid","data":{"total":7}}}`
)

// lifeRoutes are the operations that make and change webhooks.
func (s *Server) lifeRoutes() []route {
	if s.opts.Manage == nil {
		return nil
	}
	const tag = "webhooks"
	act := func(verb, status, summary, about string) route {
		return operation(op{method: "POST", path: "/api/v1/webhooks/{id}/" + verb, id: verb + "-webhook", tag: tag, role: RoleEditor, summary: summary, about: about,
			errors: []int{409, 412, 422}}, func(ctx context.Context, c *call, in *actInput) (Detail, error) {
			return s.edited(c)(s.opts.Manage.EditWebhook(ctx, c.actor(), Edit{ID: in.ID, Match: in.Match, Status: status, Action: verb}))
		})
	}
	return []route{
		operation(op{method: "POST", path: "/api/v1/webhooks", id: "create-webhook", tag: tag, role: RoleEditor, status: 201, errors: []int{409}, summary: "Make a webhook",
			about:  "Its status is active unless the body says draft. Without secret one is generated. A webhook of a program is made at /api/v1/programs/{program}/webhooks.",
			bodies: map[string]string{"orders": webhookExample}}, s.createWebhook),
		operation(op{method: "POST", path: "/api/v1/programs/{program}/webhooks", id: "create-linked-webhook", tag: tag, role: RoleEditor, program: true, status: 201, errors: []int{409},
			summary: "Make a webhook of a program", bodies: map[string]string{"summer": linkedExample}}, s.createLinked),
		operation(op{method: "PATCH", path: "/api/v1/webhooks/{id}", id: "edit-webhook", tag: tag, role: RoleEditor, errors: []int{409, 412}, summary: "Change a webhook",
			about:  "A webhook of a file can be paused and made active again, nothing else. With policy.lock_endpoint url and secret cannot be changed.",
			bodies: map[string]string{"description": patchExample}}, s.editWebhook),
		operation(op{method: "DELETE", path: "/api/v1/webhooks/{id}", id: "delete-webhook", tag: tag, role: RoleEditor, errors: []int{409, 412}, summary: "Delete a webhook"}, s.deleteWebhook),
		act("publish", "active", "Make a draft, a paused or a disabled webhook active", ""),
		act("unpublish", "draft", "Make a webhook a draft again", "It gets no new events. What was accepted for it before waits."),
		act("pause", "paused", "Pause a webhook", "on_paused says what becomes of events meanwhile. What was accepted for it before waits."),
		operation(op{method: "POST", path: "/api/v1/webhooks/{id}/duplicate", id: "duplicate-webhook", tag: tag, role: RoleEditor, status: 201, errors: []int{409},
			summary: "Make a draft that is a copy of a webhook, with a secret of its own", bodies: map[string]string{"named": `{"name":"a copy"}`}}, s.duplicateWebhook),
		operation(op{method: "POST", path: "/api/v1/webhooks/{id}/test", id: "test-webhook", tag: tag, role: RoleEditor, maxBody: maxTryBody, errors: []int{503},
			summary: "Send a test event to a webhook, and show what came of it",
			about:   "It is sent at once, signed, with the header webhook-test: true. Nothing is stored or tried again. Webhooks of every status can be tested.",
			bodies:  map[string]string{"event": testExample}}, s.testWebhook),
		operation(op{method: "POST", path: "/api/v1/test", id: "test-draft", tag: tag, role: RoleEditor, maxBody: maxTryBody, errors: []int{503},
			summary: "Send a test event to a webhook that is not stored yet",
			bodies:  map[string]string{"draft": `{"draft":` + webhookExample + `,"event":{"type":"order.paid","data":{"total":7}}}`}}, s.testDraft),
		operation(op{method: "POST", path: "/api/v1/webhooks/{id}/rotate-secret", id: "rotate-secret", tag: tag, role: RoleEditor, errors: []int{409, 412},
			summary: "Give a webhook a new signing secret", about: "For a while requests carry a signature of the old one, too.",
			bodies: map[string]string{"generated": `{"overlap_seconds":3600}`}}, s.rotateSecret),
		operation(op{method: "GET", path: "/api/v1/webhooks/{id}/secret", id: "get-secret", tag: tag, role: RoleEditor, errors: []int{409},
			summary: "Show the signing secrets of a webhook", about: "Who looked is in the audit log."}, s.getSecret),
		operation(op{method: "GET", path: "/api/v1/webhooks/{id}/versions", id: "list-webhook-versions", tag: tag, role: RoleViewer,
			summary: "List the earlier versions of a webhook"}, s.listVersions),
		operation(op{method: "POST", path: "/api/v1/webhooks/{id}/rollback", id: "rollback-webhook", tag: tag, role: RoleEditor, errors: []int{409, 412},
			summary: "Go back to an earlier version of a webhook", about: "Its secret and its status stay.", bodies: map[string]string{"first": `{"revision":1}`}}, s.rollbackWebhook),
	}
}

func etag(revision int) string { return `"` + strconv.Itoa(revision) + `"` }

// edited finishes the answer to a change.
func (s *Server) edited(c *call) func(d Detail, err error) (Detail, error) {
	return func(d Detail, err error) (Detail, error) {
		if err == nil {
			c.header.Set("ETag", etag(d.Revision))
		}
		return d, err
	}
}

// created finishes the answer to a creation.
func created(c *call, path string, revision int, replayed bool) {
	c.header.Set("ETag", etag(revision))
	c.header.Set("Location", path)
	if replayed {
		c.header.Set("Idempotent-Replayed", "true")
	}
}

func (s *Server) createWebhook(ctx context.Context, c *call, in *createWebhookInput) (Detail, error) {
	d, replayed, err := s.opts.Manage.CreateWebhook(ctx, c.actor(), Creation{Body: in.Body, Key: in.Key})
	if err == nil {
		created(c, "/api/v1/webhooks/"+d.ID, d.Revision, replayed)
	}
	return d, err
}

func (s *Server) createLinked(ctx context.Context, c *call, in *createLinkedInput) (Detail, error) {
	if c.prog != "" && c.prog != in.Program {
		return Detail{}, ErrNotFound
	}
	d, replayed, err := s.opts.Manage.CreateWebhook(ctx, c.actor(), Creation{Program: in.Program, Tenant: in.Tenant, Body: in.Body, Key: in.Key})
	if err == nil {
		created(c, "/api/v1/webhooks/"+d.ID, d.Revision, replayed)
	}
	return d, err
}

func (s *Server) editWebhook(ctx context.Context, c *call, in *editWebhookInput) (Detail, error) {
	return s.edited(c)(s.opts.Manage.EditWebhook(ctx, c.actor(), Edit{ID: in.ID, Match: in.Match, Patch: in.Body, Action: "update"}))
}

func (s *Server) deleteWebhook(ctx context.Context, c *call, in *deleteWebhookInput) (none, error) {
	return none{}, s.opts.Manage.DeleteWebhook(ctx, c.actor(), in.ID, in.Match, in.Deliveries)
}

func (s *Server) duplicateWebhook(ctx context.Context, c *call, in *duplicateInput) (Detail, error) {
	name := ""
	if in.Body != nil {
		name = in.Body.Name
	}
	d, err := s.opts.Manage.DuplicateWebhook(ctx, c.actor(), in.ID, name)
	if err == nil {
		created(c, "/api/v1/webhooks/"+d.ID, d.Revision, false)
	}
	return d, err
}

func (s *Server) testWebhook(ctx context.Context, c *call, in *testWebhookInput) (*Trial, error) {
	t := &TestRequest{}
	if in.Body != nil {
		t = in.Body
	}
	t.ID = in.ID
	return s.test(ctx, c, t)
}

func (s *Server) testDraft(ctx context.Context, c *call, in *testDraftInput) (*Trial, error) {
	if len(in.Body.Draft) == 0 {
		return nil, Mistakes{{Path: "draft", Message: "is missing"}}
	}
	return s.test(ctx, c, &in.Body)
}

func (s *Server) test(ctx context.Context, c *call, t *TestRequest) (*Trial, error) {
	sources := 0
	for _, given := range []bool{len(t.Event) > 0, t.Example != "", t.Stored != ""} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return nil, Mistakes{{Path: "event", Message: "give one of event, example and stored"}}
	}
	return s.opts.Manage.TestWebhook(ctx, c.actor(), t)
}

// defaultOverlap is how long an old secret goes on signing.
const defaultOverlap = 24 * time.Hour

func (s *Server) rotateSecret(ctx context.Context, c *call, in *rotateInput) (RotateAnswer, error) {
	r := Rotation{ID: in.ID, Match: in.Match, Overlap: defaultOverlap}
	if in.Body != nil {
		if r.Secret = in.Body.Secret; in.Body.Overlap != nil {
			r.Overlap = time.Duration(*in.Body.Overlap) * time.Second
		}
	}
	d, secret, err := s.opts.Manage.RotateSecret(ctx, c.actor(), r)
	if err == nil {
		c.header.Set("ETag", etag(d.Revision))
	}
	return RotateAnswer{d, secret}, err
}

func (s *Server) getSecret(ctx context.Context, c *call, in *webhookInput) (SecretAnswer, error) {
	secrets, public, err := s.opts.Manage.WebhookSecrets(ctx, c.actor(), in.ID)
	if secrets == nil {
		secrets = []string{}
	}
	return SecretAnswer{secrets, public}, err
}

func (s *Server) listVersions(_ context.Context, c *call, in *webhookInput) (VersionList, error) {
	versions, err := s.opts.Manage.WebhookVersions(c.actor(), in.ID)
	if versions == nil {
		versions = []Version{}
	}
	return VersionList{versions}, err
}

func (s *Server) rollbackWebhook(ctx context.Context, c *call, in *rollbackInput) (Detail, error) {
	return s.edited(c)(s.opts.Manage.EditWebhook(ctx, c.actor(), Edit{ID: in.ID, Match: in.Match, Revision: in.Body.Revision, Action: "rollback"}))
}

// preconditions are the problems of changes that somebody else was faster with.
func preconditions(err error) *problem {
	switch err {
	case ErrPrecondition:
		return &problem{Status: http.StatusPreconditionFailed, Type: "changed", Title: "Changed meanwhile", Detail: "there is a newer version than the one that If-Match names: read it again"}
	case ErrKeyReused:
		return &problem{Status: http.StatusUnprocessableEntity, Type: "idempotency-key-reused", Title: "Idempotency-Key reused", Detail: "the Idempotency-Key came with another request before"}
	}
	return nil
}
