package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
)

// runJob starts a job, or counts what it would do, and shows how far it is until it has ended.
func runJob(cmd *cobra.Command, c *client, asJSON, detach bool, path string, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var started struct {
		Job   *admin.Job      `json:"job"`
		Count *admin.JobCount `json:"count"`
	}
	if _, err := c.do(cmd.Context(), "POST", path, text, &started); err != nil {
		return err
	}
	switch {
	case started.Count != nil:
		return showCount(cmd, asJSON, started.Count)
	case started.Job == nil:
		return fmt.Errorf("the relay has answered without a job")
	case detach:
		return showJob(cmd, asJSON, started.Job)
	}
	return followJob(cmd, c, asJSON, started.Job)
}

func showCount(cmd *cobra.Command, asJSON bool, n *admin.JobCount) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(n)
	}
	more := ""
	if !n.Complete {
		more = " so far; there are more"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d match%s%s\n", n.Matched, more, skippedText(n.Skipped))
	for _, id := range n.Examples {
		fmt.Fprintf(cmd.OutOrStdout(), "  %s\n", oneLine(id))
	}
	if int64(len(n.Examples)) < n.Matched {
		fmt.Fprintln(cmd.OutOrStdout(), "  …")
	}
	return nil
}

func skippedText(skipped map[string]int64) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		parts = append(parts, fmt.Sprintf("%d %s", skipped[reason], oneLine(reason)))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", left out: " + strings.Join(parts, ", ")
}

// followJob asks once a second. An interrupt leaves the job running.
func followJob(cmd *cobra.Command, c *client, asJSON bool, j *admin.Job) error {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	last := ""
	for wait := 50 * time.Millisecond; j.Status == "running"; wait = min(2*wait, time.Second) {
		select {
		case <-interrupted:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s goes on: edgerelay jobs show %s\n", j.ID, j.ID)
			return nil
		case <-time.After(wait):
		}
		if _, err := c.do(cmd.Context(), "GET", "/api/v1/jobs/"+j.ID, nil, j); err != nil {
			return err
		}
		if line := fmt.Sprintf("%s: %d of %d found so far%s%s", j.Kind, j.Done, j.Matched, skippedText(j.Skipped), noteText(j.Note)); line != last && !asJSON && wait >= time.Second {
			fmt.Fprintln(cmd.ErrOrStderr(), line)
			last = line
		}
	}
	if err := showJob(cmd, asJSON, j); err != nil {
		return err
	}
	if j.Status == "failed" {
		return fmt.Errorf("the job has failed: %s", oneLine(j.Note))
	}
	return nil
}

func noteText(note string) string {
	if note == "" {
		return ""
	}
	return "; " + oneLine(note)
}

func showJob(cmd *cobra.Command, asJSON bool, j *admin.Job) error {
	out := cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(out).Encode(j)
	}
	fmt.Fprintf(out, "%s %s: %s, %d done of %d found%s%s\n", oneLine(j.ID), oneLine(j.Kind), oneLine(j.Status), j.Done, j.Matched, skippedText(j.Skipped), noteText(j.Note))
	if r := j.Receipt; r != nil {
		fmt.Fprintf(out, "  condition (SHA-256)     %s\n  events                  %d\n  records of the history  %d\n  dead deliveries         %d\n  still waiting, kept     %d\n  could not be examined   %d\n",
			oneLine(r.Condition), r.Events, r.Records, r.Dead, r.Waiting, r.Unexamined)
		for _, id := range r.EventIDs {
			fmt.Fprintf(out, "  erased %s\n", oneLine(id))
		}
	}
	return nil
}

// jobPath makes an id a part of a URL.
func jobPath(id string) string { return "/api/v1/jobs/" + url.PathEscape(id) }

func newJobsCommand() *cobra.Command {
	var f clientFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List, watch and cancel what was started: replays, redrives, purges, erasures",
		Example: `  edgerelay jobs ls
  edgerelay jobs show jb_01jf2wkmvcfw6ts1qmgzya291c
  edgerelay jobs cancel jb_01jf2wkmvcfw6ts1qmgzya291c`,
	}
	f.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	one := func(use, short, method, suffix string, follow bool) *cobra.Command {
		return &cobra.Command{Use: use + " ID", Short: short, Example: "  edgerelay jobs " + use + " jb_01jf2wkmvcfw6ts1qmgzya291c", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				c, err := f.client(cmd)
				if err != nil {
					return err
				}
				var j admin.Job
				if _, err := c.do(cmd.Context(), method, jobPath(args[0])+suffix, nil, &j); err != nil {
					return err
				}
				if follow {
					return followJob(cmd, c, asJSON, &j)
				}
				return showJob(cmd, asJSON, &j)
			}}
	}
	ls := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List jobs, newest first", Example: "  edgerelay jobs ls", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			var list struct{ Items []admin.Job }
			if _, err := c.do(cmd.Context(), "GET", "/api/v1/jobs", nil, &list); err != nil {
				return err
			}
			for i := range list.Items {
				if err := showJob(cmd, asJSON, &list.Items[i]); err != nil {
					return err
				}
			}
			return nil
		}}
	return group(cmd, ls, one("show", "Show how far a job is", "GET", "", false), one("watch", "Show how far a job is until it has ended", "GET", "", true),
		one("cancel", "End a job; what it has done stays done", "POST", "/cancel", false))
}
