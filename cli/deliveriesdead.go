package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newDeliveriesRedrive(f *deliveriesFlags) *cobra.Command {
	return newDeadJob(f, "redrive", "Make every dead delivery due again that matches",
		"Make dead deliveries due again, with a fresh retry budget: a job that the relay runs, also over a restart. Those that die\n"+
			"again are not made due twice.",
		`  edgerelay deliveries redrive --status dead --webhook wh_01jf2wkmvcfw6ts1qmgzya291c
  edgerelay deliveries redrive --reason timeout --since 24h --dry-run`)
}

func newDeliveriesPurge(f *deliveriesFlags) *cobra.Command {
	return newDeadJob(f, "purge", "Remove every dead delivery for good that matches",
		"Remove dead deliveries from the queue. What the history remembers of them stays.",
		`  edgerelay deliveries purge --reason no_webhook --dry-run
  edgerelay deliveries purge --webhook wh_01jf2wkmvcfw6ts1qmgzya291c --until 720h`)
}

func newDeadJob(f *deliveriesFlags, kind, short, long, example string) *cobra.Command {
	var w window
	var dry, detach, all bool
	var rate int
	var status string
	filter := map[string]*string{}
	cmd := &cobra.Command{
		Use: kind, Short: short, Long: long, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status != "" && status != "dead" {
				return &exitError{exitUsage, fmt.Errorf("--status %s: only dead deliveries can be %sd by a filter", status, kind)}
			}
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			from, to, err := w.times(time.Now())
			if err != nil {
				return err
			}
			body := map[string]any{"dry_run": dry}
			given := false
			for name, v := range filter {
				if *v != "" {
					body[name], given = *v, true
				}
			}
			for name, at := range map[string]time.Time{"from": from, "to": to} {
				if !at.IsZero() {
					body[name], given = at, true
				}
			}
			if !given && !all && status == "" {
				return &exitError{exitUsage, errors.New("give flags that say which deliveries, or --all")}
			}
			if rate != 0 {
				body["rate"] = rate
			}
			return runJob(cmd, c, f.json, detach, "/api/v1/deliveries/"+kind, body)
		},
	}
	for name, usage := range map[string]string{"webhook": "only those of the webhook with this id", "event": "only those of the event with this id", "type": "only those of this event type",
		"program": "only those of this program", "reason": "only those that died for this reason, such as timeout or status"} {
		filter[name] = cmd.Flags().String(name, "", usage)
	}
	w.add(cmd, "those that died")
	fl := cmd.Flags()
	fl.StringVar(&status, "status", "", "dead: all dead ones")
	fl.IntVar(&rate, "rate", 0, "at most so many per second (default 1000)")
	fl.BoolVar(&dry, "dry-run", false, "only say how many it would be")
	fl.BoolVar(&all, "all", false, "every dead delivery")
	fl.BoolVar(&detach, "detach", false, "start the job and do not wait for it")
	return cmd
}
