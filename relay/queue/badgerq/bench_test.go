package badgerq

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/queue"
)

// BenchmarkAppendAck is the queue alone: many producers, one webhook, every delivery acknowledged at once.
func BenchmarkAppendAck(b *testing.B) {
	for _, producers := range []int{64, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			opt := DefaultOptions(b.TempDir() + "/q")
			opt.Log = slog.New(slog.DiscardHandler)
			ready := make(chan struct{}, 1)
			opt.Ready = func(event.WebhookID) {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
			q, err := Open(opt)
			if err != nil {
				b.Fatal(err)
			}
			w := event.NamedWebhookID("t", "w")
			var acked atomic.Int64
			stop := make(chan struct{})
			for range 2 {
				go func() {
					var d queue.Delivery
					for {
						if q.Lease(w, &d) {
							q.Ack(&d)
							acked.Add(1)
							continue
						}
						select {
						case <-ready:
						case <-stop:
							return
						}
					}
				}()
			}
			b.ReportAllocs()
			b.SetParallelism(producers / 2)
			env := append([]byte(`{"id":"we_x","type":"t","time":"2026-01-01T00:00:00Z","data":"`), make([]byte, 1024)...)
			b.RunParallel(func(pb *testing.PB) {
				e := event.Event{ID: []byte("we_01jf2wkmvcfw6ts1qmgzya291c"), Type: []byte("t"), Tenant: []byte("default"), Envelope: env, Data: env[50:], Time: env[20:40]}
				for pb.Next() {
					if _, err := q.Append(context.Background(), &e, []event.WebhookID{w}, nil); err != nil {
						b.Error(err)
						return
					}
				}
			})
			for acked.Load() < int64(b.N) {
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
			s := q.Stats()
			b.ReportMetric(float64(s.BytesWritten)/float64(b.N), "bytes/event")
			b.ReportMetric(float64(b.N)/float64(s.Commits), "events/commit")
			close(stop)
			if err := q.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
