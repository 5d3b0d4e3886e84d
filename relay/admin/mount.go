package admin

import (
	"context"
	"net/http"
	"slices"
)

// Handler answers API requests without a network: the dashboard is a client of the API in the same process, so that what it may see and do is
// decided where it is decided for every other client.
func (s *Server) Handler() http.Handler { return s.handler }

// Mount gives / and everything under /ui/ to h. Call it before Serve.
func (s *Server) Mount(h http.Handler) { s.ui = h }

// serveRest answers what is no route of the API.
func (s *Server) serveRest(w http.ResponseWriter, r *http.Request) {
	if s.ui != nil && (r.URL.Path == "/" || r.URL.Path == "/ui" || len(r.URL.Path) > 3 && r.URL.Path[:4] == "/ui/") {
		s.ui.ServeHTTP(w, r)
		return
	}
	writeProblem(w, problemNotFound("there is no such route"))
}

// narrowKey is the context key of Narrow.
type narrowKey struct{}

// Narrow lets a request of this process see one tenant only, of those that its token reaches: a global operator who has chosen a tenant asks as if
// the token were for that one. It never widens anything.
func Narrow(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, narrowKey{}, tenant)
}

// narrowed is g as Narrow left it.
func narrowed(ctx context.Context, g *grant) *grant {
	tenant, ok := ctx.Value(narrowKey{}).(string)
	if !ok || g == nil {
		return g
	}
	n := *g
	n.tenants = []string{}
	if g.sees(tenant) {
		n.tenants = []string{tenant}
	}
	return &n
}

// whoAnswer is what GET /api/v1/whoami answers.
type whoAnswer struct {
	Name    string   `json:"name" doc:"Name of the token."`
	Role    string   `json:"role" enum:"viewer,editor,admin"`
	Global  bool     `json:"global" doc:"The token reaches every tenant."`
	Tenants []string `json:"tenants" doc:"The tenants that it reaches; empty when global."`
}

// whoami tells a client what its token may do, so that it need not offer the rest.
func (s *Server) whoami(_ context.Context, c *call, _ *none) (whoAnswer, error) {
	a := whoAnswer{Name: c.name, Role: c.role.String(), Global: c.all(), Tenants: []string{}}
	a.Tenants = append(a.Tenants, slices.Sorted(slices.Values(c.tenants))...)
	return a, nil
}
