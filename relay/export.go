package relay

import (
	"edgerelay/config"
	"edgerelay/relay/sign"
	"edgerelay/relay/store"
)

// Export implements admin.Configuration.
func (k configuration) Export(tenants []string) ([]byte, error) {
	r := k.r
	r.mu.Lock()
	defer r.mu.Unlock()
	var objects []config.Exported
	for _, kind := range []string{store.EventTypes, store.Authorizations, store.Webhooks} {
		for _, o := range r.store.All(kind) {
			if !reaches(tenants, o.Tenant) {
				continue
			}
			e := config.Exported{List: o.Kind, Tenant: o.Tenant, Name: o.Name, Text: o.Text}
			if m := r.made[o.ID]; kind == store.Webhooks && m != nil {
				w := &m.made.Value
				e.Generated = len(w.Secret) == 0 && w.Signing.Scheme != sign.None
			}
			objects = append(objects, e)
		}
	}
	return config.Export(objects)
}
