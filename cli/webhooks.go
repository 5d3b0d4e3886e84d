package cli

import (
	"net/url"

	"github.com/spf13/cobra"

	"edgerelay/config"
)

// compactDefinition makes JSON of a definition, which may be YAML.
func compactDefinition(text []byte) ([]byte, error) { return config.Compact("--data", text) }

const webhooksPath = "/api/v1/webhooks"

func newWebhooksCommand() *cobra.Command {
	f := &manageFlags{}
	cmd := f.command("webhooks", "List, make, change and test webhooks", "Webhooks say which events go where. These commands manage them through the management API; a webhook is named\n"+
		"by its id, or by its name. Definitions have the keys of the configuration, in JSON or YAML.", `  edgerelay webhooks ls --status active
  edgerelay webhooks create --data @webhook.yaml
  edgerelay webhooks edit orders --data '{"concurrency":4}'
  edgerelay webhooks test orders --example order.paid`)
	one := func(use, short, method, verb, done string) *cobra.Command {
		return &cobra.Command{Use: use + " WEBHOOK", Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			if done != "" {
				done = args[0] + " " + done
			}
			return f.act(cmd, method, webhooksPath+"/"+id+verb, nil, done)
		}}
	}
	return withExamples(group(cmd,
		f.list("ls", "List webhooks", webhooksPath, []column{{"ID", "id"}, {"NAME", "name"}, {"TENANT", "tenant"}, {"PROGRAM", "program"}, {"STATUS", "status"}, {"ORIGIN", "origin"},
			{"EVENTS", "events"}, {"METHOD", "method"}, {"URL", "url"}}, "status", "search", "event", "program", "method", "tenant", "origin"),
		one("show", "Show one webhook with its definition", "GET", "", ""),
		newWebhookCreate(f), newWebhookEdit(f), newWebhookRemove(f), newWebhookTest(f), newWebhookRotate(f), newWebhookRollback(f),
		one("publish", "Make a draft, a paused or a disabled webhook active", "POST", "/publish", "is active"),
		one("unpublish", "Make a webhook a draft again", "POST", "/unpublish", "is a draft"),
		one("pause", "Pause a webhook", "POST", "/pause", "is paused"),
		one("duplicate", "Make a draft that is a copy", "POST", "/duplicate", ""),
		one("secret", "Show the signing secrets; the audit log says who looked", "GET", "/secret", ""),
		one("versions", "Show the earlier versions", "GET", "/versions", "")), map[string]string{
		"ls":            "webhooks ls --status active --search orders",
		"show":          "webhooks show orders --json",
		"rm":            "webhooks rm orders --deliveries discard",
		"rotate-secret": "webhooks rotate-secret orders --overlap 3600",
		"rollback":      "webhooks rollback orders --revision 3",
		"publish":       "webhooks publish orders",
		"unpublish":     "webhooks unpublish orders",
		"pause":         "webhooks pause orders",
		"duplicate":     "webhooks duplicate orders",
		"secret":        "webhooks secret orders",
		"versions":      "webhooks versions orders",
	})
}

func newWebhookCreate(f *manageFlags) *cobra.Command {
	var data, program, tenant string
	cmd := &cobra.Command{Use: "create", Short: "Make a webhook", Args: cobra.NoArgs, Example: "  edgerelay webhooks create --data @webhook.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := definition(cmd, data)
			if err != nil {
				return err
			}
			path := webhooksPath
			if program != "" {
				path = "/api/v1/programs/" + url.PathEscape(program) + "/webhooks"
				if tenant != "" {
					path += "?tenant=" + url.QueryEscape(tenant)
				}
			}
			return f.act(cmd, "POST", path, text, "")
		}}
	cmd.Flags().StringVar(&data, "data", "", "the definition: JSON or YAML, @FILE, or - for the standard input")
	cmd.Flags().StringVar(&program, "program", "", "make it for this program")
	cmd.Flags().StringVar(&tenant, "tenant", "", "with --program: whose program")
	return cmd
}

func newWebhookEdit(f *manageFlags) *cobra.Command {
	var data string
	cmd := &cobra.Command{Use: "edit WEBHOOK", Short: "Change keys of a webhook; null is back to the default", Args: cobra.ExactArgs(1),
		Example: `  edgerelay webhooks edit orders --data '{"events":["order.*"],"description":null}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := definition(cmd, data)
			if err != nil {
				return err
			}
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			return f.act(cmd, "PATCH", webhooksPath+"/"+id, text, "")
		}}
	cmd.Flags().StringVar(&data, "data", "", "the keys that change: JSON or YAML, @FILE, or - for the standard input")
	return cmd
}

func newWebhookRemove(f *manageFlags) *cobra.Command {
	var deliveries string
	cmd := &cobra.Command{Use: "rm WEBHOOK", Short: "Delete a webhook", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			return f.act(cmd, "DELETE", webhooksPath+"/"+id+"?deliveries="+url.QueryEscape(deliveries), nil, args[0]+" is deleted")
		}}
	cmd.Flags().StringVar(&deliveries, "deliveries", "bury", "what becomes of those that wait: bury (they are listed as dead) or discard")
	return cmd
}

func newWebhookTest(f *manageFlags) *cobra.Command {
	var eventText, example, stored string
	cmd := &cobra.Command{Use: "test WEBHOOK", Short: "Send a test event and show what came of it", Args: cobra.ExactArgs(1),
		Example: "  edgerelay webhooks test orders --example order.paid\n  edgerelay webhooks test orders --event '{\"type\":\"order.paid\",\"data\":{\"total\":7}}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			body := map[string]any{}
			if eventText != "" {
				text, err := definition(cmd, eventText)
				if err != nil {
					return err
				}
				body["event"] = rawJSON(text)
			}
			for name, v := range map[string]string{"example": example, "stored": stored} {
				if v != "" {
					body[name] = v
				}
			}
			return f.act(cmd, "POST", webhooksPath+"/"+id+"/test", body, "")
		}}
	cmd.Flags().StringVar(&eventText, "event", "", "the event: JSON, @FILE, or - for the standard input")
	cmd.Flags().StringVar(&example, "example", "", "instead: the example of this event type")
	cmd.Flags().StringVar(&stored, "stored", "", "instead: the id of an event or a delivery that the relay remembers")
	return cmd
}

func newWebhookRotate(f *manageFlags) *cobra.Command {
	var overlap int
	cmd := &cobra.Command{Use: "rotate-secret WEBHOOK", Short: "Give a webhook a new signing secret, and show it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			return f.act(cmd, "POST", webhooksPath+"/"+id+"/rotate-secret", map[string]int{"overlap_seconds": overlap}, "")
		}}
	cmd.Flags().IntVar(&overlap, "overlap", 86400, "how many seconds requests are signed with the old secret, too")
	return cmd
}

func newWebhookRollback(f *manageFlags) *cobra.Command {
	var revision int
	cmd := &cobra.Command{Use: "rollback WEBHOOK", Short: "Go back to an earlier version", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := f.find(cmd, webhooksPath, "wh_", args[0])
			if err != nil {
				return err
			}
			return f.act(cmd, "POST", webhooksPath+"/"+id+"/rollback", map[string]int{"revision": revision}, "")
		}}
	cmd.Flags().IntVar(&revision, "revision", 0, "the revision, as `webhooks versions` shows it")
	return cmd
}
