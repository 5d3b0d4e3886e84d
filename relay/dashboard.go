package relay

import (
	"fmt"

	"edgerelay/relay/dashboard"
)

// openDashboard puts the pages onto the admin listener. ingress is where producers send to.
func (r *Relay) openDashboard() error {
	scheme := "http"
	if r.cfg.Ingress.TLS.Enabled() {
		scheme = "https"
	}
	d, err := dashboard.New(dashboard.Options{API: r.admin.Handler(), Secure: r.cfg.Admin.TLS.Enabled(), Version: r.version,
		Ingress: scheme + "://" + r.addrs[0].String(), Log: r.log})
	if err != nil {
		return fmt.Errorf("open dashboard: %w", err)
	}
	r.admin.Mount(d)
	return nil
}
