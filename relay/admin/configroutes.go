package admin

import (
	"context"
	"net/http"

	"edgerelay/config"
)

// Configuration is what the API shows and does with the configuration. Its errors are Mistakes for what is wrong with a configuration.
type Configuration interface {
	// Print returns what is in force as YAML, without secrets.
	Print() ([]byte, error)
	// Reload loads the files again and puts them in force.
	Reload(ctx context.Context) (*ConfigReport, error)
	// Plan says what Reload would change, or with next what that configuration would.
	Plan(ctx context.Context, next *config.Inventory) (*ConfigReport, error)
	// Export returns what was made through the API for tenants (nil = all) as YAML, with variables in the place of secrets.
	Export(tenants []string) ([]byte, error)
}

type planInput struct{ Body *config.Inventory }

// maxPlanBody bounds the inventory of a large configuration.
const maxPlanBody = 32 << 20

func (s *Server) configRoutes() []route {
	if s.opts.Config == nil {
		return nil
	}
	return []route{
		raw(op{method: "GET", path: "/api/v1/config", id: "get-config", tag: "config", role: RoleAdmin, global: true, media: "application/yaml",
			summary: "Show the configuration in force, with everything resolved and without secrets"}, s.getConfig),
		raw(op{method: "GET", path: "/api/v1/config/export", id: "export-config", tag: "config", role: RoleViewer, media: "application/yaml",
			summary: "Show what was made through the API as sections of a config file",
			about:   "For the tenants of the token. No secrets are in it: where one was, there is a variable, and a comment lists them."}, s.exportConfig),
		operation(op{method: "POST", path: "/api/v1/config/reload", id: "reload-config", tag: "config", role: RoleAdmin, global: true, errors: []int{409, 422, 503},
			summary: "Load the files again and put them in force",
			about:   "The answer says what that changed. A mistake in the files is 422 with every mistake, and nothing changes."}, s.reloadConfig),
		operation(op{method: "POST", path: "/api/v1/config/plan", id: "plan-config", tag: "config", role: RoleAdmin, global: true, maxBody: maxPlanBody, errors: []int{409, 503},
			summary: "Say what a reload would change, or what another configuration would",
			about: "Without a body the relay loads and compiles its own files. With one, which `edgerelay plan -c FILE` makes, it compares: secrets are not in it, but their keyed " +
				"hashes are, so that a changed one is seen.",
			bodies: map[string]string{"another configuration": `{"objects":[{"kind":"webhooks","tenant":"acme","name":"feed","values":[{"path":"url","text":"https://crm.example/"}]}]}`}}, s.planConfig),
	}
}

func (s *Server) getConfig(w http.ResponseWriter, c *call, _ *none) error {
	text, err := s.opts.Config.Print()
	if err != nil {
		return err
	}
	c.header.Set("Content-Type", "application/yaml")
	w.Write(text)
	return nil
}

func (s *Server) exportConfig(w http.ResponseWriter, c *call, _ *none) error {
	text, err := s.opts.Config.Export(c.tenants)
	if err != nil {
		return err
	}
	c.header.Set("Content-Type", "application/yaml")
	w.Write(text)
	return nil
}

func (s *Server) reloadConfig(ctx context.Context, c *call, _ *none) (*ConfigReport, error) {
	report, err := s.opts.Config.Reload(ctx)
	if err != nil {
		s.opts.Log.Warn("reload through the API refused: the config that was in force stays", "token", c.name)
		return nil, err
	}
	s.opts.Log.Info("reload through the API", "token", c.name, "changes", len(report.Changes))
	return report, nil
}

func (s *Server) planConfig(ctx context.Context, _ *call, in *planInput) (*ConfigReport, error) {
	return s.opts.Config.Plan(ctx, in.Body)
}
