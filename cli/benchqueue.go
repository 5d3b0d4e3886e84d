package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/bench"
	"edgerelay/relay/event"
	"edgerelay/relay/queue"
	"edgerelay/relay/queue/badgerq"
)

// queueBench measures the relay's queue alone: many producers, one webhook, every delivery acknowledged at once. It lives here and not in
// package bench, which must not know the engine.
type queueBench struct {
	dir, durability string
	producers, size int
	duration        time.Duration

	queue *badgerq.Queue
	acked atomic.Int64
	want  atomic.Int64  // how many there are to acknowledge; 0 while producers run
	ready chan struct{} // the queue has something; room for one signal
	done  chan struct{} // all are acknowledged; room for one signal
}

func newBenchQueueCommand() *cobra.Command {
	b := queueBench{ready: make(chan struct{}, 1), done: make(chan struct{}, 1)}
	cmd := &cobra.Command{Use: "queue", Hidden: true, Args: cobra.NoArgs, Short: "The relay's queue alone",
		Example: "  edgerelay bench queue --dir /tmp --producers 128",
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := b.run(cmd.Context())
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
		}}
	cmd.Flags().StringVar(&b.dir, "dir", "", "where")
	cmd.Flags().StringVar(&b.durability, "durability", "fsync", "fsync or os")
	cmd.Flags().IntVar(&b.producers, "producers", 128, "how many wait for their events at the same time")
	cmd.Flags().IntVar(&b.size, "size", 1024, "bytes of an event")
	cmd.Flags().DurationVar(&b.duration, "duration", 5*time.Second, "how long")
	return cmd
}

func (b *queueBench) run(ctx context.Context) (result bench.QueueResult, err error) {
	if ctx == nil {
		ctx = context.Background()
	}
	opt := badgerq.DefaultOptions(filepath.Join(b.dir, "queue"))
	opt.Log, opt.Sync = slog.New(slog.DiscardHandler), b.durability == "fsync"
	opt.Ready = func(event.WebhookID) { signalOnce(b.ready) }
	if b.queue, err = badgerq.Open(opt); err != nil {
		return result, fmt.Errorf("open queue: %w", err)
	}
	defer func() { err = errors.Join(err, b.queue.Close()) }()
	w := event.NamedWebhookID("default", "bench")
	stop := make(chan struct{})
	var consumers sync.WaitGroup
	for range 2 {
		consumers.Go(func() { b.consume(w, stop) })
	}
	begin := time.Now()
	n, err := b.produce(ctx, w)
	if b.want.Store(n); err == nil && b.acked.Load() < n {
		select {
		case <-b.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	result = bench.QueueResult{Events: n, Seconds: time.Since(begin).Seconds()}
	close(stop)
	consumers.Wait()
	return result, err
}

// produce appends for the duration and returns how many events that were.
func (b *queueBench) produce(ctx context.Context, w event.WebhookID) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, b.duration)
	defer cancel()
	fields, err := event.Parse([]byte(bench.EventBody(b.size)), make([]byte, 0, event.ScratchSize))
	if err != nil {
		return 0, fmt.Errorf("make event: %w", err)
	}
	e, _ := event.BuildEvent(nil, &fields, []byte("we_01jf2wkmvcfw6ts1qmgzya291c"), time.Now())
	e.Tenant = []byte("default")
	var producers sync.WaitGroup
	var n atomic.Int64
	var failed atomic.Pointer[error]
	for range b.producers {
		producers.Go(func() {
			mine := e
			for ctx.Err() == nil {
				if _, err := b.queue.Append(context.Background(), &mine, []event.WebhookID{w}, nil); err != nil {
					failed.Store(&err)
					return
				}
				n.Add(1)
			}
		})
	}
	producers.Wait()
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("append: %w", *err)
	}
	return n.Load(), nil
}

func (b *queueBench) consume(w event.WebhookID, stop <-chan struct{}) {
	var d queue.Delivery
	for {
		if b.queue.Lease(w, &d) {
			b.queue.Ack(&d)
			if b.acked.Add(1) == b.want.Load() {
				signalOnce(b.done)
			}
			continue
		}
		select {
		case <-b.ready:
		case <-stop:
			return
		}
	}
}

// signalOnce never blocks: a signal that nobody has taken yet is enough.
func signalOnce(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
