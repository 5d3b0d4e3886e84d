package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
)

// eventTypesFlags are the flags of all `event-types` commands.
type eventTypesFlags struct {
	clientFlags
	json bool
}

func newEventTypesCommand() *cobra.Command {
	var f eventTypesFlags
	cmd := &cobra.Command{
		Use:   "event-types",
		Short: "List, show and change the catalogue of event types",
		Long:  "The catalogue says which types of events there are, what they mean and what they look like. These commands ask the running relay. Those of its\nconfig files are changed there.",
		Example: `  edgerelay event-types ls --search order
  edgerelay event-types show order.paid`,
	}
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON, one object per line")
	return group(cmd, newEventTypesList(&f), newEventTypesShow(&f), newEventTypesCreate(&f), newEventTypesEdit(&f), newEventTypesRemove(&f))
}

func newEventTypesList(f *eventTypesFlags) *cobra.Command {
	var search, scope, tenant string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List event types by name",
		Example: `  edgerelay event-types ls
  edgerelay event-types ls --scope global --json | jq -r .name`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(1000)}}
			for name, v := range map[string]string{"search": search, "scope": scope, "tenant": tenant} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return listEventTypes(cmd, c, q, f.json)
		},
	}
	cmd.Flags().StringVar(&search, "search", "", "only those whose name or description contains this")
	cmd.Flags().StringVar(&scope, "scope", "", "only those of scope any or global")
	cmd.Flags().StringVar(&tenant, "tenant", "", "only those that this tenant's events can have")
	return cmd
}

func listEventTypes(cmd *cobra.Command, c *client, q url.Values, asJSON bool) error {
	header := "NAME\tTENANT\tSCOPE\tSCHEMA\tEXAMPLE\tORIGIN\tDESCRIPTION\n"
	return printList(cmd, c, "/api/v1/event-types", q, true, asJSON, header, func(out io.Writer, t *admin.EventType) {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(t.Name), dash(oneLine(t.Tenant)), t.Scope, schemaText(*t), yesNo(len(t.Example) > 0), t.Origin, oneLine(t.Description))
	})
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "-"
}

func schemaText(t admin.EventType) string {
	switch {
	case len(t.Schema) == 0:
		return "-"
	case t.Validated:
		return "enforced"
	}
	return "yes"
}

func newEventTypesShow(f *eventTypesFlags) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one event type with its schema and example",
		Example: `  edgerelay event-types show order.paid
  edgerelay event-types show order.paid --json | jq .example`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if _, err := c.do(cmd.Context(), "GET", eventTypePath(args[0], tenant), nil, &raw); err != nil {
				return err
			}
			if f.json {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
				return err
			}
			return showEventType(cmd.OutOrStdout(), raw)
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose, if several tenants have a type of this name")
	return cmd
}

func showEventType(out io.Writer, raw []byte) error {
	var t admin.EventType
	if err := json.Unmarshal(raw, &t); err != nil {
		return fmt.Errorf("read the event type: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "name\t%s\ntenant\t%s\nscope\t%s\norigin\t%s\nschema\t%s\n", oneLine(t.Name), dash(oneLine(t.Tenant)), t.Scope, t.Origin, schemaText(t))
	if t.Description != "" {
		fmt.Fprintf(w, "description\t%s\n", oneLine(t.Description))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"example", t.Example}, {"schema", t.Schema}} {
		var b bytes.Buffer
		if len(part.text) > 0 && json.Indent(&b, part.text, "", "  ") == nil {
			fmt.Fprintf(out, "\n%s:\n%s\n", part.name, printable(b.String()))
		}
	}
	return nil
}
