package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// printList prints one page of a list of the API, or with all page after page as they come: as a table below header, or one JSON object per line. It
// says when there are more, and how far back a search got that took too long.
func printList[T any](cmd *cobra.Command, c *client, path string, q url.Values, all, asJSON bool, header string, row func(out io.Writer, item *T)) error {
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for {
		var page struct {
			Items      []json.RawMessage `json:"items"`
			NextCursor string            `json:"next_cursor"`
			Reached    time.Time         `json:"reached_at"`
		}
		if _, err := c.do(cmd.Context(), "GET", path+"?"+q.Encode(), nil, &page); err != nil {
			return err
		}
		for _, text := range page.Items {
			if asJSON {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
				continue
			}
			var item T
			if err := json.Unmarshal(text, &item); err != nil {
				return fmt.Errorf("read an entry of the list: %w", err)
			}
			io.WriteString(out, header)
			header = "" // once, and not above an empty list
			row(out, &item)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if page.NextCursor == "" || !all {
			if !page.Reached.IsZero() {
				fmt.Fprintf(cmd.ErrOrStderr(), "the search took long and got as far back as %s\n", when(page.Reached))
			}
			if page.NextCursor != "" {
				moreHint(cmd, page.NextCursor)
			}
			return nil
		}
		q.Set("cursor", page.NextCursor)
	}
}

func moreHint(cmd *cobra.Command, cursor string) {
	hint := "there are more: --all"
	if cmd.Flags().Lookup("cursor") != nil {
		hint += ", or --cursor " + printable(cursor)
	}
	fmt.Fprintln(cmd.ErrOrStderr(), hint)
}
