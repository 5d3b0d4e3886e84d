package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/relay"
	"edgerelay/relay/admin"
)

// tryFlags are the flags of `try`.
type tryFlags struct {
	clientFlags
	files   []string
	against []string
	event   string
	example string
	from    string
	draft   string
	compare bool
	asJSON  bool
}

func newTryCommand() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "try [WEBHOOK] [-c FILE]...",
		Short: "Show the exact request that a webhook would send for an event; nothing is sent",
		Long: "Make the request that WEBHOOK would send for an event, by the code that deliveries go through: method, URL, headers, body and\n" +
			"signature. Credentials are shown as ***. Nothing is sent.\n\n" +
			"With -c the webhook is in a config file (its name is not needed if it is the only one), and no relay needs to run. Without, it is one of\n" +
			"the running relay, by name or id, or a draft (--draft FILE: one webhook as in the config, YAML or JSON), which --compare compares with\n" +
			"the webhook of its name.\n\n" +
			"The log, fuel and time of each transform go to the error output, and whether the event would go to the webhook at all.\n" +
			"Exit code 0 = it would be sent, or dropped by a transform; 1 = it would fail; 78 = the config is invalid.",
		Example: `  edgerelay try -c edgerelay.yaml feed -e event.json
  edgerelay try -c edgerelay.yaml feed --example recognition.complete
  echo '{"type":"order.paid","data":{"id":1}}' | edgerelay try -c edgerelay.yaml -e - --json
  edgerelay try feed --from we_01jf2wkmvcfw6ts1qmgzya291c
  edgerelay try --draft feed.yaml --compare
  git show HEAD:edgerelay.yaml > old.yaml && edgerelay try -c edgerelay.yaml feed --against old.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	addConfigFlag(cmd, &f.files)
	cmd.Flags().StringVarP(&f.event, "event", "e", "", "the event, as it is sent to the relay: a file, or - for the standard input")
	cmd.Flags().StringVar(&f.example, "example", "", "take the example of this event type (default: the first one that the webhook subscribes to)")
	cmd.Flags().StringVar(&f.from, "from", "", "take an event that the relay remembers: the id of an event (we_…) or a delivery (dl_…)")
	cmd.Flags().StringVar(&f.draft, "draft", "", "try the webhook in this file, or - for the standard input, in the running relay")
	cmd.Flags().BoolVar(&f.compare, "compare", false, "with --draft: show what is different from the webhook in force")
	cmd.Flags().StringArrayVar(&f.against, "against", nil, "with -c: another config file, or a directory of them; show what is different from what the webhook would send there; repeatable")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.MarkFlagsMutuallyExclusive("event", "example", "from")
	cmd.MarkFlagsMutuallyExclusive("config", "draft")
	cmd.MarkFlagsMutuallyExclusive("config", "from")
	cmd.MarkFlagsMutuallyExclusive("against", "compare")
	return cmd
}

func (f *tryFlags) run(cmd *cobra.Command, args []string) error {
	var sample relay.Sample
	if f.event != "" {
		text, err := readSmall(cmd, f.event, "event")
		if err != nil {
			return err
		}
		sample.Event = text
	}
	sample.Example = f.example
	switch {
	case len(f.files) > 0 && f.compare:
		return usageErrorf("--compare needs --draft; with -c use --against")
	case len(f.files) > 0:
		return f.offline(cmd, args, sample)
	case len(f.against) > 0:
		return usageErrorf("--against needs -c; with --draft use --compare")
	}
	return f.online(cmd, args, sample)
}

// readSmall reads a file or the standard input; nothing that is sent to a relay is longer than 64 MiB.
func readSmall(cmd *cobra.Command, name, what string) ([]byte, error) {
	const most = 64 << 20
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", what, err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", what, err)
	case len(text) > most:
		return nil, fmt.Errorf("read %s: it is longer than any relay takes", what)
	case len(strings.TrimSpace(string(text))) == 0:
		return nil, fmt.Errorf("read %s: it is empty", what)
	}
	return text, nil
}

// offline tries the webhook of a config file in this process.
func (f *tryFlags) offline(cmd *cobra.Command, args []string, sample relay.Sample) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	o, err := relay.NewOffline(ctx, readVersion().Version)
	if err != nil {
		return err
	}
	defer o.Close(context.WithoutCancel(ctx))
	tr, err := tryFiles(ctx, o, f.files, args, sample)
	if err != nil {
		return err
	}
	shown := shownTrial{Trial: tr}
	if len(f.against) > 0 {
		if shown.Published, err = tryFiles(ctx, o, f.against, []string{tr.Webhook}, sample); err != nil {
			return err
		}
		diff := relay.Compare(shown.Published, tr)
		shown.Diff = &diff
	}
	return shown.print(cmd, f.asJSON)
}

func tryFiles(ctx context.Context, o *relay.Offline, files, args []string, sample relay.Sample) (*admin.Trial, error) {
	c, err := loadConfig(files)
	if err != nil {
		return nil, err
	}
	i, err := chooseWebhook(c, args)
	if err != nil {
		return nil, err
	}
	tr, err := o.Try(ctx, c, i, sample)
	var problems config.Problems
	if errors.As(err, &problems) {
		return nil, &exitError{exitConfig, fmt.Errorf("invalid config:\n%w", err)}
	}
	return tr, err
}

// chooseWebhook finds the webhook that the arguments name.
func chooseWebhook(c *config.Config, args []string) (int, error) {
	var names []string
	for i := range c.Webhooks {
		names = append(names, c.Webhooks[i].Name)
	}
	switch {
	case len(names) == 0:
		return 0, errors.New("the config has no webhooks")
	case len(args) == 0 && len(names) > 1:
		return 0, usageErrorf("which webhook? There are %s", strings.Join(names, ", "))
	case len(args) == 0:
		return 0, nil
	}
	i := slices.Index(names, args[0])
	switch {
	case i < 0:
		return 0, usageErrorf("there is no webhook %q%s", args[0], config.Suggest(args[0], names))
	case slices.Contains(names[i+1:], args[0]):
		return 0, usageErrorf("several tenants have a webhook %q: give the files of one only", args[0])
	}
	return i, nil
}

// shownTrial is a trial with, if asked for, what is different from another one.
type shownTrial struct {
	*admin.Trial
	Published *admin.Trial `json:"published,omitempty"`
	Diff      *string      `json:"diff,omitempty"`
}

func (s shownTrial) print(cmd *cobra.Command, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), s)
	} else {
		printTrial(cmd, s)
	}
	if err == nil && s.Action != "send" && s.Action != "drop" {
		return fmt.Errorf("nothing would be sent: %s: %s", s.Reason, printable(s.Detail))
	}
	return err
}

func printTrial(cmd *cobra.Command, s shownTrial) {
	out, side := cmd.OutOrStdout(), cmd.ErrOrStderr()
	printSteps(side, s.Trial)
	switch {
	case s.Diff != nil && *s.Diff == "":
		fmt.Fprintln(out, "no difference")
	case s.Diff != nil:
		fmt.Fprint(out, printable(*s.Diff))
	case s.Request != nil:
		printMessage(out, s.Request)
	case s.Action == "drop":
		fmt.Fprintf(out, "dropped: %s\n", printable(s.Detail))
	}
	fmt.Fprintf(side, "event %s of type %s (%s), %.0f µs\n", oneLine(s.Event.ID), oneLine(s.Event.Type), s.Event.Source, s.Timings.Compose)
}

// printSteps tells what the transforms did, and what else there is to know.
func printSteps(side io.Writer, t *admin.Trial) {
	if !t.Matches {
		fmt.Fprintf(side, "warning: this event would not go to the webhook: %s\n", printable(t.Mismatch))
	}
	for _, n := range t.Notes {
		fmt.Fprintf(side, "note: %s\n", printable(n))
	}
	for i, s := range t.Steps {
		fmt.Fprintf(side, "transform %d, %s: %s, %d fuel, %s of memory, %.0f µs\n", i+1, oneLine(s.Module), s.Action, s.Fuel, sizeText(s.Memory), s.Micros)
		for _, l := range s.Log {
			fmt.Fprintf(side, "  log %s: %s\n", l.Level, printable(l.Text))
		}
		if s.Error != "" {
			fmt.Fprintf(side, "  %s: %s\n", s.Error, printable(s.Message))
		}
		for _, line := range s.Trace {
			fmt.Fprintf(side, "    at %s\n", oneLine(line))
		}
	}
}

func printMessage(out io.Writer, r *admin.TrialRequest) {
	fmt.Fprintf(out, "%s %s\n", r.Method, oneLine(r.URL))
	for _, h := range r.Headers {
		fmt.Fprintf(out, "%s: %s\n", h.Name, oneLine(h.Value))
	}
	switch {
	case r.Body != nil && isTerminal(out):
		fmt.Fprintf(out, "\n%s\n", printable(*r.Body))
	case r.Body != nil:
		fmt.Fprintf(out, "\n%s\n", *r.Body)
	case r.BodyBase64 != "":
		fmt.Fprintf(out, "\n%d bytes that are no text, in base64:\n%s\n", r.BodyBytes, r.BodyBase64)
	}
}
