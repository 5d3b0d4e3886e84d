package deliver

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"edgerelay/relay/guard"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// Static headers of an authorization are a part of the prepared request (request.go), client certificates a part of the connection
// (tls.go). What is left are access tokens, which come and go between two attempts.

// clientLocked makes the client of w, with its credentials.
func (d *Deliverer) clientLocked(w *webhooks.Webhook) *client {
	g := d.networks.For(w.Tenant)
	c := newClient(w, g)
	c.tokens = d.tokensLocked(w)
	c.useFiles(newTLSFiles(w, d.opt.Log, d.opt.Now), g)
	return c
}

// tokenOwner is whose tokens they are: webhooks with the same authorization share them if they may reach the same networks.
type tokenOwner struct {
	authorization *webhooks.Authorization
	guard         *guard.Guard
}

// tokensLocked returns the tokens of w's authorization, nil if it has none.
func (d *Deliverer) tokensLocked(w *webhooks.Webhook) *tokens {
	a := w.Authorization
	if a == nil || a.OAuth2 == nil {
		return nil
	}
	owner := tokenOwner{a, d.networks.For(w.Tenant)}
	t := d.tokens[owner]
	if t == nil {
		t = newTokens(a.OAuth2, owner.guard, d.opt.Now)
		d.tokens[owner] = t
	}
	return t
}

// forgetTokensLocked drops the tokens of authorizations that no webhook has any more.
func (d *Deliverer) forgetTokensLocked() {
	used := map[tokenOwner]bool{}
	for _, l := range d.lanes {
		if l.target != nil {
			used[tokenOwner{l.target.Webhook.Authorization, d.networks.For(l.target.Webhook.Tenant)}] = true
		}
	}
	for a := range d.tokens {
		if !used[a] {
			delete(d.tokens, a)
		}
	}
}

// authorize puts an access token into the request, if c has any. Without one nothing is sent: that is not the receiver's fault, but it
// takes an attempt of the schedule all the same, since it may be a mistake that only people can correct.
func (w *worker) authorize(c *client) Outcome {
	if c.tokens == nil {
		return Outcome{}
	}
	token, err := c.tokens.get()
	if err != nil {
		return Outcome{Reason: queue.ReasonAuth, Detail: err.Error()}
	}
	w.setToken(token)
	return Outcome{}
}

func (w *worker) setToken(token []byte) {
	w.token = token
	w.request.Header.SetBytesV(fasthttp.HeaderAuthorization, token)
}

// sendAuthorized sends, and once more with a new token if the receiver answers 401 to the one it got: it may have been withdrawn.
func (w *worker) sendAuthorized(c *client) Outcome {
	o := w.send(c)
	if c.tokens == nil || o.Status != fasthttp.StatusUnauthorized {
		return o
	}
	token, err := c.tokens.renew(w.token)
	switch {
	case err != nil:
		return Outcome{Reason: queue.ReasonAuth, Detail: fmt.Sprintf("the receiver answered 401, and there is no new token: %v", err)}
	case token == nil:
		return o
	}
	w.setToken(token)
	return w.send(c)
}

// checkEndpoint refuses to send credentials to a URL that lies outside of where they may go. The webhook's own URL was checked when it was
// loaded; this is for what expressions and transforms have made of it.
func (w *worker) checkEndpoint(a *webhooks.Authorization) error {
	uri := w.request.URI()
	uri.DisablePathNormalizing = true // as the client does
	if !a.Allows(string(uri.FullURI())) {
		return fmt.Errorf("the URL of this event lies outside of %s, where the credentials of %q may go", a.Endpoint, a.Name)
	}
	return nil
}
