package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

type listWebhooksInput struct {
	Limit   int     `query:"limit" minimum:"1" maximum:"1000" default:"100" example:"10" doc:"How many at most."`
	Cursor  string  `query:"cursor" doc:"next_cursor of the page before."`
	Status  string  `query:"status" enum:"draft,active,paused,disabled" example:"active" doc:"Only those with this status."`
	Search  string  `query:"search" doc:"Only those whose name contains this, or whose id it is."`
	Program *string `query:"program" empty:"true" doc:"Only those of this program; empty = only those of none."`
	Event   string  `query:"event" example:"order.paid" doc:"Only those that subscribe to this event type."`
	Method  string  `query:"method" enum:"POST,PUT,PATCH,DELETE,GET" doc:"Only those with this HTTP method."`
	Tenant  string  `query:"tenant" doc:"Only those of this tenant."`
	Health  string  `query:"health" enum:"failing" doc:"Only those that need somebody: disabled, not attempted for a while, or with deliveries that were given up."`
	Origin  string  `query:"origin" enum:"file,api" doc:"Only those that come from a file, or were made through the API."`
}

// matches says whether wh is one of those that the request asks for.
func (in *listWebhooksInput) matches(wh *Webhook, search string) bool {
	switch {
	case in.Status != "" && wh.Status != in.Status, in.Program != nil && wh.Program != *in.Program, in.Method != "" && wh.Method != in.Method,
		in.Tenant != "" && wh.Tenant != in.Tenant, in.Origin != "" && wh.Origin != in.Origin,
		in.Health != "" && !failing(wh),
		in.Event != "" && !slices.ContainsFunc(wh.Events, func(p string) bool { return matchPattern(p, in.Event) }):
		return false
	}
	return search == "" || wh.ID == search || strings.Contains(strings.ToLower(wh.Name), search)
}

// failing says whether somebody should look at wh.
func failing(wh *Webhook) bool {
	return wh.Status == "disabled" || wh.Counters.Dead > 0 || wh.Status == "active" && wh.Circuit != "" && wh.Circuit != "closed"
}

// matchPattern says whether an event type fits a pattern, in which * stands for any run of characters.
func matchPattern(pattern, typ string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == typ
	}
	rest, ok := strings.CutPrefix(typ, parts[0])
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if ok = ok && at >= 0; !ok {
			return false
		}
		rest = rest[at+len(part):]
	}
	return ok && strings.HasSuffix(rest, last)
}

type webhookInput struct {
	ID string `path:"id" doc:"Id of the webhook." example:"wh_00000000000000000000000000"`
}

func (s *Server) webhookRoutes() []route {
	return []route{
		operation(op{method: "GET", path: "/api/v1/webhooks", id: "list-webhooks", tag: "webhooks", role: RoleViewer,
			summary: "List webhooks by tenant and name"}, s.listWebhooks),
		operation(op{method: "GET", path: "/api/v1/webhooks/{id}", id: "get-webhook", tag: "webhooks", role: RoleViewer,
			summary: "Show one webhook"}, s.getWebhook),
	}
}

func (s *Server) listWebhooks(_ context.Context, c *call, in *listWebhooksInput) (page[Webhook], error) {
	p := page[Webhook]{}
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return p, ErrCursor
	}
	search := strings.ToLower(in.Search)
	all := s.opts.Webhooks()
	items := make([]*Webhook, 0, len(all)) // what is sorted is small
	for i := range all {
		if wh := &all[i]; c.sees(wh.Tenant) && in.matches(wh, search) {
			items = append(items, wh)
		}
	}
	slices.SortFunc(items, func(a, b *Webhook) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	tenant, rest, _ := strings.Cut(string(after), "\x00")
	name, id, _ := strings.Cut(rest, "\x00")
	from, found := slices.BinarySearchFunc(items, id, func(wh *Webhook, id string) int {
		return cmp.Or(cmp.Compare(wh.Tenant, tenant), cmp.Compare(wh.Name, name), cmp.Compare(wh.ID, id))
	})
	if found {
		from++
	}
	items = items[from:]
	if len(items) > in.Limit {
		items = items[:in.Limit]
		p.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(webhookKey(items[in.Limit-1])))
	}
	p.Items = make([]Webhook, 0, len(items))
	for _, wh := range items {
		wh.URL = RedactURL(wh.URL)
		p.Items = append(p.Items, *wh)
	}
	return p, nil
}

// webhookKey orders the list; a cursor is the key of the last item, so it stays valid when that webhook goes away.
func webhookKey(w *Webhook) string { return w.Tenant + "\x00" + w.Name + "\x00" + w.ID }

func (s *Server) getWebhook(_ context.Context, c *call, in *webhookInput) (Detail, error) {
	if s.opts.Manage != nil {
		return s.edited(c)(s.opts.Manage.Webhook(c.actor(), in.ID))
	}
	for _, wh := range s.opts.Webhooks() {
		if wh.ID == in.ID && c.sees(wh.Tenant) {
			wh.URL = RedactURL(wh.URL)
			return Detail{Webhook: wh, Definition: json.RawMessage("{}")}, nil
		}
	}
	return Detail{}, ErrNotFound
}

// RedactURL hides what may be secret in a URL or a URL template: the user and password, the values of the query, the fragment. It works
// on the text, because a template need not be a valid URL.
func RedactURL(text string) string {
	text, _, _ = strings.Cut(text, "#")
	head, queryText, hasQuery := strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(head, "://"); ok {
		authority, path, hasPath := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(authority, '@'); i >= 0 {
			authority = "***" + authority[i:]
		}
		head = scheme + "://" + authority
		if hasPath {
			head += "/" + path
		}
	}
	if !hasQuery {
		return head
	}
	pairs := strings.Split(queryText, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok {
			pairs[i] = name + "=***"
		} else if pair != "" {
			pairs[i] = "***" // a value without a name
		}
	}
	return head + "?" + strings.Join(pairs, "&")
}
