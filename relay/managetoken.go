package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"edgerelay/config"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
	"edgerelay/relay/store"
)

func (r *Relay) tokenView(t *store.Token) admin.APIToken {
	v := admin.APIToken{ID: t.ID, Name: t.Name, Kind: t.Kind, Hint: t.Hint, Tenants: t.Tenants, Program: t.Program, Role: t.Role, CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy,
		ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt, UsedAt: t.Used(), Status: "active"}
	switch {
	case !t.RevokedAt.IsZero():
		v.Status = "revoked"
	case !t.Valid(time.Now()):
		v.Status = "expired"
	}
	return v
}

// coveredBy says whether a reaches everything that t reaches.
func coveredBy(a admin.Actor, t *store.Token) bool {
	if a.Tenants == nil {
		return true
	}
	return !slices.ContainsFunc(t.Tenants, func(id string) bool { return id == "*" || !slices.Contains(a.Tenants, id) })
}

// Tokens lists the tokens that reach no further than a.
func (m management) Tokens(a admin.Actor) []admin.APIToken {
	var all []admin.APIToken
	for _, t := range m.r.store.Tokens() {
		if coveredBy(a, t) {
			all = append(all, m.r.tokenView(t))
		}
	}
	return all
}

// CreateToken makes a token that reaches no further than a, and can do no more.
func (m management) CreateToken(ctx context.Context, a admin.Actor, n *admin.NewAPIToken) (v admin.APIToken, token string, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UTC()
	t := &store.Token{ID: string(event.AppendTypeID(nil, "tk", event.NewUUID(now))), Name: n.Name, Kind: n.Kind, Tenants: n.Tenants, Program: n.Program, Role: n.Role,
		CreatedAt: now, CreatedBy: a.Name}
	if t.Kind == "" {
		t.Kind = store.Operator
	}
	if len(t.Tenants) == 0 && len(a.Tenants) == 1 {
		t.Tenants = slices.Clone(a.Tenants)
	}
	if wrong := r.checkToken(a, t, n, now); wrong != nil {
		return v, "", wrong
	}
	token = store.NewToken(t.Kind)
	t.Hash, t.Hint = store.HashToken(token), token[len(token)-4:]
	entry := &store.Entry{Actor: a.Name, Role: a.Role.String(), Tenant: tenantOf(t), Action: "create", Kind: "tokens", Object: t.ID, Name: t.Name, After: mustJSON(r.tokenView(t))}
	if err := r.store.PutToken(context.WithoutCancel(ctx), t, entry); err != nil {
		return v, "", apiError(err)
	}
	if t.Kind == store.Ingress {
		if err := r.ingress.SetPolicy(r.policy(r.cfg, r.built)); err != nil {
			return v, "", err
		}
	}
	r.log.Info("token created", "token", t.Name, "id", t.ID, "kind", t.Kind, "by", a.Name)
	return r.tokenView(t), token, nil
}

func tenantOf(t *store.Token) string {
	if len(t.Tenants) == 1 && t.Tenants[0] != "*" {
		return t.Tenants[0]
	}
	return ""
}

func (r *Relay) checkToken(a admin.Actor, t *store.Token, n *admin.NewAPIToken, now time.Time) error {
	var wrong admin.Mistakes
	fault := func(path, format string, args ...any) {
		wrong = append(wrong, admin.Mistake{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	role, err := admin.ParseRole(t.Role)
	switch {
	case len(t.Tenants) == 0:
		fault("tenants", `is missing: list tenant ids, or "*" for all of them`)
	case !coveredBy(a, t):
		fault("tenants", "reach further than the token that asks")
	}
	for _, id := range t.Tenants {
		if id != "*" && len(r.file.Tenants) > 0 && !slices.ContainsFunc(r.file.Tenants, func(c config.Tenant) bool { return c.ID == id }) {
			fault("tenants", "unknown tenant %q", id)
		}
	}
	switch t.Kind {
	case store.Operator:
		if t.Role == "" {
			t.Role = "viewer"
		}
		if err != nil || role > a.Role {
			fault("role", "can do more than the token that asks")
		}
		if t.Program != "" {
			fault("program", "belongs to the kinds program and ingress")
		}
	case store.Program:
		if t.Program == "" {
			fault("program", "is missing")
		}
		if t.Role != "" {
			fault("role", "belongs to the kind operator")
		}
		if tenantOf(t) == "" {
			fault("tenants", "a program belongs to one tenant")
		}
	case store.Ingress:
		if t.Role != "" {
			fault("role", "belongs to the kind operator")
		}
		if len(t.Tenants) > 1 {
			fault("tenants", "a producer sends for one tenant, or for all")
		}
	}
	if n.Expires != "" {
		if t.ExpiresAt, err = expiry(n.Expires, now); err != nil {
			fault("expires", "%v", err)
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// expiry reads a time span or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, err := config.ParseDuration(text)
		if err != nil {
			return at, fmt.Errorf("want a time span such as 90d, or a time such as 2027-01-31T00:00:00Z")
		}
		at = now.Add(d)
	}
	if !at.After(now) {
		return at, fmt.Errorf("is over already")
	}
	return at.UTC(), nil
}

// RevokeToken ends a token, at once and for good.
func (m management) RevokeToken(ctx context.Context, a admin.Actor, id string) (v admin.APIToken, err error) {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.store.Token(id)
	if t == nil || !coveredBy(a, t) {
		return v, admin.ErrNotFound
	}
	if !t.RevokedAt.IsZero() {
		return r.tokenView(t), nil
	}
	next := t.Revoked(time.Now().UTC())
	entry := &store.Entry{Actor: a.Name, Role: a.Role.String(), Tenant: tenantOf(t), Action: "revoke", Kind: "tokens", Object: t.ID, Name: t.Name}
	if err := r.store.PutToken(context.WithoutCancel(ctx), next, entry); err != nil {
		return v, apiError(err)
	}
	if t.Kind == store.Ingress {
		if err := r.ingress.SetPolicy(r.policy(r.cfg, r.built)); err != nil {
			return v, err
		}
	}
	r.log.Info("token revoked", "token", t.Name, "id", t.ID, "by", a.Name)
	return r.tokenView(next), nil
}

// Authenticate finds whose token has this hash.
func (m management) Authenticate(ctx context.Context, hash string) (a admin.Actor, ok bool) {
	if m.r.store == nil {
		return a, false // the relay is starting
	}
	t := m.r.store.Authenticate(ctx, hash)
	if t == nil || t.Kind == store.Ingress {
		return a, false
	}
	a = admin.Actor{Name: t.Name, Tenants: t.Tenants, Program: t.Program, Role: admin.RoleEditor}
	if slices.Contains(t.Tenants, "*") {
		a.Tenants = nil
	}
	if t.Kind == store.Operator {
		role, err := admin.ParseRole(t.Role)
		if err != nil {
			return a, false
		}
		a.Role = role
	}
	return a, true
}

// Audit lists entries of the audit log.
func (m management) Audit(f admin.AuditFilter) ([]admin.AuditEntry, error) {
	entries, err := m.r.store.Audit(f.Tenants, f.Before, f.Limit, func(e *store.Entry) bool {
		return (f.Object == "" || e.Object == f.Object) && (f.Actor == "" || e.Actor == f.Actor) && (f.Action == "" || e.Action == f.Action)
	})
	out := make([]admin.AuditEntry, len(entries))
	for i, e := range entries {
		out[i] = admin.AuditEntry(*e)
	}
	return out, err
}

// Tenants lists the tenants that a reaches: those that are declared, and those that something belongs to.
func (m management) Tenants(a admin.Actor) []admin.TenantInfo {
	r := m.r
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []admin.TenantInfo
	at := map[string]int{}
	add := func(id, name string) int {
		i, ok := at[id]
		if !ok {
			i = len(all)
			at[id] = i
			all = append(all, admin.TenantInfo{ID: id, Name: name, Programs: []admin.ProgramInfo{}})
		}
		return i
	}
	for _, t := range r.cfg.Tenants {
		if sees(a, t.ID) {
			i := add(t.ID, t.Name)
			for _, p := range t.Programs {
				all[i].Programs = append(all[i].Programs, admin.ProgramInfo{ID: p.ID, Name: p.Name})
			}
		}
	}
	for _, id := range a.Tenants {
		add(id, "")
	}
	if d := r.cfg.DefaultTenant(); d != "" && sees(a, d) {
		add(d, "")
	}
	for i := range r.cfg.Webhooks {
		w := &r.cfg.Webhooks[i]
		if !sees(a, w.Tenant) {
			continue
		}
		t := &all[add(w.Tenant, "")]
		t.Webhooks++
		if w.Program != "" && !slices.ContainsFunc(t.Programs, func(p admin.ProgramInfo) bool { return p.ID == w.Program }) {
			t.Programs = append(t.Programs, admin.ProgramInfo{ID: w.Program})
		}
	}
	return all
}
