package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// deliveriesFlags are the flags of all `deliveries` commands.
type deliveriesFlags struct {
	clientFlags
	json bool
}

func newDeliveriesCommand() *cobra.Command {
	var f deliveriesFlags
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "List, show, retry, redrive and purge deliveries",
		Long: "A delivery is one event for one webhook. These commands show the ones that wait for their next attempt (retrying)\n" +
			"or were given up (dead), and what the history knows of the others, through the management API.",
		Example: `  edgerelay deliveries ls --status dead
  edgerelay deliveries show dl_00000000000000000000000000
  edgerelay deliveries retry dl_00000000000000000000000000`,
	}
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON, one object per line")
	return group(cmd, newDeliveriesList(&f), newDeliveriesShow(&f), newDeliveriesRetry(&f), newDeliveriesRedrive(&f), newDeliveriesPurge(&f))
}

func newDeliveriesList(f *deliveriesFlags) *cobra.Command {
	var status, webhook, eventID, cursor string
	var limit int
	var all bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List deliveries, newest first",
		Example: `  edgerelay deliveries ls
  edgerelay deliveries ls --status dead --all --json | jq -r .id
  edgerelay deliveries ls --event we_01jf2wkmvcfw6ts1qmgzya291c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, v := range map[string]string{"status": status, "webhook": webhook, "event": eventID, "cursor": cursor} {
				if v != "" {
					q.Set(name, v)
				}
			}
			return listDeliveries(cmd, c, q, all, f.json)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only those that are retrying, dead, delivered or dropped")
	cmd.Flags().StringVar(&webhook, "webhook", "", "only those of this webhook (wh_…)")
	cmd.Flags().StringVar(&eventID, "event", "", "only those of this event")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many per page, at most 500")
	cmd.Flags().StringVar(&cursor, "cursor", "", "go on where the page before ended")
	cmd.Flags().BoolVar(&all, "all", false, "go through all pages")
	return cmd
}

// listDeliveries prints one page, or page after page as they come.
func listDeliveries(cmd *cobra.Command, c *client, q url.Values, all, asJSON bool) error {
	header := "ID\tSTATUS\tATTEMPTS\tWEBHOOK\tTYPE\tEVENT\tNEXT\tLAST FAILURE\n"
	return printList(cmd, c, "/api/v1/deliveries", q, all, asJSON, header, func(out io.Writer, d *admin.Delivery) {
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", oneLine(d.ID), oneLine(d.Status), d.Attempts, oneLine(webhookLabel(*d)),
			oneLine(d.Type), oneLine(d.Event), when(d.NextAttempt), oneLine(failureLabel(d.LastFailure)))
	})
}

func newDeliveriesShow(f *deliveriesFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one delivery with its event and last failure",
		Example: "  edgerelay deliveries show dl_00000000000000000000000000",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			path, err := deliveryPath(args[0])
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if _, err := c.do(cmd.Context(), "GET", path, nil, &raw); err != nil {
				return err
			}
			if f.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(raw))
				return nil
			}
			return showDelivery(cmd, raw)
		},
	}
}

func showDelivery(cmd *cobra.Command, raw []byte) error {
	var d admin.DeliveryDetail
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read the delivery: %w", err)
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"delivery", d.ID}, {"status", d.Status}, {"webhook", webhookLabel(d.Delivery)}, {"webhook id", d.Webhook}, {"tenant", d.Tenant},
		{"program", d.Program}, {"event", d.Event}, {"type", d.Type}, {"accepted", when(d.AcceptedAt)}, {"attempts", strconv.Itoa(d.Attempts)},
		{"first attempt", when(d.FirstAttempt)}, {"next attempt", when(d.NextAttempt)}, {"last failure", failureLabel(d.LastFailure)},
	} {
		if line[1] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", line[0], oneLine(line[1]))
		}
	}
	if d.LastFailure != nil {
		fmt.Fprintf(tw, "failed at\t%s\n", when(d.LastFailure.At))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(d.Envelope) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "\n%s\n", printable(pretty(d.Envelope)))
	}
	if len(d.AttemptsMade) > 0 {
		fmt.Fprintln(cmd.OutOrStdout())
		showAttempts(cmd.OutOrStdout(), d.AttemptsMade)
	}
	return nil
}

func newDeliveriesRetry(f *deliveriesFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID...",
		Short: "Make deliveries due now, with a fresh retry budget",
		Example: `  edgerelay deliveries retry dl_00000000000000000000000000
  edgerelay deliveries ls --status dead --all --json | jq -r .id | xargs edgerelay deliveries retry`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			var paths []string
			for _, id := range args { // all are checked before the first is touched
				path, err := deliveryPath(id)
				if err != nil {
					return err
				}
				paths = append(paths, path+"/retry")
			}
			for i, path := range paths {
				if _, err := c.do(cmd.Context(), "POST", path, nil, nil); err != nil {
					return fmt.Errorf("after %d of %d: %w", i, len(paths), err)
				}
				if f.json {
					fmt.Fprintf(cmd.OutOrStdout(), "{\"id\":%q}\n", args[i])
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s will be tried again now\n", args[i])
				}
			}
			return nil
		},
	}
}

// deliveryPath checks an id before it becomes part of a URL.
func deliveryPath(id string) (string, error) {
	if _, err := event.ParseDeliveryID(id); err != nil {
		return "", &exitError{exitUsage, err}
	}
	return "/api/v1/deliveries/" + id, nil
}

func webhookLabel(d admin.Delivery) string {
	if d.WebhookName != "" {
		return d.WebhookName
	}
	return d.Webhook
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func failureLabel(f *admin.Failure) string {
	if f == nil {
		return ""
	}
	label := f.Reason
	if f.HTTPStatus != 0 {
		label += " " + strconv.Itoa(f.HTTPStatus)
	}
	if f.Detail != "" {
		label += ": " + f.Detail
	}
	return label
}
