package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"edgerelay/bench"
)

// listenFlags are the flags of `listen`.
type listenFlags struct {
	addr   string
	hook   bench.Hook
	status int
	json   bool
}

// listenHook is the name under which the receiver counts: whatever the path, it is one hook.
const listenHook = "listen"

func newListenCommand() *cobra.Command {
	var f listenFlags
	cmd := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks, verify them and print them",
		Long: "A local receiver for trying out webhooks: it takes every path and method, checks the signature if it has a secret,\n" +
			"prints what came, and answers. A request with a bad signature is answered with 401. Ctrl-C ends it.",
		Example: `  edgerelay listen
  edgerelay listen --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
  edgerelay listen --scheme standard-ed25519 --secret whpk_…
  edgerelay listen --scheme hmac --signature-header X-Sig --content '{timestamp}.{body}' --secret "$SECRET"
  edgerelay listen --addr 127.0.0.1:0 --json | jq .body
  edgerelay listen --status 503                     # see how the relay retries`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.addr, "addr", "127.0.0.1:9000", "address to listen on; port 0 takes any free one")
	fl.StringArrayVar(&f.hook.Secrets, "secret", nil, "signing secret or public key, repeatable (default $"+secretEnv+"; none = nothing is checked)")
	fl.StringVar(&f.hook.Scheme, "scheme", "", "signature scheme: "+schemeNames()+" (default: standard if there is a secret)")
	fl.StringVar(&f.hook.Form.Header, "signature-header", "", "for hmac: the signature's header (required there)")
	fl.StringVar(&f.hook.Form.Prefix, "prefix", "", "for hmac: what stands before the signature")
	fl.StringVar(&f.hook.Form.Hash, "hash", "sha256", "for hmac: sha256 or sha512")
	fl.StringVar(&f.hook.Form.Encoding, "encoding", "hex", "for hmac: hex or base64")
	fl.StringVar(&f.hook.Form.Content, "content", "{body}", "for hmac: what is signed, of {id}, {timestamp}, {body} and text")
	fl.StringVar(&f.hook.Form.TimestampHeader, "timestamp-header", "", "for hmac: the header with the time")
	fl.StringVar(&f.hook.Algorithm, "algorithm", "hmac-sha256", "for rfc9421: hmac-sha256 or ed25519")
	fl.IntVar(&f.status, "status", 200, "status code to answer with")
	fl.BoolVar(&f.json, "json", false, "print one JSON object per request")
	return cmd
}

func (f *listenFlags) run(cmd *cobra.Command) error {
	f.hook.Name, f.hook.Secrets = listenHook, secretsOrEnv(f.hook.Secrets)
	switch {
	case f.status < 200 || f.status > 599:
		return usageErrorf("--status %d: want a code from 200 to 599", f.status)
	case f.hook.Scheme == "" && len(f.hook.Secrets) > 0:
		f.hook.Scheme = "standard"
	case f.hook.Scheme != "" && len(f.hook.Secrets) == 0:
		return usageErrorf("--scheme %s needs --secret", f.hook.Scheme)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &deliveryPrinter{out: cmd.OutOrStdout(), palette: newPalette(cmd.OutOrStdout()), checks: f.hook.Scheme != "", json: f.json}
	receiver, err := bench.Start(bench.Options{
		Addr:       f.addr,
		Default:    &f.hook,
		MaxIDs:     100_000, // a repeat is noticed this far back; an evening of listening must not fill the memory
		OnDelivery: p.print,
	})
	if err != nil {
		return fmt.Errorf("%w\nTry: --addr 127.0.0.1:0 if the port is taken", err)
	}
	if err := receiver.Answer(listenHook, bench.Answer{Status: f.status}); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "listening on http://%s (Ctrl-C ends)\n", receiver.Addr())
	<-ctx.Done()
	stop() // a second Ctrl-C ends the program at once
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = receiver.Close(closing)
	c := receiver.Snapshot()
	fmt.Fprintf(cmd.ErrOrStderr(), "%d requests: %d delivered, %d of them repeated; %d refused; %d with a bad signature\n",
		c.Requests, c.Delivered, c.Duplicates, c.Refused, c.BadSignatures)
	return err
}

// deliveryPrinter shows deliveries one at a time, though they arrive on many goroutines.
type deliveryPrinter struct {
	palette palette
	checks  bool // signatures are checked
	json    bool

	mu  sync.Mutex
	out io.Writer // guarded by mu
}

func (p *deliveryPrinter) print(d bench.Delivery) {
	var b bytes.Buffer
	if p.json {
		p.appendJSON(&b, d)
	} else {
		p.appendText(&b, d)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// A closed pipe is not worth refusing deliveries for; the reader has left.
	_, _ = p.out.Write(b.Bytes())
}

func (p *deliveryPrinter) appendText(b *bytes.Buffer, d bench.Delivery) {
	mark := p.palette.dim("not checked")
	switch {
	case d.BadSign != nil:
		mark = p.palette.red("BAD SIGNATURE: " + oneLine(d.BadSign.Error()))
	case p.checks:
		mark = p.palette.green("verified")
	}
	if d.Repeated {
		mark += ", repeated"
	}
	id := oneLine(d.ID)
	if id == "" {
		id = "(no id)"
	}
	fmt.Fprintf(b, "%s  %s %s  %s  %s  -> %d\n", d.At.Format("15:04:05.000"), oneLine(d.Method), oneLine(d.URI), id, mark, d.Status)
	for _, h := range d.Headers {
		if shownHeader(h.Name) {
			fmt.Fprintf(b, "    %s\n", p.palette.dim(oneLine(h.Name)+": "+oneLine(h.Value)))
		}
	}
	fmt.Fprintf(b, "    %s\n", strings.ReplaceAll(printable(pretty(d.Body)), "\n", "\n    "))
}

// shownHeader leaves out what every request has and what is long and secret-like. --json has them all but credentials.
func shownHeader(name string) bool {
	switch strings.ToLower(name) {
	case "host", "connection", "content-length", "accept-encoding", "webhook-id", "webhook-signature", "authorization", "cookie", "proxy-authorization":
		return false
	}
	return true
}

// secretHeader says whether a header's value is a credential: the output of a test receiver ends up in bug reports.
func secretHeader(name string) bool {
	switch strings.ToLower(name) {
	case "authorization", "cookie", "proxy-authorization":
		return true
	}
	return false
}

// maxShown bounds the part of a body that is shown to people.
const maxShown = 16 << 10

// pretty indents JSON and leaves other text alone.
func pretty(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") == nil {
		body = bytes.TrimSpace(b.Bytes())
	}
	if len(body) == 0 {
		return "(empty body)"
	}
	if len(body) > maxShown {
		return fmt.Sprintf("%s… (%d bytes in all)", body[:maxShown], len(body))
	}
	return string(body)
}

// printedDelivery is one line of `listen --json`. Exactly one of the bodies is there, unless the request had none.
type printedDelivery struct {
	At         time.Time         `json:"at"`
	ID         string            `json:"id,omitempty"`
	Method     string            `json:"method"`
	URI        string            `json:"uri"`
	Headers    map[string]string `json:"headers"`  // lower-case names; credentials are redacted
	Verified   *bool             `json:"verified"` // null = not checked
	Error      string            `json:"error,omitempty"`
	Repeated   bool              `json:"repeated"`
	Status     int               `json:"status"`
	Body       json.RawMessage   `json:"body,omitempty"`
	BodyText   string            `json:"body_text,omitempty"`
	BodyBase64 string            `json:"body_base64,omitempty"`
}

func (p *deliveryPrinter) appendJSON(b *bytes.Buffer, d bench.Delivery) {
	out := printedDelivery{At: d.At.UTC(), ID: d.ID, Method: d.Method, URI: d.URI, Headers: map[string]string{}, Repeated: d.Repeated, Status: d.Status}
	for _, h := range d.Headers {
		name, value := strings.ToLower(h.Name), h.Value
		if secretHeader(name) {
			value = "***"
		}
		if before, again := out.Headers[name]; again {
			value = before + ", " + value
		}
		out.Headers[name] = value
	}
	if p.checks {
		ok := d.BadSign == nil
		out.Verified = &ok
	}
	if d.BadSign != nil {
		out.Error = d.BadSign.Error()
	}
	mediaType, _, err := mime.ParseMediaType(out.Headers["content-type"])
	isText := err == nil && mediaType == "text/plain"
	switch {
	case len(d.Body) == 0:
	case json.Valid(d.Body) && !isText:
		out.Body = d.Body
	case utf8.Valid(d.Body):
		out.BodyText = string(d.Body)
	default:
		out.BodyBase64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		panic("BUG: a checked delivery does not encode: " + err.Error())
	}
}
