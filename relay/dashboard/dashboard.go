// Package dashboard is what people use: pages in the program itself, on the admin listener, under /ui/.
//
// It is a client of the management API in the same process. A page asks the API's http.Handler with the token that its session was opened with,
// narrowed to the tenant that was chosen, and renders the answer. So what somebody may see and do, what is valid, and what the audit log says is
// decided in one place for everybody, and a page cannot show more than `curl` with the same token would.
//
// The relay makes it and mounts it. It may import relay/admin (for Narrow), and nothing of what is behind the API: no queue, deliver, history,
// store or config. It starts no goroutines.
//
// Pages are html/template with hand-written CSS and plain ES modules, all embedded: no build step, nothing is fetched from elsewhere, and reading
// and the forms work without JavaScript. Scripts never make HTML out of data.
package dashboard

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Options of a Dashboard.
type Options struct {
	API     http.Handler // the management API
	Secure  bool         // the listener has TLS: cookies get the prefix __Host- and the attribute Secure
	Version string
	Ingress string // address at which producers hand in events, for the pages that teach; "" = not shown
	Log     *slog.Logger
	Now     func() time.Time // nil = time.Now
}

// Dashboard serves / and /ui/.
type Dashboard struct {
	opts     Options
	sessions *sessions
	attempts *throttle
	pages    pages
	static   *static
	handler  http.Handler
}

// New parses the templates and is ready to serve.
func New(o Options) (*Dashboard, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Dashboard{opts: o, sessions: newSessions(o.Now), attempts: newThrottle(o.Now)}
	var err error
	if d.static, err = newStatic(); err != nil {
		return nil, fmt.Errorf("read dashboard files: %w", err)
	}
	if d.pages, err = parsePages(d); err != nil {
		return nil, fmt.Errorf("parse dashboard pages: %w", err)
	}
	d.handler = d.guard(d.mux())
	return d, nil
}

func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }
