package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/bench"
	"edgerelay/config"
	"edgerelay/relay"
	"edgerelay/relay/event"
)

// demo is one `demo`: a relay and a receiver in this process, and events that go from one to the other over HTTP.
type demo struct {
	length time.Duration // 0 = until Ctrl-C
	rate   float64
	json   bool

	screen   *screen
	ledger   *ledger
	receiver *bench.Receiver
	relay    *relay.Relay
	webhooks []config.Webhook
	ended    chan error // the relay's result
	producer *client
	started  time.Time
}

func newDemoCommand() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what edgerelay does, with everything in one process",
		Long: "Start a relay with five webhooks and a receiver that checks every signature, send sample events through both, and show\n" +
			"what happens. It needs no config and no network, and leaves no file behind. Ctrl-C ends it with a summary.\n\n" +
			"Exit code 0 = every delivery of every accepted event has arrived, with a good signature.",
		Example: `  edgerelay demo
  edgerelay demo --for 10s
  edgerelay demo --for 10s --rate 200 --json | jq .lost`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd) },
	}
	fl := cmd.Flags()
	fl.DurationVar(&d.length, "for", 0, "how long to send events (default: until Ctrl-C)")
	fl.Float64Var(&d.rate, "rate", 20, "events per second, 1 to 1000")
	fl.BoolVar(&d.json, "json", false, "print the result as JSON and nothing else")
	return cmd
}

// demoDrain bounds the wait for the last deliveries: longer than the demo's retry schedule.
const demoDrain = 20 * time.Second

func (d *demo) run(cmd *cobra.Command) error {
	if !(d.rate >= 1 && d.rate <= 1000) {
		return usageErrorf("--rate %v: want 1 to 1000", d.rate)
	}
	if d.length < 0 || cmd.Flags().Changed("for") && d.length == 0 {
		return usageErrorf("--for %v: want a time such as 10s", d.length)
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background() // cobra has none when the command was not started with one
	}
	sending, draining, release := twoSignals(ctx)
	defer release()
	d.screen, d.ledger, d.started = newScreen(cmd.OutOrStdout(), d.json), newLedger(), time.Now()
	dir, err := os.MkdirTemp("", "edgerelay-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	result, err := d.inside(sending, draining, cmd, dir)
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	return d.report(cmd, result)
}

// twoSignals returns a context that ends with the first Ctrl-C, and one that ends with the second.
func twoSignals(parent context.Context) (first, second context.Context, release func()) {
	first, stopFirst := context.WithCancel(parent)
	second, stopSecond := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for _, stop := range []func(){stopFirst, stopSecond} {
			select {
			case <-signals:
				stop()
			case <-second.Done():
				return
			}
		}
	}()
	return first, second, func() { signal.Stop(signals); stopFirst(); stopSecond() }
}

// inside runs the demo with its files in dir and stops everything that it has started.
func (d *demo) inside(sending, draining context.Context, cmd *cobra.Command, dir string) (demoResult, error) {
	if d.length > 0 {
		var cancel context.CancelFunc
		sending, cancel = context.WithTimeout(sending, d.length)
		defer cancel()
	}
	stop, err := d.start(cmd, dir)
	if err != nil {
		return demoResult{}, err
	}
	sending, cancel := context.WithCancel(sending)
	defer cancel()
	var failed error
	watching := make(chan struct{})
	go func() { // a relay that ends by itself ends the demo
		defer close(watching)
		if failed = <-d.ended; failed != nil {
			cancel()
		}
	}()
	d.introduce()
	d.stories(sending)
	d.flow(sending)
	took := time.Since(d.started)
	d.drain(draining)
	stop()
	<-watching
	return d.ledger.result(took), failed
}

// start starts the receiver and the relay. stop ends both.
func (d *demo) start(cmd *cobra.Command, dir string) (stop func(), err error) {
	log, err := demoLog(cmd)
	if err != nil {
		return nil, err
	}
	secrets := newDemoSecrets()
	d.receiver, err = bench.Start(bench.Options{Hooks: secrets.receivers(), MaxIDs: 100_000, OnDelivery: d.ledger.received})
	if err != nil {
		return nil, err
	}
	closeReceiver := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		// Whatever is left of the receiver ends with the process.
		_ = d.receiver.Close(ctx)
	}
	c, err := demoConfig(dir, d.receiver.URL(""), secrets)
	if err != nil {
		closeReceiver()
		return nil, fmt.Errorf("load the demo's config:\n%w", err)
	}
	if d.relay, err = relay.New(context.Background(), relay.Options{Config: c, Log: log, Version: readVersion().Version}); err != nil {
		closeReceiver()
		return nil, err
	}
	d.webhooks = c.Webhooks
	running, end := context.WithCancel(context.Background())
	d.ended = make(chan error, 1)
	go func() { d.ended <- d.relay.Run(running) }()
	d.producer = &client{base: "http://" + d.relay.IngressAddr().String(), log: log, http: &http.Client{
		Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: demoProducers}}}
	return func() {
		d.producer.http.CloseIdleConnections()
		end()
		closeReceiver()
	}, nil
}

// demoLog shows errors only, because failed attempts are part of the show; --log-level shows more.
func demoLog(cmd *cobra.Command) (*slog.Logger, error) {
	if cmd.Flags().Changed("log-level") {
		return logger(cmd)
	}
	format, err := cmd.Flags().GetString("log-format")
	if err != nil {
		return nil, err
	}
	return newLogger(cmd.ErrOrStderr(), "error", format)
}

// send sends one event as a producer would and enters it in the ledger.
func (d *demo) send(id string, s sample) (took time.Duration, err error) {
	body, err := json.Marshal(outgoing{ID: id, Type: s.kind, Data: s.data})
	if err != nil {
		panic("BUG: a sample event does not encode: " + err.Error())
	}
	at := time.Now()
	d.ledger.sending(id, s.to, at)
	_, err = d.producer.do(context.Background(), "POST", "/v1/events", body, nil)
	took = time.Since(at)
	d.ledger.sent(id, took, err)
	return took, err
}

func newEventID() string {
	return string(event.AppendTypeID(nil, event.PrefixEvent, event.NewUUID(time.Now())))
}

// demoProducers is how many events can be on their way into the relay at the same time.
const demoProducers = 16

// flow sends events at the wanted rate until ctx ends.
func (d *demo) flow(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	until := "Ctrl-C ends it"
	if d.length > 0 {
		until = fmt.Sprintf("for %s in all", d.length)
	}
	d.screen.title(fmt.Sprintf("A steady flow: %g events a second, %s", d.rate, until))
	d.screen.line(d.screen.dim("  Every 3 seconds the partner's receiver fails 5 requests. p50: until arrival."))
	jobs := make(chan sample)
	var producers sync.WaitGroup
	for range demoProducers {
		producers.Go(func() {
			for s := range jobs {
				// An error is in the ledger; the summary shows it.
				_, _ = d.send(newEventID(), s)
			}
		})
	}
	d.pace(ctx, jobs)
	close(jobs)
	producers.Wait()
	d.showProgress()
}

// pace hands out events when they are due, and shows the progress in between.
func (d *demo) pace(ctx context.Context, jobs chan<- sample) {
	show, outage := 250*time.Millisecond, 3*time.Second
	if !d.screen.live {
		show = 2 * time.Second
	}
	shows, outages := time.NewTicker(show), time.NewTicker(outage)
	defer shows.Stop()
	defer outages.Stop()
	due := time.NewTimer(0)
	defer due.Stop()
	start, i := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-shows.C:
			d.showProgress()
		case <-outages.C:
			d.fail(5)
		case <-due.C:
			select {
			case jobs <- flowSample(i):
			case <-ctx.Done():
				return
			}
			i++
			due.Reset(time.Until(start.Add(time.Duration(float64(i) / d.rate * float64(time.Second)))))
		}
	}
}

// fail makes the partner's receiver refuse its next requests.
func (d *demo) fail(times int) {
	answers := []bench.Answer{{Times: times, Status: http.StatusServiceUnavailable}}
	if times == 0 {
		answers = nil
	}
	if err := d.receiver.Answer(flaky, answers...); err != nil {
		panic("BUG: " + err.Error())
	}
}

func (d *demo) showProgress() {
	r := d.ledger.result(time.Since(d.started))
	d.screen.progress(fmt.Sprintf("  %4.0f s  %5d sent  %5d delivered  %3d waiting  %4d retries  %s p50", r.Seconds, r.Accepted, r.Deliveries, r.Lost,
		r.Retries, millis(r.EndToEnd.P50)))
}

// drain waits for what is still under way.
func (d *demo) drain(ctx context.Context) {
	d.fail(0)
	ctx, cancel := context.WithTimeout(ctx, demoDrain)
	defer cancel()
	// Whatever has not come when the time is over is reported as lost.
	_ = d.receiver.Wait(ctx, "", func(bench.Counts) bool { return d.ledger.complete() })
}

// report prints the result and turns losses into an exit code.
func (d *demo) report(cmd *cobra.Command, r demoResult) error {
	if d.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(r); err != nil {
			return err
		}
	}
	d.screen.summary(r)
	d.screen.next()
	var faults []string
	for _, f := range []struct {
		n    int64
		what string
	}{{r.Lost, "lost"}, {r.BadSignatures, "with a bad signature"}} {
		if f.n > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	if len(faults) > 0 {
		return errors.New("deliveries: " + strings.Join(faults, ", "))
	}
	return nil
}
