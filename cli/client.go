package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// client speaks with one of the relay's two listeners.
type client struct {
	base  string // without a slash at the end
	token string // "" = none
	hint  string // what to do when the relay refuses the token
	http  *http.Client
	log   *slog.Logger
}

// clientFlags are the flags of every command that speaks with the relay. The token's default is read from the environment when the command
// runs, so that --help does not print it.
type clientFlags struct {
	url, token string
	tokenEnv   string
}

func (f *clientFlags) add(cmd *cobra.Command, defaultURL, tokenEnv, of string) {
	f.tokenEnv = tokenEnv
	cmd.PersistentFlags().StringVar(&f.url, "url", defaultURL, "address of the "+of)
	cmd.PersistentFlags().StringVar(&f.token, "token", "", "bearer token (default $"+tokenEnv+")")
}

// client checks the flags and makes the client.
func (f *clientFlags) client(cmd *cobra.Command) (*client, error) {
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, usageErrorf("--url %q is not an address like http://127.0.0.1:8080", f.url)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageErrorf("--url takes scheme, host, port and path only; a token goes into --token or $%s", f.tokenEnv)
	}
	log, err := logger(cmd)
	if err != nil {
		return nil, err
	}
	token := f.token
	if token == "" {
		token = os.Getenv(f.tokenEnv)
	}
	return &client{
		base: strings.TrimRight(f.url, "/"), token: token, log: log,
		hint: "--token TOKEN, or $" + f.tokenEnv,
		http: &http.Client{
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // no token for strangers
		},
	}, nil
}

// maxAnswer bounds what is read of an answer: a page of deliveries is far smaller.
const maxAnswer = 64 << 20

// do sends a request (body nil = none) and decodes the answer into out (nil = not wanted, *[]byte = as it is). Anything but 2xx is an error that shows
// the relay's own explanation.
func (c *client) do(ctx context.Context, method, path string, body []byte, out any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	begin := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.base, err)
	}
	c.log.Debug("request", "method", method, "url", c.base+path, "status", res.StatusCode, "duration", time.Since(begin))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, c.refused(method, path, res, text)
	}
	if out == nil {
		return res.Header, nil
	}
	if raw, ok := out.(*[]byte); ok { // an answer that is no JSON
		*raw = text
		return res.Header, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("the answer of %s to %s %s is not what edgerelay sends (is the address right?): %w", c.base, method, path, err)
	}
	return res.Header, nil
}

// unreachable explains why there was no answer, without the noise of Go's nested network errors.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	reason := err
	var ue *url.Error
	if errors.As(err, &ue) {
		reason = ue.Err
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		reason = errors.New("connection refused")
	case errors.As(err, &dns):
		reason = fmt.Errorf("host %s is not known", dns.Name)
	case ue != nil && ue.Timeout():
		reason = errors.New("no answer in time")
	}
	return fmt.Errorf("cannot reach %s: %w; is edgerelay running?\nTry: edgerelay run, or --url if it listens elsewhere", c.base, reason)
}

// problemError is what the relay answered instead of doing it.
type problemError struct {
	status   int
	message  string
	mistakes []string // of a body or a config, one per line
}

func (e *problemError) Error() string {
	return strings.Join(append([]string{e.message}, e.mistakes...), "\n")
}

// refused turns a problem document into an error.
func (c *client) refused(method, path string, res *http.Response, body []byte) error {
	var p struct {
		Title, Detail string
		Errors        []struct{ Path, Message, Schema, Instance string } // of a body, or of an event that does not fit its schema
	}
	// An answer that is no problem document leaves all empty: then the status has to do.
	_ = json.Unmarshal(body, &p)
	e := &problemError{status: res.StatusCode, message: fmt.Sprintf("%s %s: %s", method, path, res.Status)}
	for _, m := range p.Errors {
		line := strings.TrimPrefix(printable(m.Path+m.Instance)+": "+printable(m.Message), ": ")
		if m.Schema != "" {
			line += " (" + printable(m.Schema) + ")"
		}
		e.mistakes = append(e.mistakes, line)
	}
	switch {
	case len(e.mistakes) > 0: // the detail repeats them
	case p.Detail != "":
		e.message += ": " + printable(p.Detail)
	case p.Title != "" && p.Title != http.StatusText(res.StatusCode):
		e.message += ": " + printable(p.Title)
	}
	if after := res.Header.Get("Retry-After"); after != "" {
		e.message += " (retry after " + printable(after) + " s)"
	}
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		e.message += "\nTry: " + c.hint
	}
	return e
}

// readData reads what a --data flag names: the text itself, @file, or - for the standard input.
func readData(cmd *cobra.Command, value string) ([]byte, error) {
	if value == "-" {
		b, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("read the standard input: %w", err)
		}
		return b, nil
	}
	if name, ok := strings.CutPrefix(value, "@"); ok {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read --data: %w", err)
		}
		return b, nil
	}
	return []byte(value), nil
}
