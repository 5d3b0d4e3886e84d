package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
)

// eventsFlags are the flags of all `events` commands.
type eventsFlags struct {
	clientFlags
	json bool
}

func newEventsCommand() *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List and search accepted events, show what became of one, send events again",
		Long: "What the relay remembers of events and of every attempt to deliver them, through the management API. How long\n" +
			"is said by the section history of the configuration.",
		Example: `  edgerelay events ls --since 1h --type order.paid
  edgerelay events show we_01jf2wkmvcfw6ts1qmgzya291c
  edgerelay events replay --type order.paid --since 1h --dry-run`,
	}
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON, one object per line")
	return group(cmd, newEventsList(&f), newEventsShow(&f), newEventsReplay(&f))
}

// window is a span of time, as flags.
type window struct{ since, until string }

func (w *window) add(cmd *cobra.Command, of string) {
	cmd.Flags().StringVar(&w.since, "since", "", "only "+of+" since then: a duration back from now, such as 1h, or a time such as 2026-11-24T10:00:00Z")
	cmd.Flags().StringVar(&w.until, "until", "", "only "+of+" until then, in the same forms")
}

// times resolves the flags; zero times are open ends.
func (w *window) times(now time.Time) (from, to time.Time, err error) {
	for _, f := range []struct {
		name, text string
		out        *time.Time
	}{{"since", w.since, &from}, {"until", w.until, &to}} {
		if f.text == "" {
			continue
		}
		if d, err := time.ParseDuration(f.text); err == nil {
			*f.out = now.Add(-d).UTC()
		} else if *f.out, err = time.Parse(time.RFC3339, f.text); err != nil {
			return from, to, &exitError{exitUsage, fmt.Errorf("--%s: %q is neither a duration such as 1h nor a time such as 2026-11-24T10:00:00Z", f.name, f.text)}
		}
	}
	return from, to, nil
}

func newEventsList(f *eventsFlags) *cobra.Command {
	var limit int
	var all bool
	var w window
	filter := map[string]*string{}
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List accepted events, newest first",
		Example: `  edgerelay events ls --since 10m
  edgerelay events ls --search 'order-17' --since 1h --json | jq -r .id`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			from, to, err := w.times(time.Now())
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, v := range filter {
				if *v != "" {
					q.Set(name, *v)
				}
			}
			for name, at := range map[string]time.Time{"from": from, "to": to} {
				if !at.IsZero() {
					q.Set(name, at.Format(time.RFC3339Nano))
				}
			}
			return listEvents(cmd, c, q, all, f.json)
		},
	}
	for name, usage := range map[string]string{"type": "only events of this type", "program": "only events of this program", "webhook": "only events for the webhook with this id",
		"search": "only events with this text in them", "event": "only the event with this id", "cursor": "go on where the page before ended"} {
		filter[name] = cmd.Flags().String(name, "", usage)
	}
	w.add(cmd, "events")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many per page, at most 500")
	cmd.Flags().BoolVar(&all, "all", false, "go through all pages")
	return cmd
}

func listEvents(cmd *cobra.Command, c *client, q url.Values, all, asJSON bool) error {
	header := "ID\tTYPE\tTENANT\tPROGRAM\tACCEPTED\tBYTES\tWEBHOOKS\n"
	return printList(cmd, c, "/api/v1/events", q, all, asJSON, header, func(out io.Writer, e *admin.Event) {
		var names []string
		for _, w := range e.Webhooks {
			names = append(names, oneLine(nameOr(w.Name, w.ID)))
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", oneLine(e.ID), oneLine(e.Type), oneLine(e.Tenant), oneLine(e.Program), when(e.AcceptedAt), e.Bytes, strings.Join(names, ", "))
	})
}

func nameOr(name, id string) string {
	if name != "" {
		return name
	}
	return id
}

func newEventsShow(f *eventsFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one event, its deliveries and every attempt",
		Example: "  edgerelay events show we_01jf2wkmvcfw6ts1qmgzya291c",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if _, err := c.do(cmd.Context(), "GET", "/api/v1/events/"+url.PathEscape(args[0]), nil, &raw); err != nil {
				return err
			}
			if f.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(raw))
				return nil
			}
			return showEvent(cmd, raw)
		},
	}
}

func showEvent(cmd *cobra.Command, raw []byte) error {
	var e admin.EventDetail
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("read the event: %w", err)
	}
	out := cmd.OutOrStdout()
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{{"event", e.ID}, {"type", e.Type}, {"tenant", e.Tenant}, {"program", e.Program}, {"accepted", when(e.AcceptedAt)}, {"note", e.Note}} {
		if line[1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", line[0], oneLine(line[1]))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if e.Body != nil {
		fmt.Fprintf(out, "\n%s\n", printable(pretty([]byte(*e.Body))))
	}
	for _, d := range e.Deliveries {
		fmt.Fprintf(out, "\n%s to %s: %s\n", oneLine(d.ID), oneLine(nameOr(d.WebhookName, d.Webhook)), oneLine(d.Status))
		showAttempts(out, d.Attempts)
	}
	return nil
}

// showAttempts prints a line for each attempt, and the answers to those that failed.
func showAttempts(out io.Writer, attempts []admin.AttemptDetail) {
	for _, a := range attempts {
		answer := "no answer"
		if a.HTTPStatus != 0 {
			answer = strconv.Itoa(a.HTTPStatus)
		}
		mark := ""
		if a.Mark != "" {
			mark = " (" + oneLine(a.Mark) + ")"
		}
		fmt.Fprintf(out, "  %d%s  %s  %s  %.1f ms  %s", a.Number, mark, when(a.At), answer, a.DurationMS, oneLine(a.Status))
		if a.Detail != "" {
			fmt.Fprintf(out, ": %s", oneLine(a.Detail))
		}
		fmt.Fprintln(out)
		if a.Status != "delivered" && a.Response != nil && a.Response.Body != nil && *a.Response.Body != "" {
			fmt.Fprintf(out, "     %s\n", oneLine(clipText(*a.Response.Body, 200)))
		}
		for line := range strings.Lines(a.TransformLog) {
			fmt.Fprintf(out, "     %s\n", oneLine(strings.TrimSpace(line)))
		}
	}
}

func clipText(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
