package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// outgoing is the event that `send` builds; its order is that of the contract.
type outgoing struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Tenant  string          `json:"tenant,omitempty"`
	Program string          `json:"program,omitempty"`
	Data    json.RawMessage `json:"data"`
}

// sendFlags are the flags of `send`.
type sendFlags struct {
	clientFlags
	event outgoing
	data  string
	count int
	rate  float64
}

func newSendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send",
		Short: "Send an event to the relay and print its id",
		Long: "Send one event, or several, to the relay's ingress. Each accepted event's id is printed on a line of its own,\n" +
			"once the relay has stored it durably.",
		Example: `  edgerelay send --type recognition.complete --data '{"points": 25}'
  edgerelay send --type order.paid --data @order.json --token "$SHOP_TOKEN"
  jq .order big.json | edgerelay send --type order.paid --data -
  edgerelay send --type test.load --count 1000 --rate 200`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.clientFlags.add(cmd, "http://127.0.0.1:8080", "EDGERELAY_TOKEN", "relay's ingress")
	fl := cmd.Flags()
	fl.StringVar(&f.event.Type, "type", "test.ping", "type of the event")
	fl.StringVar(&f.data, "data", "{}", "the event's data: JSON, @file, or - for the standard input")
	fl.StringVar(&f.event.ID, "id", "", "id of the event (default: the relay makes one); with --count, the start of each id")
	fl.StringVar(&f.event.Tenant, "tenant", "", "tenant of the event, for a relay whose token does not say it")
	fl.StringVar(&f.event.Program, "program", "", "program of the event")
	fl.IntVar(&f.count, "count", 1, "how many events to send")
	fl.Float64Var(&f.rate, "rate", 0, "at most so many events per second (default: one after the other, no pause)")
	return cmd
}

func (f *sendFlags) run(cmd *cobra.Command) error {
	if f.count < 1 {
		return usageErrorf("--count must be at least 1")
	}
	if cmd.Flags().Changed("rate") && !(f.rate >= 0.001 && f.rate <= 1e6) {
		return usageErrorf("--rate must be from 0.001 to 1000000")
	}
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	c.base = strings.TrimSuffix(c.base, "/v1/events") // people paste the whole address
	if f.event.Data, err = readData(cmd, f.data); err != nil {
		return err
	}
	if err := checkJSON(f.event.Data); err != nil {
		return usageErrorf("--data is not JSON: %w", err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var tick <-chan time.Time
	if f.rate > 0 {
		t := time.NewTicker(time.Duration(float64(time.Second) / f.rate))
		defer t.Stop()
		tick = t.C
	}
	for i := range f.count {
		if i > 0 && tick != nil {
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped after %d of %d events", i, f.count)
		}
		if err := f.sendOne(ctx, cmd, c, i); err != nil {
			if f.count > 1 {
				return fmt.Errorf("after %d of %d events: %w", i, f.count, err)
			}
			return err
		}
	}
	return nil
}

func (f *sendFlags) sendOne(ctx context.Context, cmd *cobra.Command, c *client, i int) error {
	e := f.event
	if e.ID != "" && f.count > 1 {
		e.ID += "-" + strconv.Itoa(i+1)
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // the data should arrive as it was typed, if without its white space
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	var accepted struct{ ID string }
	header, err := c.do(ctx, "POST", "/v1/events", body.Bytes(), &accepted)
	if err != nil {
		return err
	}
	if accepted.ID == "" {
		return fmt.Errorf("%s answered without an id: it does not seem to be an edgerelay ingress", c.base)
	}
	if header.Get("Idempotent-Replayed") == "true" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s was accepted before; nothing new is delivered\n", printable(accepted.ID))
	}
	fmt.Fprintln(cmd.OutOrStdout(), printable(accepted.ID))
	return nil
}

// checkJSON says where a text stops being one JSON value.
func checkJSON(b []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(b, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s at byte %d", syntax.Error(), syntax.Offset)
	}
	return err
}
