package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"edgerelay/relay/admin"
)

// mostAnswer bounds what a page takes from the API.
const mostAnswer = 16 << 20

// problem is an error of the API, in its own words (RFC 9457).
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []fault `json:"errors"`
}

// fault is what is wrong with one place of what was sent.
type fault struct {
	Path     string `json:"path"`
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (p *problem) Error() string {
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}
	return text
}

// is says whether err is a problem with this status.
func is(err error, status int) bool {
	p, ok := err.(*problem)
	return ok && p.Status == status
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > mostAnswer {
		return 0, fmt.Errorf("answer of the API is larger than %d bytes", mostAnswer)
	}
	return a.body.Write(p)
}

// client asks the API with one token, for one tenant or for all that the token reaches.
type client struct {
	api    http.Handler
	ctx    context.Context
	token  string
	tenant string // "" = all
	remote string
}

// request makes a request that never leaves the process.
func (c *client) request(method, path string, query url.Values, body []byte) (*http.Request, error) {
	ctx := c.ctx
	if c.tenant != "" {
		ctx = admin.Narrow(ctx, c.tenant)
	}
	target := path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the API for %s: %w", path, err)
	}
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	r.Host, r.RequestURI, r.RemoteAddr = "localhost", target, c.remote
	r.Header.Set("Authorization", "Bearer "+c.token)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// ask sends one request and decodes the answer into out, unless that is nil. An answer that is no success is a *problem.
func (c *client) ask(method, path string, query url.Values, in, out any, header ...string) (*answer, error) {
	var body []byte
	if in != nil {
		var err error
		if raw, ok := in.(json.RawMessage); ok {
			body = raw
		} else if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encode request for %s: %w", path, err)
		}
	}
	r, err := c.request(method, path, query, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	a := &answer{header: http.Header{}}
	c.api.ServeHTTP(a, r)
	if a.status >= 300 || a.status == 0 {
		return a, a.problem()
	}
	if out != nil && a.body.Len() > 0 {
		if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
			return a, fmt.Errorf("read the API's answer for %s: %w", path, err)
		}
	}
	return a, nil
}

func (a *answer) problem() *problem {
	p := &problem{Status: a.status, Title: http.StatusText(a.status)}
	if strings.HasSuffix(strings.SplitN(a.header.Get("Content-Type"), ";", 2)[0], "json") {
		if err := json.Unmarshal(a.body.Bytes(), p); err != nil {
			p.Detail = "the answer of the API could not be read"
		}
		p.Status = a.status
	}
	return p
}

func (c *client) get(path string, query url.Values, out any) error {
	_, err := c.ask(http.MethodGet, path, query, nil, out)
	return err
}

func (c *client) post(path string, in, out any, header ...string) error {
	_, err := c.ask(http.MethodPost, path, nil, in, out, header...)
	return err
}

// list is one page of a list of the API.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_cursor"`
}

// identity is who the token is.
type identity struct {
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	Global  bool     `json:"global"`
	Tenants []string `json:"tenants"`
}

// Editor and Admin say what the role allows, so that a page offers nothing else. The API decides.
func (i identity) Editor() bool { return i.Role == "editor" || i.Role == "admin" }

// Admin says whether the role is admin.
func (i identity) Admin() bool { return i.Role == "admin" }
