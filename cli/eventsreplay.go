package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
)

func newEventsReplay(f *eventsFlags) *cobra.Command {
	var w window
	var dry, detach, all bool
	var rate int
	var typ, program, webhook, status, search, to string
	cmd := &cobra.Command{
		Use:   "replay [ID]",
		Short: "Send one event again, or every event that matches",
		Long: "Send an event again, to the webhooks that it was for, as they are now, or to one (--to). Without an id: every event that\n" +
			"matches the flags and was accepted until now, oldest first, each once; this is a job that the relay runs, also over a\n" +
			"restart. The command shows how far it is; Ctrl-C leaves it running. Receivers see the same webhook-id as before.",
		Example: `  edgerelay events replay we_01jf2wkmvcfw6ts1qmgzya291c
  edgerelay events replay --type 'order.paid' --since 1h --dry-run
  edgerelay events replay --webhook wh_01jf2wkmvcfw6ts1qmgzya291c --status dead --since 24h --rate 50`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return replayOne(cmd, c, f.json, args[0], nameOr(to, webhook), dry)
			}
			from, until, err := w.times(time.Now())
			if err != nil {
				return err
			}
			body := map[string]any{"dry_run": dry}
			given := false
			for name, v := range map[string]string{"type": typ, "program": program, "webhook": webhook, "status": status, "search": search} {
				if v != "" {
					body[name], given = v, true
				}
			}
			for name, at := range map[string]time.Time{"from": from, "to": until} {
				if !at.IsZero() {
					body[name], given = at, true
				}
			}
			if !given && !all {
				return &exitError{exitUsage, errors.New("give the id of an event, or flags that say which events; --all sends everything again")}
			}
			if to != "" {
				body["to_webhook"] = to
			}
			if rate != 0 {
				body["rate"] = rate
			}
			return runJob(cmd, c, f.json, detach, "/api/v1/events/replay", body)
		},
	}
	w.add(cmd, "events")
	fl := cmd.Flags()
	fl.StringVar(&typ, "type", "", "only events of this type")
	fl.StringVar(&program, "program", "", "only events of this program")
	fl.StringVar(&webhook, "webhook", "", "only events for the webhook with this id, and only to it")
	fl.StringVar(&status, "status", "", "only deliveries that ended so: delivered, dropped or dead")
	fl.StringVar(&search, "search", "", "only events with this text in them")
	fl.StringVar(&to, "to", "", "send to the webhook with this id instead")
	fl.IntVar(&rate, "rate", 0, "at most so many events per second (default 1000)")
	fl.BoolVar(&dry, "dry-run", false, "only say how many it would be")
	fl.BoolVar(&all, "all", false, "everything that the history has")
	fl.BoolVar(&detach, "detach", false, "start the job and do not wait for it")
	return cmd
}

func replayOne(cmd *cobra.Command, c *client, asJSON bool, id, to string, dry bool) error {
	body := map[string]any{"dry_run": dry}
	if to != "" {
		body["webhook"] = to
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if _, err := c.do(cmd.Context(), "POST", "/api/v1/events/"+url.PathEscape(id)+"/replay", text, &raw); err != nil {
		return err
	}
	if asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
		return nil
	}
	var a admin.ReplayAnswer
	if err := json.Unmarshal(raw, &a); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	what := "is sent again to"
	if dry {
		what = "would be sent again to"
	}
	for _, d := range a.Deliveries {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s (%s)\n", oneLine(a.Event), what, oneLine(d.WebhookName), oneLine(d.ID))
	}
	return nil
}
