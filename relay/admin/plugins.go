package admin

import (
	"context"
	"encoding/json"
)

// Plugin is a transform that comes with the program.
type Plugin struct {
	Name         string          `json:"name" example:"slack"`
	Version      string          `json:"version"`
	Description  string          `json:"description"`
	Capabilities []string        `json:"capabilities" doc:"What it does besides writing a body."`
	Schema       json.RawMessage `json:"schema" doc:"JSON Schema of its configuration."`
}

func (s *Server) pluginRoutes() []route {
	if s.opts.Plugins == nil {
		return nil
	}
	return []route{
		operation(op{method: "GET", path: "/api/v1/plugins", id: "list-plugins", tag: "catalogue", role: RoleViewer,
			summary: "List the transforms that come with the program, with the schemas of their configurations"}, s.listPlugins),
	}
}

func (s *Server) listPlugins(context.Context, *call, *none) (page[Plugin], error) {
	return page[Plugin]{Items: s.opts.Plugins()}, nil
}
