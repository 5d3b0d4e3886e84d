package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/relay"
	"edgerelay/relay/admin"
)

// planFlags are the flags of `plan` and `reload`.
type planFlags struct {
	clientFlags
	files  []string
	asJSON bool
}

func newPlanCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [-c FILE]...",
		Short: "Show what a reload, or another config, would change in the running relay",
		Long: "Compare a config with the one that the relay has in force: what is added, changed and removed, field by field, how many deliveries\n" +
			"wait for the webhooks concerned and what becomes of them, and which keys need a restart. Nothing is changed.\n\n" +
			"Without -c the relay loads its own files again, in its own environment, as a reload would. With -c the files are loaded and\n" +
			"checked here; their secrets do not leave this machine, only keyed hashes do, so that a changed one is seen.\n" +
			"The token needs the role admin and all tenants.",
		Example: `  edgerelay plan
  edgerelay plan -c new.yaml
  edgerelay plan -c new.yaml --json | jq '.changes[] | select(.action == "remove")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.plan(cmd) },
	}
	addConfigFlag(cmd, &f.files)
	f.add(cmd)
	return cmd
}

func newReloadCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running relay load its config files again, and show what that changed",
		Long: "Make the relay load the files that it was started with, and wait until they are in force. After a mistake in them everything stays as\n" +
			"it was, and every mistake is shown. The token needs the role admin and all tenants. SIGHUP does the same, and answers in the log.\n" +
			"Exit code 0 = in force, 78 = a mistake in the files.",
		Example: `  edgerelay plan && edgerelay reload
  edgerelay reload --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.reload(cmd) },
	}
	f.add(cmd)
	return cmd
}

func (f *planFlags) add(cmd *cobra.Command) {
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
}

func (f *planFlags) plan(cmd *cobra.Command) error {
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	var body []byte
	if len(f.files) > 0 {
		if body, err = inventory(cmd.Context(), f.files); err != nil {
			return err
		}
	}
	return f.ask(cmd, c, "/api/v1/config/plan", body)
}

func (f *planFlags) reload(cmd *cobra.Command) error {
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	return f.ask(cmd, c, "/api/v1/config/reload", nil)
}

func (f *planFlags) ask(cmd *cobra.Command, c *client, path string, body []byte) error {
	var report admin.ConfigReport
	if _, err := c.do(cmd.Context(), "POST", path, body, &report); err != nil {
		var p *problemError
		if errors.As(err, &p) && len(p.mistakes) > 0 {
			return &exitError{exitConfig, err}
		}
		return err
	}
	if f.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	printChanges(cmd.OutOrStdout(), cmd.ErrOrStderr(), &report)
	return nil
}

// inventory loads and checks a config and takes it apart, with a hash in the place of each secret.
func inventory(ctx context.Context, files []string) ([]byte, error) {
	c, err := loadConfig(files)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if problems := relay.Check(ctx, c); len(problems) > 0 {
		return nil, &exitError{exitConfig, fmt.Errorf("invalid config:\n%w", problems)}
	}
	var salt [32]byte
	rand.Read(salt[:]) // never fails (crypto/rand, since Go 1.24)
	return json.Marshal(c.Inventory().Sealed(salt[:]))
}

var actionMarks = map[string]string{config.ActionAdd: "+", config.ActionChange: "~", config.ActionRemove: "-"}

func printChanges(out, side io.Writer, r *admin.ConfigReport) {
	count := map[string]int{}
	for _, c := range r.Changes {
		count[c.Action]++
		what := "settings"
		if c.Kind != "" {
			what = c.Kind + " " + c.Name
		}
		if c.Tenant != "" {
			what += " (tenant " + c.Tenant + ")"
		}
		fmt.Fprintf(out, "%s %s\n", actionMarks[c.Action], oneLine(what))
		for _, f := range c.Fields {
			fmt.Fprintf(out, "    %s: %s\n", oneLine(f.Path), changeText(f))
		}
	}
	for _, a := range r.Affected {
		more := ""
		if a.AtLeast {
			more = "at least "
		}
		fmt.Fprintf(out, "! webhook %s: %s%d waiting, %d under way; %s\n", oneLine(a.Name), more, a.Waiting, a.InFlight, a.Fate)
	}
	if len(r.NeedsRestart) > 0 {
		fmt.Fprintf(out, "! after a restart only: %s\n", strings.Join(r.NeedsRestart, ", "))
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(side, "warning: %s: %s\n", printable(w.Path), printable(w.Message))
	}
	tense := "to be "
	if r.Applied {
		tense = ""
	}
	if len(r.Changes) == 0 {
		fmt.Fprintln(out, "no changes")
		return
	}
	fmt.Fprintf(out, "%d %sadded, %d %schanged, %d %sremoved\n", count[config.ActionAdd], tense, count[config.ActionChange], tense, count[config.ActionRemove], tense)
}

// changeText writes old → new; of a secret only that it is another one.
func changeText(f config.FieldChange) string {
	switch {
	case f.Secret && f.Old == f.New:
		return "changed (not shown)"
	case f.Old == "":
		return "→ " + oneLine(f.New)
	case f.New == "":
		return oneLine(f.Old) + " → nothing"
	}
	return oneLine(f.Old) + " → " + oneLine(f.New)
}
