package kit

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"edgerelay/relay/payload"
)

// Request is the HTTP request that a webhook without a payload definition makes of an outcome. The relay adds, at the moment of the
// attempt, what identifies and signs it: webhook-id, webhook-timestamp, webhook-signature, User-Agent, Content-Length.
type Request struct {
	Method  string  `json:"method"`
	URL     string  `json:"url"`
	Headers []Field `json:"headers"`
	Body    []byte  `json:"-"`
}

// DefaultURL is the webhook's address when none is given.
const DefaultURL = "https://receiver.example/hook"

// Request applies the outcome to the webhook's address, as the relay does: the body of a GET becomes its query, a DELETE has none.
func (o *Outcome) Request(address string) (*Request, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	r := &Request{Method: cmp.Or(o.Method, "POST")}
	if o.Path != "" {
		if u.Path, err = url.PathUnescape(o.Path); err != nil {
			return nil, err
		}
		u.RawPath = o.Path
	}
	query := pairs(u.RawQuery)
	switch r.Method {
	case "GET":
		form, err := payload.AppendForm(nil, o.Body)
		if err != nil {
			return nil, fmt.Errorf("payload as query: %w", err)
		}
		query = append(query, pairs(string(form))...)
	case "DELETE":
	default:
		r.Body = o.Body
		r.Headers = append(r.Headers, Field{"Content-Type", o.contentType()})
	}
	for _, q := range o.Query {
		name := url.QueryEscape(q.Name)
		query = slices.DeleteFunc(query, func(pair string) bool { return pair == name || strings.HasPrefix(pair, name+"=") })
		query = append(query, name+"="+url.QueryEscape(q.Value))
	}
	u.RawQuery = strings.Join(query, "&")
	r.URL = u.String()
	r.Headers = append(r.Headers, o.Headers...)
	return r, nil
}

// pairs splits a query into its name=value parts.
func pairs(query string) []string {
	return slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool { return pair == "" })
}

// mediaType is a content type without its parameters.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
