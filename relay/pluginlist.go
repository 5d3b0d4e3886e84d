package relay

import (
	"edgerelay/plugins"
	"edgerelay/relay/admin"
)

// listPlugins is what the management API shows of the plugins that come with the program.
func listPlugins() []admin.Plugin {
	out := []admin.Plugin{}
	for _, p := range plugins.List() {
		out = append(out, admin.Plugin{Name: p.Name, Version: p.Version, Description: p.Description, Schema: p.Schema,
			Capabilities: append([]string{}, p.Capabilities...)})
	}
	return out
}
