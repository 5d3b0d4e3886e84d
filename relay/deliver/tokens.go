package deliver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"edgerelay/relay/guard"
	"edgerelay/relay/webhooks"
)

// tokens gets and keeps the access token of one authorization (OAuth 2.0, client credentials). All webhooks that use the authorization share
// it, and at most one request to the token endpoint is under way at a time.
//
//	up to 90 % of its life   the token is used
//	then                     whoever comes first gets a new one, the others go on with the old
//	after its life           everybody waits for the new one
//	after a failure          nobody asks again for a second
//	after a 401              a new one is got although the old should be good, at most every ten seconds
type tokens struct {
	auth      *webhooks.OAuth2
	transport *http.Transport // not a client, which would follow redirects: they would carry the secret to wherever the answer says
	timeout   time.Duration
	now       func() time.Time

	mu        sync.Mutex    // guards what follows; not held while the request is under way
	header    []byte        // "Bearer …", never changed in place; nil = none
	refreshAt time.Time     // 90 % of its life
	expires   time.Time     //
	flight    chan struct{} // closed when the request that is under way has ended; nil = none is
	err       error         // of the last request, nil = it succeeded
	askAgain  time.Time     // after err
	forced    time.Time     // when a 401 last made us ask
}

const (
	tokenTimeout   = 10 * time.Second // for the whole request
	maxToken       = 16 << 10         // bytes of a token; servers refuse longer headers
	maxTokenAnswer = 64 << 10
	tokenLife      = 5 * time.Minute  // of one whose server does not say
	minTokenLife   = 10 * time.Second // even if the server says less: a token that is old at once would be got for every attempt
	maxTokenLife   = 24 * time.Hour
	tokenRetry     = time.Second
	forceEvery     = 10 * time.Second
)

func newTokens(o *webhooks.OAuth2, g *guard.Guard, now func() time.Time) *tokens {
	transport := &http.Transport{
		// No connection but by the guard, through its proxy if there is one: a token URL is as little to be trusted as a receiver's.
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			conn, err := g.Dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			return conn, nil
		},
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: guard.Timeout,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: readBuffer,
	}
	return &tokens{auth: o, timeout: tokenTimeout, now: now, transport: transport}
}

// get returns the value of the header Authorization.
func (t *tokens) get() ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		now := t.now()
		good := t.header != nil && now.Before(t.expires)
		waiting := t.flight
		switch {
		case good && (now.Before(t.refreshAt) || waiting != nil):
			return t.header, nil
		case t.err != nil && now.Before(t.askAgain):
			if good {
				return t.header, nil
			}
			return nil, t.err
		case waiting != nil:
			t.mu.Unlock()
			<-waiting
			t.mu.Lock()
			if t.err != nil {
				return nil, t.err
			}
		default:
			t.refreshLocked()
		}
	}
}

// renew returns another token than refused, which a receiver has answered 401 to. It returns nil when it is too early for one: a receiver
// that refuses every token must not make us ask for one per attempt.
func (t *tokens) renew(refused []byte) ([]byte, error) {
	t.mu.Lock()
	if bytes.Equal(t.header, refused) {
		now := t.now()
		if now.Before(t.forced.Add(forceEvery)) {
			t.mu.Unlock()
			return nil, nil
		}
		t.forced = now
		t.header, t.err = nil, nil
	}
	t.mu.Unlock()
	return t.get()
}

// refreshLocked asks for a token. It lets go of the lock while it waits for the answer.
func (t *tokens) refreshLocked() {
	done := make(chan struct{})
	t.flight = done
	t.mu.Unlock()
	header, life, err := t.request()
	t.mu.Lock()
	t.flight = nil
	close(done)
	now := t.now()
	t.err = err
	if err != nil {
		t.askAgain = now.Add(tokenRetry)
		return
	}
	t.header, t.refreshAt, t.expires = header, now.Add(life*9/10), now.Add(life)
}

// request makes one request to the token endpoint. Its errors show neither the URL, which may hold a secret, nor what the answer says in its
// own words.
func (t *tokens) request() (header []byte, life time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.auth.TokenURL, strings.NewReader(t.auth.Form()))
	if err != nil {
		return nil, 0, errors.New("the token URL is not one")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if !t.auth.InBody { // RFC 6749, 2.3.1: both are form-encoded first
		req.SetBasicAuth(url.QueryEscape(t.auth.ClientID), url.QueryEscape(t.auth.ClientSecret))
	}
	resp, err := t.transport.RoundTrip(req)
	if err != nil {
		return nil, 0, tokenFailure(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	switch {
	case err != nil:
		return nil, 0, tokenFailure(err)
	case len(body) > maxTokenAnswer:
		return nil, 0, fmt.Errorf("the token endpoint's answer is longer than %d bytes", maxTokenAnswer)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, 0, fmt.Errorf("the token endpoint answered %d: redirects are not followed", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, 0, fmt.Errorf("the token endpoint answered %d%s", resp.StatusCode, errorCode(body))
	}
	return parseToken(body)
}

// tokenFailure says in our words why there was no answer.
func tokenFailure(err error) error {
	var timeout interface{ Timeout() bool }
	var proxy *guard.ProxyError
	why, refused := guard.Refused(err)
	switch {
	case refused:
		return fmt.Errorf("no token: %s", why)
	case errors.As(err, &proxy) && !proxy.Timeout():
		return fmt.Errorf("no token: %s", proxy)
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the token endpoint did not answer in time")
	}
	return fmt.Errorf("no answer from the token endpoint: %s", rootCause(err))
}

// errorCode is the error of RFC 6749, 5.2, in brackets, if the answer has one.
func errorCode(body []byte) string {
	var answer struct{ Error string }
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" || len(answer.Error) > 64 {
		return ""
	}
	if strings.Trim(answer.Error, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return " (" + answer.Error + ")"
}

// parseToken reads the answer of RFC 6749, 5.1.
func parseToken(body []byte) (header []byte, life time.Duration, err error) {
	var answer struct {
		Token   string      `json:"access_token"`
		Type    string      `json:"token_type"`
		Expires json.Number `json:"expires_in"` // some servers write it as a text, which this type takes too
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, 0, errors.New("the token endpoint's answer is not the JSON object that it must be")
	}
	switch {
	case answer.Token == "" || len(answer.Token) > maxToken:
		return nil, 0, errors.New("the token endpoint's answer has no usable access_token")
	case strings.ContainsFunc(answer.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, 0, errors.New("the access_token has characters that no header can carry")
	case answer.Type != "" && !strings.EqualFold(answer.Type, "bearer"):
		return nil, 0, errors.New("the token_type is not Bearer")
	}
	life = tokenLife
	if seconds, err := answer.Expires.Float64(); err == nil {
		life = time.Duration(min(max(seconds, minTokenLife.Seconds()), maxTokenLife.Seconds()) * float64(time.Second))
	}
	return []byte("Bearer " + answer.Token), life, nil
}
