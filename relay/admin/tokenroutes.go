package admin

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

type listAuthorizationsInput struct {
	pageInput
	Search string `query:"search" example:"crm" doc:"Only those whose name contains this."`
	Type   string `query:"type" enum:"header,basic,bearer,oauth2,mtls" doc:"Only those of this type."`
	Tenant string `query:"tenant" doc:"Only those that webhooks of this tenant can use."`
}

type authorizationInput struct {
	ID string `path:"id" doc:"Id of the authorization." example:"au_00000000000000000000000000"`
}

type createAuthorizationInput struct {
	Key  string          `header:"Idempotency-Key" doc:"The same key with the same request makes nothing new, for 24 hours."`
	Body json.RawMessage `schema:"AuthorizationDefinition" doc:"The authorization under the keys of the configuration. tenant may be absent if the token is for one only."`
}

type editAuthorizationInput struct {
	authorizationInput
	Match string          `header:"If-Match" doc:"The ETag of the version that was read."`
	Body  json.RawMessage `schema:"AuthorizationPatch" doc:"JSON merge patch: keys of the configuration that change."`
}

type deleteAuthorizationInput struct {
	authorizationInput
	Match string `header:"If-Match" doc:"The ETag of the version that was read."`
}

const authorizationExample = `{"name":"crm key","tenant":"acme","type":"header","endpoint":"https://crm.example","headers":[{"name":"X-Api-Key","value":"not-a-real-key"}]}`

func (s *Server) authorizationRoutes() []route {
	if s.opts.Manage == nil {
		return nil
	}
	const tag = "authorizations"
	return []route{
		operation(op{method: "GET", path: "/api/v1/authorizations", id: "list-authorizations", tag: tag, role: RoleViewer, summary: "List authorizations by name"}, s.listAuthorizations),
		operation(op{method: "POST", path: "/api/v1/authorizations", id: "create-authorization", tag: tag, role: RoleEditor, status: 201, errors: []int{409},
			summary: "Make an authorization", about: "Type mtls names files, which only a configuration file can do.", bodies: map[string]string{"crm": authorizationExample}}, s.createAuthorization),
		operation(op{method: "GET", path: "/api/v1/authorizations/{id}", id: "get-authorization", tag: tag, role: RoleViewer, summary: "Show one authorization"}, s.getAuthorization),
		operation(op{method: "PATCH", path: "/api/v1/authorizations/{id}", id: "edit-authorization", tag: tag, role: RoleEditor, errors: []int{409, 412}, summary: "Change an authorization",
			bodies: map[string]string{"endpoint": `{"endpoint":"https://crm.example/v2"}`}}, s.editAuthorization),
		operation(op{method: "DELETE", path: "/api/v1/authorizations/{id}", id: "delete-authorization", tag: tag, role: RoleEditor, errors: []int{409, 412},
			summary: "Delete an authorization that no webhook uses"}, s.deleteAuthorization),
	}
}

func (s *Server) listAuthorizations(_ context.Context, c *call, in *listAuthorizationsInput) (p page[Authorization], err error) {
	items := []Authorization{}
	for _, a := range s.opts.Manage.Authorizations(c.actor()) {
		if strings.Contains(strings.ToLower(a.Name), strings.ToLower(in.Search)) && (in.Type == "" || in.Type == a.Type) && (in.Tenant == "" || a.Tenant == "" || a.Tenant == in.Tenant) {
			items = append(items, a)
		}
	}
	return pageOf(items, in.pageInput, func(a Authorization) string { return a.Name + "\x00" + a.ID })
}

func (s *Server) getAuthorization(_ context.Context, c *call, in *authorizationInput) (Authorization, error) {
	for _, a := range s.opts.Manage.Authorizations(c.actor()) {
		if a.ID == in.ID {
			c.header.Set("ETag", etag(a.Revision))
			return a, nil
		}
	}
	return Authorization{}, ErrNotFound
}

func (s *Server) createAuthorization(ctx context.Context, c *call, in *createAuthorizationInput) (Authorization, error) {
	a, replayed, err := s.opts.Manage.CreateAuthorization(ctx, c.actor(), Creation{Body: in.Body, Key: in.Key})
	if err == nil {
		created(c, "/api/v1/authorizations/"+a.ID, a.Revision, replayed)
	}
	return a, err
}

func (s *Server) editAuthorization(ctx context.Context, c *call, in *editAuthorizationInput) (Authorization, error) {
	a, err := s.opts.Manage.EditAuthorization(ctx, c.actor(), Edit{ID: in.ID, Match: in.Match, Patch: in.Body, Action: "update"})
	if err == nil {
		c.header.Set("ETag", etag(a.Revision))
	}
	return a, err
}

func (s *Server) deleteAuthorization(ctx context.Context, c *call, in *deleteAuthorizationInput) (none, error) {
	return none{}, s.opts.Manage.DeleteAuthorization(ctx, c.actor(), in.ID, in.Match)
}

type createTokenInput struct{ Body NewAPIToken }

type tokenInput struct {
	ID string `path:"id" doc:"Id of the token." example:"tk_00000000000000000000000000"`
}

type listTokensInput struct {
	pageInput
	Search string `query:"search" doc:"Only those whose name contains this."`
	Kind   string `query:"kind" enum:"operator,ingress,program" example:"operator" doc:"Only those of this kind."`
}

// CreatedToken is a token that was made, with the token itself.
type CreatedToken struct {
	APIToken
	Token string `json:"token" doc:"The token. It is shown this once: only its hash is kept."`
}

type listAuditInput struct {
	pageInput
	Object string `query:"object" doc:"Only what was done to the object with this id."`
	Actor  string `query:"actor" doc:"Only what was done with the token of this name."`
	Action string `query:"action" example:"create" doc:"Only these actions, such as create, update, publish or secret.read."`
	Tenant string `query:"tenant" doc:"Only what was done in this tenant."`
}

type listTenantsInput struct {
	pageInput
	Search string `query:"search" doc:"Only those whose id or name contains this."`
}

func (s *Server) tokenRoutes() []route {
	if s.opts.Manage == nil {
		return nil
	}
	const tag = "tenants"
	return []route{
		operation(op{method: "GET", path: "/api/v1/tenants", id: "list-tenants", tag: tag, role: RoleViewer, summary: "List the tenants that the token reaches"}, s.listTenants),
		operation(op{method: "GET", path: "/api/v1/tokens", id: "list-tokens", tag: tag, role: RoleAdmin, summary: "List tokens that were made through the API",
			about: "Tokens of configuration files are not listed. A token that reaches further than the one that asks is not, either."}, s.listTokens),
		operation(op{method: "POST", path: "/api/v1/tokens", id: "create-token", tag: tag, role: RoleAdmin, status: 201, summary: "Make a token",
			about:  "It can reach no further, and do no more, than the token that asks.",
			bodies: map[string]string{"viewer": `{"name":"dashboard on the wall","tenants":["acme"],"role":"viewer","expires":"90d"}`, "program": `{"name":"summer shop","kind":"program","tenants":["acme"],"program":"summer"}`}}, s.createToken),
		operation(op{method: "POST", path: "/api/v1/tokens/{id}/revoke", id: "revoke-token", tag: tag, role: RoleAdmin, summary: "Revoke a token, at once and for good"}, s.revokeToken),
		operation(op{method: "GET", path: "/api/v1/audit", id: "list-audit", tag: tag, role: RoleAdmin, summary: "List who changed what, the newest first"}, s.listAudit),
	}
}

func (s *Server) listTenants(_ context.Context, c *call, in *listTenantsInput) (page[TenantInfo], error) {
	search := strings.ToLower(in.Search)
	items := slices.DeleteFunc(s.opts.Manage.Tenants(c.actor()), func(t TenantInfo) bool {
		return !strings.Contains(strings.ToLower(t.ID), search) && !strings.Contains(strings.ToLower(t.Name), search)
	})
	return pageOf(items, in.pageInput, func(t TenantInfo) string { return t.ID })
}

func (s *Server) listTokens(_ context.Context, c *call, in *listTokensInput) (page[APIToken], error) {
	items := slices.DeleteFunc(s.opts.Manage.Tokens(c.actor()), func(t APIToken) bool {
		return !strings.Contains(strings.ToLower(t.Name), strings.ToLower(in.Search)) || in.Kind != "" && in.Kind != t.Kind
	})
	return pageOf(items, in.pageInput, func(t APIToken) string { return t.ID })
}

func (s *Server) createToken(ctx context.Context, c *call, in *createTokenInput) (CreatedToken, error) {
	t, token, err := s.opts.Manage.CreateToken(ctx, c.actor(), &in.Body)
	return CreatedToken{t, token}, err
}

func (s *Server) revokeToken(ctx context.Context, c *call, in *tokenInput) (APIToken, error) {
	return s.opts.Manage.RevokeToken(ctx, c.actor(), in.ID)
}

func (s *Server) listAudit(_ context.Context, c *call, in *listAuditInput) (p page[AuditEntry], err error) {
	f := AuditFilter{Tenants: c.tenants, Object: in.Object, Actor: in.Actor, Action: in.Action, Limit: in.Limit + 1}
	if in.Tenant != "" {
		if !c.sees(in.Tenant) {
			return p, ErrNotFound
		}
		f.Tenants = []string{in.Tenant}
	}
	if in.Cursor != "" {
		if f.Before, err = time.Parse(time.RFC3339Nano, in.Cursor); err != nil {
			return p, ErrCursor
		}
	}
	if p.Items, err = s.opts.Manage.Audit(f); err != nil {
		return p, err
	}
	if len(p.Items) > in.Limit {
		p.Items = p.Items[:in.Limit]
		p.NextCursor = p.Items[in.Limit-1].At.Format(time.RFC3339Nano)
	}
	return p, nil
}
