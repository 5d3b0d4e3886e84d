package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/admin"
)

func newTailCommand() *cobra.Command {
	var f clientFlags
	var asJSON bool
	var most int
	filter := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show attempts as they happen",
		Long: "Show every attempt at a delivery as it is made, until Ctrl-C. When the connection breaks it is made again; what happens\n" +
			"meanwhile is not shown. A reader that is slow never holds a delivery up: it misses some, and says how many.",
		Example: `  edgerelay tail
  edgerelay tail --status failed
  edgerelay tail --type 'order.*' --json | jq .detail`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			q := url.Values{}
			for name, v := range filter {
				if *v != "" {
					q.Set(name, *v)
				}
			}
			ctx := cmd.Context()
			if ctx == nil {
				ctx = context.Background()
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			t := &tail{client: c, out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), json: asJSON, left: most}
			return t.follow(ctx, "/api/v1/stream?"+q.Encode())
		},
	}
	f.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	cmd.Flags().IntVarP(&most, "number", "n", 0, "end after so many attempts (0 = do not)")
	for name, usage := range map[string]string{"webhook": "only attempts of the webhook with this id", "event": "only attempts of the event with this id",
		"type": "only attempts of events of this type; * stands for any run of characters", "tenant": "only attempts of this tenant",
		"program": "only attempts of events of this program", "status": "only attempts that ended so: delivered, dropped, retrying, dead, or failed (retrying and dead)"} {
		filter[name] = cmd.Flags().String(name, "", usage)
	}
	return cmd
}

// tail prints a stream.
type tail struct {
	client *client
	out    io.Writer
	notes  io.Writer
	json   bool
	left   int // attempts to print; 0 at the beginning = no end
	seen   bool
}

var errTailDone = errors.New("printed all that were asked for")

// follow reads the stream, again and again, until ctx ends. Only the first connection must succeed.
func (t *tail) follow(ctx context.Context, path string) error {
	wait := time.Second
	for {
		err := t.read(ctx, path)
		if errors.Is(err, errTailDone) || ctx.Err() != nil {
			return nil
		}
		if !t.seen {
			return err
		}
		if err == nil {
			err = errors.New("the relay ended the stream")
			wait = time.Second
		}
		fmt.Fprintf(t.notes, "%v; trying again in %s\n", err, wait)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
}

// silence is how long a stream may say nothing before it is taken for dead: the relay says something every 15 seconds.
const silence = 45 * time.Second

func (t *tail) read(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.client.base+path, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if t.client.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.client.token)
	}
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	endless := *t.client.http
	endless.Timeout = 0 // a stream has no end
	res, err := endless.Do(req)
	if err != nil {
		return t.client.unreachable(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return t.client.refused("GET", path, res, text)
	}
	t.seen = true
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		watchdog.Reset(silence)
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		} else if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := t.print(event, data); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return nil
}

func (t *tail) print(event, data string) error {
	switch event {
	case "dropped":
		var d struct{ Count int64 }
		if err := json.Unmarshal([]byte(data), &d); err == nil {
			fmt.Fprintf(t.notes, "%d attempts were left out: this reader is too slow\n", d.Count)
		}
		return nil
	case "attempt":
	default:
		return nil // of a later version
	}
	var err error
	if t.json {
		_, err = fmt.Fprintln(t.out, data)
	} else {
		var a admin.Attempt
		if err = json.Unmarshal([]byte(data), &a); err != nil {
			return fmt.Errorf("the stream holds something that is not an attempt: %w", err)
		}
		_, err = fmt.Fprintln(t.out, attemptLine(&a))
	}
	if err != nil {
		return err
	}
	if t.left--; t.left == 0 {
		return errTailDone
	}
	return nil
}

// attemptLine is one attempt for people.
func attemptLine(a *admin.Attempt) string {
	answer := a.Reason
	if a.HTTPStatus != 0 {
		answer = fmt.Sprint(a.HTTPStatus)
	}
	line := fmt.Sprintf("%s  %-9s  %-9s  %s  %s → %s  #%d  %.1f ms", a.At.Format("15:04:05.000"), a.Status, answer, a.Delivery, a.Type, a.WebhookName, a.Number, a.DurationMS)
	if a.Mark != "" {
		line += "  (" + a.Mark + ")"
	}
	if a.Status != "delivered" && a.Detail != "" {
		line += "  " + a.Detail
	}
	return printable(line)
}
