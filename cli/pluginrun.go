package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"edgerelay/plugins/kit"
	"edgerelay/relay/admin"
)

// pluginRunFlags are the flags of `plugin run`.
type pluginRunFlags struct {
	clientFlags
	config configFlags
	event  string
	from   string
	to     string
	asJSON bool
}

func newPluginRun() *cobra.Command {
	var f pluginRunFlags
	cmd := &cobra.Command{
		Use:   "run [DIR | NAME | FILE.wasm]",
		Short: "Run a plugin on one event and show the exact request",
		Long: "Give one event to the plugin in DIR (default: here), to one that comes with the program, or to a module without a\n" +
			"manifest, and print the request that a webhook would send. The relay adds what identifies and signs it. The log, fuel, memory and time go to the error output.\n" +
			"Exit code 0 = sent or dropped, 1 = the plugin failed, 78 = its manifest or the configuration is invalid.",
		Example: `  edgerelay plugin run
  edgerelay plugin run -e events/order.json -c channel='#wins'
  edgerelay plugin run -e quotes --json | jq .request
  echo '{"type":"a.b","data":{"order":"1"}}' | edgerelay plugin run -e -
  edgerelay plugin run --from dl_00000000000000000000000000
  edgerelay plugin run slack -e order.json -c text='{{data.order}} has arrived'
  edgerelay plugin run module.wasm -e order.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHost(cmd.Context(), func(h *kit.Host) error { return f.run(cmd, h, args) })
		},
	}
	f.config.add(cmd)
	cmd.Flags().StringVarP(&f.event, "event", "e", "", "the event: a file, - for the standard input, or the name of one in events/ (default: the first of these)")
	cmd.Flags().StringVar(&f.from, "from", "", "take the event of this delivery (dl_…) from a running relay, see --url and --token")
	cmd.Flags().StringVar(&f.to, "to", kit.DefaultURL, "address of the webhook")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API, for --from")
	cmd.MarkFlagsMutuallyExclusive("event", "from")
	return cmd
}

func (f *pluginRunFlags) run(cmd *cobra.Command, h *kit.Host, args []string) error {
	if u, err := url.Parse(f.to); err != nil || u.Host == "" {
		return usageErrorf("--to %q is not an address like %s", f.to, kit.DefaultURL)
	}
	config, err := f.config.json()
	if err != nil {
		return err
	}
	r, p, err := openRunner(cmd.Context(), h, args, config)
	if err != nil {
		return err
	}
	defer r.Close(cmd.Context())
	e, err := f.readEvent(cmd, p)
	if err != nil {
		return err
	}
	o := r.Run(cmd.Context(), &e)
	request, err := o.Request(f.to)
	if err != nil {
		return err
	}
	if o.Action != "send" {
		request = nil
	}
	if f.asJSON {
		err = printRunJSON(cmd, o, request, r.Undeclared(o))
	} else {
		printRun(cmd, o, request, r.Undeclared(o))
	}
	if err == nil && o.Action != "send" && o.Action != "drop" {
		return fmt.Errorf("the plugin did not send: %s", outcomeText(o))
	}
	return err
}

// openRunner opens the plugin, or the bare module, that the arguments name; p is nil for a module.
func openRunner(ctx context.Context, h *kit.Host, args []string, config []byte) (r *kit.Runner, p *kit.Package, err error) {
	if len(args) > 0 && strings.HasSuffix(args[0], ".wasm") {
		wasm, err := os.ReadFile(args[0])
		if err != nil {
			return nil, nil, fmt.Errorf("read module: %w", err)
		}
		r, err = h.NewModuleRunner(ctx, filepath.Base(args[0]), wasm, config)
		return r, nil, err
	}
	if p, err = loadPlugin(args); err != nil {
		return nil, nil, err
	}
	r, err = h.NewRunner(ctx, p, config)
	if refused := new(kit.ConfigError); errors.As(err, &refused) {
		err = &exitError{exitConfig, err}
	}
	return r, p, err
}

func (f *pluginRunFlags) readEvent(cmd *cobra.Command, p *kit.Package) (kit.Event, error) {
	switch {
	case f.from != "":
		return f.fetch(cmd.Context(), cmd, f.from)
	case f.event != "":
		return readEvent(cmd, p, f.event)
	case p == nil || len(p.Events) == 0:
		return kit.Event{}, usageErrorf("--event is missing: there is no sample event in events/")
	}
	return p.Events[0], nil
}

// fetch takes the event of a delivery from a relay, with everything that its transform was told.
func (f *pluginRunFlags) fetch(ctx context.Context, cmd *cobra.Command, id string) (kit.Event, error) {
	c, err := f.client(cmd)
	if err != nil {
		return kit.Event{}, err
	}
	var d struct {
		admin.Delivery
		Envelope json.RawMessage `json:"envelope"`
	}
	if _, err := c.do(ctx, "GET", "/api/v1/deliveries/"+url.PathEscape(id), nil, &d); err != nil {
		return kit.Event{}, err
	}
	e, err := kit.ParseEvent(id, d.Envelope)
	e.Meta.Tenant, e.Meta.Program, e.Meta.Webhook, e.Meta.Attempt = []byte(d.Tenant), []byte(d.Program), []byte(d.WebhookName), d.Attempts+1
	return e, err
}

// requestJSON is the request of `plugin run --json`; a body that is not UTF-8 is given in base64.
type requestJSON struct {
	*kit.Request
	Body       *string `json:"body,omitempty"`
	BodyBase64 string  `json:"body_base64,omitempty"`
}

func printRunJSON(cmd *cobra.Command, o *kit.Outcome, r *kit.Request, undeclared []string) error {
	v := struct {
		*kit.Outcome
		Undeclared []string     `json:"undeclared,omitempty"`
		Request    *requestJSON `json:"request,omitempty"`
	}{Outcome: o, Undeclared: undeclared}
	if r != nil {
		v.Request = &requestJSON{Request: r}
		if body := string(r.Body); utf8.ValidString(body) {
			v.Request.Body = &body
		} else {
			v.Request.BodyBase64 = base64.StdEncoding.EncodeToString(r.Body)
		}
	}
	return printJSON(cmd.OutOrStdout(), v)
}

func printRun(cmd *cobra.Command, o *kit.Outcome, r *kit.Request, undeclared []string) {
	out, side := cmd.OutOrStdout(), cmd.ErrOrStderr()
	for _, l := range o.Log {
		fmt.Fprintf(side, "log %s: %s\n", l.Level, printable(l.Text))
	}
	for _, line := range o.Trace {
		fmt.Fprintf(side, "  at %s\n", oneLine(line))
	}
	for _, c := range undeclared {
		fmt.Fprintf(side, "warning: it needs the capability %s, which plugin.yaml does not list: plugin test will fail\n", c)
	}
	if r != nil {
		fmt.Fprintf(out, "%s %s\n", r.Method, oneLine(r.URL))
		for _, h := range r.Headers {
			fmt.Fprintf(out, "%s: %s\n", h.Name, oneLine(h.Value))
		}
		body := string(r.Body)
		if isTerminal(out) {
			body = printable(body)
		}
		fmt.Fprintf(out, "\n%s\n", body)
	} else if o.Action == "drop" {
		fmt.Fprintf(out, "dropped: %s\n", printable(o.Reason))
	}
	fmt.Fprintf(side, "%d fuel, %s of memory, %.0f µs\n", o.Fuel, sizeText(o.Memory), o.Micros)
}

// outcomeText says how a run ended that did not send.
func outcomeText(o *kit.Outcome) string {
	text := o.Action
	if o.Error != "" {
		text = o.Error + ": " + o.Message
	}
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return printable(text)
}
