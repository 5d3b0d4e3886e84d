package admin

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"edgerelay/relay/event"
)

// listWebhooks answers GET /api/v1/webhooks, ordered by tenant and name.
func (s *Server) listWebhooks(w http.ResponseWriter, r *http.Request, g *grant) error {
	q, err := query(r, "status", "search", "program", "limit", "cursor")
	if err != nil {
		return err
	}
	status, err := q.oneOf("status", "draft", "active", "paused")
	if err != nil {
		return err
	}
	limit, err := q.limit(100, 1000)
	if err != nil {
		return err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.get("cursor"))
	if err != nil {
		return ErrCursor
	}
	search := strings.ToLower(q.get("search"))
	items := []Webhook{}
	for _, wh := range s.opts.Webhooks() {
		if !g.sees(wh.Tenant) || q.has("status") && wh.Status != status || q.has("program") && wh.Program != q.get("program") {
			continue
		}
		if search == "" || wh.ID == search || strings.Contains(strings.ToLower(wh.Name), search) {
			items = append(items, wh)
		}
	}
	slices.SortFunc(items, func(a, b Webhook) int { return cmp.Compare(webhookKey(a), webhookKey(b)) })
	from, found := slices.BinarySearchFunc(items, string(after), func(wh Webhook, k string) int { return cmp.Compare(webhookKey(wh), k) })
	if found {
		from++
	}
	p := page[Webhook]{Items: items[from:]}
	if len(p.Items) > limit {
		p.Items = p.Items[:limit]
		p.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(webhookKey(p.Items[limit-1])))
	}
	for i := range p.Items {
		p.Items[i].URL = RedactURL(p.Items[i].URL)
	}
	return writeJSON(w, http.StatusOK, p)
}

// webhookKey orders the list; a cursor is the key of the last item, so it stays valid when that webhook goes away.
func webhookKey(w Webhook) string { return w.Tenant + "\x00" + w.Name + "\x00" + w.ID }

// getWebhook answers GET /api/v1/webhooks/{id}.
func (s *Server) getWebhook(w http.ResponseWriter, r *http.Request, g *grant) error {
	if _, err := query(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	if _, err := event.ParseWebhookID(id); err != nil {
		return ErrNotFound
	}
	for _, wh := range s.opts.Webhooks() {
		if wh.ID == id && g.sees(wh.Tenant) {
			wh.URL = RedactURL(wh.URL)
			return writeJSON(w, http.StatusOK, wh)
		}
	}
	return ErrNotFound
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
