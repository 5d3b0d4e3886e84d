package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Role is what a token may do; each includes those before it.
type Role uint8

// The roles. Zero is no role.
const (
	RoleViewer Role = 1 + iota // read
	RoleEditor                 // and retry, replay, change webhooks
	RoleAdmin                  // and profiles, configuration
)

// ParseRole reads a role's name; "" is viewer, the least.
func ParseRole(s string) (Role, error) {
	switch s {
	case "", "viewer":
		return RoleViewer, nil
	case "editor":
		return RoleEditor, nil
	case "admin":
		return RoleAdmin, nil
	}
	return 0, fmt.Errorf("unknown role %q: want viewer, editor or admin", s)
}

// String is the role's name.
func (r Role) String() string { return [...]string{"none", "viewer", "editor", "admin"}[r] }

// Token is one operator's credential.
type Token struct {
	Name    string // for logs
	Token   string
	Tenants []string // ids, or "*" for all
	Role    Role
}

// NewToken returns a fresh token of 256 random bits. Its prefix lets secret scanners recognise it.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	return "edgerelay_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// grant is a token as the server keeps it: by hash, so that the text is not in memory for longer than a request.
type grant struct {
	hash    [sha256.Size]byte
	name    string
	role    Role
	tenants []string // nil = all
	prog    string   // of a token for one program
}

func newGrants(tokens []Token) ([]grant, error) {
	if len(tokens) == 0 {
		return nil, errors.New("there is no token")
	}
	grants := make([]grant, 0, len(tokens))
	for _, t := range tokens {
		g := grant{hash: sha256.Sum256([]byte(t.Token)), name: t.Name, role: t.Role}
		switch {
		case t.Token == "":
			return nil, fmt.Errorf("token %q is empty", t.Name)
		case t.Role < RoleViewer || t.Role > RoleAdmin:
			return nil, fmt.Errorf("token %q has no role", t.Name)
		case len(t.Tenants) == 0:
			return nil, fmt.Errorf("token %q has no tenants", t.Name)
		case slices.ContainsFunc(grants, func(o grant) bool { return o.hash == g.hash }):
			return nil, fmt.Errorf("token %q is the same as another one", t.Name)
		}
		if !slices.Contains(t.Tenants, "*") {
			g.tenants = slices.Clone(t.Tenants)
		}
		grants = append(grants, g)
	}
	return grants, nil
}

// all says whether the token reaches every tenant.
func (g *grant) all() bool { return g.tenants == nil }

// sees says whether the token reaches this tenant.
func (g *grant) sees(tenant string) bool { return g.all() || slices.Contains(g.tenants, tenant) }

// authenticate finds the grant of the request's bearer token, or nil. Every token is compared, each in constant time.
func (s *Server) authenticate(r *http.Request) *grant {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	hash := sha256.Sum256([]byte(strings.TrimSpace(text)))
	var found *grant
	grants := *s.tokens.Load()
	for i := range grants {
		if subtle.ConstantTimeCompare(grants[i].hash[:], hash[:]) == 1 {
			found = &grants[i]
		}
	}
	if found == nil && s.opts.Manage != nil {
		if a, ok := s.opts.Manage.Authenticate(r.Context(), hex.EncodeToString(hash[:])); ok {
			found = &grant{name: a.Name, role: a.Role, tenants: a.Tenants, prog: a.Program}
		}
	}
	return narrowed(r.Context(), found)
}

// authorize checks the request's token against what the route needs.
func (s *Server) authorize(r *http.Request, rt route) (*grant, *problem) {
	g := s.authenticate(r)
	switch {
	case g == nil:
		return nil, &problem{Status: http.StatusUnauthorized, Type: "unauthorized", Title: "Unauthorized", Detail: "send a valid token: Authorization: Bearer …"}
	case g.role < rt.role:
		return nil, &problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Forbidden", Detail: "the role of this token does not allow this"}
	case g.prog != "" && !rt.program:
		return nil, &problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Forbidden", Detail: "this is a program's token, which can only make webhooks of its program"}
	case rt.global && !g.all():
		return nil, &problem{Status: http.StatusForbidden, Type: "forbidden", Title: "Forbidden", Detail: "this needs a token for all tenants"}
	}
	return g, nil
}
