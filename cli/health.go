package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func newHealthCommand() *cobra.Command {
	var f clientFlags
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running relay whether it is well, for health checks of containers",
		Long: "Ask /healthz of a relay: exit code 0 = it is well, 1 = it is not, or does not answer within three seconds. With --ready ask\n" +
			"/readyz: whether producers should be sent to it.",
		Example: `  edgerelay health
  edgerelay health --ready --url http://127.0.0.1:8080`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			ctx := cmd.Context()
			if ctx == nil {
				ctx = context.Background()
			}
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			return checkHealth(ctx, cmd.OutOrStdout(), c, path)
		},
	}
	f.add(cmd, "http://127.0.0.1:8080", "EDGERELAY_TOKEN", "relay; either listener will do")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether producers should be sent to it")
	return cmd
}

func checkHealth(ctx context.Context, out io.Writer, c *client, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("no answer in time")
		}
		return c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return c.refused("GET", path, res, text)
	}
	fmt.Fprintln(out, "ok")
	return nil
}
