package deliver

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edgerelay/relay/event"
	"edgerelay/relay/metrics"
	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// ticking is a queue in memory that keeps due times by the clock of a bubble.
type ticking struct {
	queue.Queue
	mu      sync.Mutex
	ready   func(event.WebhookID)
	open    map[event.WebhookID][]*queue.Delivery // first attempts
	due     map[event.WebhookID][]*queue.Delivery
	turn    map[event.WebhookID]bool
	settled map[string]int
	dead    []queue.Failure
	idle    chan struct{}
	pending int
}

func newTicking() *ticking {
	return &ticking{open: map[event.WebhookID][]*queue.Delivery{}, due: map[event.WebhookID][]*queue.Delivery{}, turn: map[event.WebhookID]bool{},
		settled: map[string]int{}, idle: make(chan struct{}, 1)}
}

// add puts n events of size bytes in for w.
func (q *ticking) add(w *webhooks.Webhook, prefix string, n, size int) {
	q.mu.Lock()
	for i := range n {
		id := fmt.Sprintf("%s%d", prefix, i)
		env := []byte(`{"id":"` + id + `","type":"a.b","time":"2026-01-02T03:04:05Z","data":"` + strings.Repeat("x", size) + `"}`)
		q.open[w.ID] = append(q.open[w.ID], &queue.Delivery{Webhook: w.ID, Buf: env, Event: event.Event{ID: []byte(id), Type: []byte("a.b"), Tenant: []byte(w.Tenant),
			Envelope: env, Data: env[len(env)-size-3 : len(env)-1], Time: env[33:53], Accepted: time.Now().UnixMicro()}})
	}
	q.pending += n
	q.mu.Unlock()
	q.ready(w.ID)
}

func (q *ticking) Lease(w event.WebhookID, d *queue.Delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := q.open
	if q.turn[w] = !q.turn[w]; len(q.open[w]) == 0 || q.turn[w] && len(q.due[w]) > 0 {
		from = q.due
	}
	if len(from[w]) == 0 {
		return false
	}
	next := from[w][0]
	from[w] = from[w][1:]
	order := d.Order
	*d = *next
	d.Order, d.Handle.Kind, d.More = order, 1, len(q.open[w])+len(q.due[w]) > 0
	return true
}

func (q *ticking) Retry(d *queue.Delivery, due time.Time, f queue.Failure) {
	again := *d
	if again.Attempts++; again.First == 0 {
		again.First = f.At
	}
	time.AfterFunc(time.Until(due), func() {
		q.mu.Lock()
		q.due[again.Webhook] = append(q.due[again.Webhook], &again)
		q.mu.Unlock()
		q.ready(again.Webhook)
	})
}

func (q *ticking) settle(d *queue.Delivery) {
	q.settled[string(d.Event.ID)]++
	if q.pending--; q.pending == 0 {
		select {
		case q.idle <- struct{}{}:
		default:
		}
	}
}

func (q *ticking) Ack(d *queue.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle(d)
}

func (q *ticking) Bury(d *queue.Delivery, f queue.Failure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dead = append(q.dead, f)
	q.settle(d)
}

func (q *ticking) Park(event.WebhookID) {}

// walk is a Deliverer in a bubble, with receivers in memory.
type walk struct {
	t *testing.T
	q *ticking
	d *Deliverer
}

// newWalk makes one for hooks; answer is what a receiver does with a request.
func newWalk(t *testing.T, o Options, answer func(w *webhooks.Webhook, id string) (status int, header string), hooks ...*webhooks.Webhook) *walk {
	w := &walk{t: t, q: newTicking()}
	o.Queue, o.Metrics, o.Log = w.q, metrics.New(), slog.New(slog.DiscardHandler)
	w.d = New(o)
	w.q.ready = w.d.Ready
	var targets []Target
	for _, h := range hooks {
		targets = append(targets, Target{Webhook: h})
	}
	w.d.Update(targets)
	for _, h := range hooks {
		w.d.lanes[h.ID].client.http.DialTimeout = func(string, time.Duration) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				r := bufio.NewReader(theirs)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					buf := make([]byte, req.ContentLength)
					for n := 0; n < len(buf); {
						k, err := r.Read(buf[n:])
						if err != nil {
							return
						}
						n += k
					}
					status, header := answer(h, req.Header.Get("webhook-id"))
					fmt.Fprintf(theirs, "HTTP/1.1 %d x\r\nContent-Length: 0\r\n%s\r\n", status, header)
				}
			}()
			return ours, nil
		}
	}
	return w
}

func (w *walk) close() {
	w.t.Helper()
	if err := w.d.Close(context.Background()); err != nil {
		w.t.Error(err)
	}
	<-time.After(time.Hour) // the clients' own goroutines end when their connections have been idle for long
}

func walkHook(t *testing.T, tenant, name string, change func(*webhooks.Webhook)) *webhooks.Webhook {
	def, err := payload.Compile(payload.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	h := &webhooks.Webhook{ID: event.NamedWebhookID(tenant, name), Name: name, Tenant: tenant, URL: template(t, "http://192.0.2.1/"), Host: "192.0.2.1:80", Method: "POST",
		Payload: def, Timeout: 15 * time.Second, Concurrency: 16, Status: webhooks.StatusActive}
	if change != nil {
		change(h)
	}
	return h
}

// TestSchedules: each schedule that the docs and the products ask for, in virtual time, to the nanosecond of its jitter.
func TestSchedules(t *testing.T) {
	h := time.Hour
	grow := func(first time.Duration, factor float64, most time.Duration, n int) (s []time.Duration) {
		for range n {
			s = append(s, min(first, most))
			first = time.Duration(float64(first) * factor)
		}
		return s
	}
	for name, schedule := range map[string][]time.Duration{
		"default":           {5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * h, 5 * h},
		"standard webhooks": {5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h},
		"svix":              {5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * h, 5 * h, 10 * h, 10 * h},
		"exponential":       grow(time.Second, 2, time.Minute, 5),
		"once":              {},
	} {
		for _, random := range []float64{0, 0.25, 0.5, 0.999} {
			const share = 0.2
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				hook := walkHook(t, "t", "w", func(h *webhooks.Webhook) { h.Retry = webhooks.RetryPolicy{Schedule: schedule, Jitter: share} })
				w := newWalk(t, Options{Rand: func() float64 { return random }}, func(*webhooks.Webhook, string) (int, string) {
					at = append(at, time.Now())
					return 500, ""
				}, hook)
				w.q.add(hook, "e", 1, 10)
				<-w.q.idle
				if len(at) != len(schedule)+1 || len(w.q.dead) != 1 {
					t.Errorf("%s: %d attempts, want %d", name, len(at), len(schedule)+1)
				}
				for i, wait := range schedule {
					want := time.Duration(float64(wait) * (1 + share*(2*random-1)))
					if got := at[i+1].Sub(at[i]); got != want {
						t.Errorf("%s, random %v: retry %d after %v, want %v", name, random, i+1, got, want)
					}
				}
				w.close()
			})
		}
	}
}

// TestRetryAfterForms: the number and the three forms of a date each pause the whole webhook, to the second.
func TestRetryAfterForms(t *testing.T) {
	for name, form := range map[string]func(time.Time) string{
		"seconds":     func(at time.Time) string { return fmt.Sprint(int(time.Until(at).Seconds())) },
		"IMF-fixdate": func(at time.Time) string { return at.UTC().Format(http.TimeFormat) },
		"RFC 850":     func(at time.Time) string { return at.UTC().Format("Monday, 02-Jan-06 15:04:05 GMT") },
		"asctime":     func(at time.Time) string { return at.UTC().Format(time.ANSIC) },
	} {
		for _, status := range []int{429, 503} {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Time
				until := time.Now().Add(90 * time.Second)
				hook := walkHook(t, "t", "w", func(h *webhooks.Webhook) {
					h.Retry, h.Concurrency = webhooks.RetryPolicy{Schedule: []time.Duration{time.Second}}, 1
				})
				w := newWalk(t, Options{}, func(*webhooks.Webhook, string) (int, string) {
					at = append(at, time.Now())
					if len(at) == 1 {
						return status, "Retry-After: " + form(until) + "\r\n"
					}
					return 200, ""
				}, hook)
				w.q.add(hook, "e", 2, 10) // the second one has never failed, and waits too
				<-w.q.idle
				if len(at) != 3 || !at[1].Equal(until) || !at[2].Equal(until) {
					t.Errorf("%s, %d: attempts at %v, want the second and third at %v", name, status, at, until)
				}
				w.close()
			})
		}
	}
}

// TestRateLimits: the limits of a webhook, of its tenant and of all hold, and what they do not concern goes on at once.
func TestRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := walkHook(t, "acme", "slow", func(h *webhooks.Webhook) { h.Rate = webhooks.RateLimit(PerSecond(10, time.Second)) })
		a, b := walkHook(t, "acme", "a", nil), walkHook(t, "acme", "b", nil)
		free := walkHook(t, "other", "free", nil)
		start := time.Now()
		count := map[string]int{}
		last := map[string]time.Duration{}
		var mu sync.Mutex
		w := newWalk(t, Options{MaxInFlight: 64}, func(h *webhooks.Webhook, _ string) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			count[h.Name]++
			last[h.Name] = time.Since(start)
			return 200, ""
		}, slow, a, b, free)
		w.d.SetLimits(Limits{Tenants: map[string]Rate{"acme": PerSecond(50, time.Second)}, Rate: PerSecond(1000, time.Second)})
		w.q.add(slow, "s", 30, 10)
		w.q.add(a, "a", 200, 10)
		w.q.add(b, "b", 200, 10)
		w.q.add(free, "f", 900, 10)
		<-w.q.idle
		if count["slow"] != 30 || count["a"] != 200 || count["b"] != 200 || count["free"] != 900 {
			t.Errorf("delivered %v", count)
		}
		within := func(name string, low, high time.Duration) {
			t.Helper()
			if last[name] < low || last[name] > high {
				t.Errorf("the last of %s went after %v, want %v to %v", name, last[name], low, high)
			}
		}
		within("slow", 1900*time.Millisecond, 3*time.Second) // 10 at once, 20 at 10/s
		within("a", 7*time.Second, 8*time.Second)            // 430 of the tenant at 50/s, 50 at once
		within("b", 7*time.Second, 8*time.Second)
		within("free", 0, 400*time.Millisecond)
		w.close()
	})
}

// TestTurnsOfTenants: one tenant has ten times the webhooks, events, and bytes of another; the other gets its turn all the same.
func TestTurnsOfTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hooks []*webhooks.Webhook
		for i := range 20 {
			hooks = append(hooks, walkHook(t, "flood", fmt.Sprint("w", i), nil))
		}
		quiet := walkHook(t, "quiet", "w", nil)
		start := time.Now()
		var mu sync.Mutex
		last := map[string]time.Duration{}
		w := newWalk(t, Options{MaxInFlight: 8}, func(h *webhooks.Webhook, _ string) (int, string) {
			<-time.After(10 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			last[h.Tenant] = time.Since(start)
			return 200, ""
		}, append(hooks, quiet)...)
		for _, h := range hooks {
			w.q.add(h, h.Name, 100, 8<<10)
		}
		w.q.add(quiet, "q", 50, 10)
		<-w.q.idle
		// 8 at a time, 10 ms each: 2,050 take 2.5 s. With a large event for three small ones the quiet one could be done in a tenth of it.
		if last["quiet"] > 700*time.Millisecond {
			t.Errorf("the quiet tenant waited %v, the flood took %v", last["quiet"], last["flood"])
		}
		w.close()
	})
}

// TestRetryStormLeavesRoom: a webhook with a thousand retries due at once makes first attempts in turn with them.
func TestRetryStormLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := walkHook(t, "t", "w", func(h *webhooks.Webhook) { h.Retry = webhooks.RetryPolicy{Schedule: []time.Duration{time.Minute}} })
		storm, fresh := true, 0
		var mu sync.Mutex
		var lastFresh, lastRetry int // by the number of requests made since the storm began
		requests := 0
		w := newWalk(t, Options{}, func(_ *webhooks.Webhook, id string) (int, string) {
			<-time.After(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if storm {
				return 404, "" // which opens no circuit
			}
			requests++
			if strings.HasPrefix(id, "fresh") {
				fresh++
				lastFresh = requests
			} else {
				lastRetry = requests
			}
			return 200, ""
		}, hook)
		w.q.add(hook, "storm", 1000, 10)
		<-time.After(30 * time.Second)
		mu.Lock()
		storm = false
		mu.Unlock()
		<-time.After(29*time.Second + 999*time.Millisecond)
		w.q.add(hook, "fresh", 200, 10)
		<-w.q.idle
		if fresh != 200 || lastFresh > 450 || lastRetry < 1000 {
			t.Errorf("%d first attempts, the last was request %d; the last retry was request %d", fresh, lastFresh, lastRetry)
		}
		w.close()
	})
}

// TestDisabledAfterDaysOfFailures: five days of nothing but failures disable a webhook; a success in between, or a restart, changes what it should.
func TestDisabledAfterDaysOfFailures(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name    string
		good    time.Duration // a success at this time, 0 = none
		before  Failing       // what a restart remembers, Since as an offset
		want    time.Duration
		disable time.Duration
	}{
		{"five days", 0, Failing{}, 5 * day, 5 * day},
		{"a success", 3 * day, Failing{}, 8 * day, 5 * day},
		{"never", 0, Failing{}, 0, 0},
		{"over a restart", 0, Failing{Since: time.Time{}.Add(-4 * day), Count: 50}, day, 5 * day},
	} {
		synctest.Test(t, func(t *testing.T) {
			hook := walkHook(t, "t", "w", nil)
			start := time.Now()
			var at, saved atomic.Int64
			w := newWalk(t, Options{Disable: func(_ *webhooks.Webhook, reason string) {
				at.Store(int64(time.Since(start)))
				if !strings.Contains(reason, "120h") {
					t.Errorf("reason %q", reason)
				}
			}, Failing: func(event.WebhookID) { saved.Add(1) }}, func(*webhooks.Webhook, string) (int, string) {
				if since := time.Since(start); c.good > 0 && since >= c.good && since < c.good+time.Minute {
					return 200, ""
				}
				return 500, ""
			}, hook)
			w.d.SetLimits(Limits{DisableAfter: c.disable})
			if c.before.Count > 0 {
				w.d.mu.Lock()
				w.d.lanes[hook.ID].failing = failing{since: start.Add(-4 * day), count: c.before.Count, saved: start.Add(-4 * day)}
				w.d.mu.Unlock()
			}
			for i := 0; i < 10*24 && at.Load() == 0; i++ {
				w.q.add(hook, fmt.Sprint("e", i, "-"), 1, 10)
				<-time.After(time.Hour)
			}
			disabled := time.Duration(at.Load())
			if d := disabled - c.want; c.want == 0 && disabled != 0 || c.want > 0 && (d < 0 || d > 2*time.Hour) {
				t.Errorf("%s: disabled after %v, want %v", c.name, disabled, c.want)
			}
			if saved.Load() == 0 {
				t.Errorf("%s: nothing was remembered", c.name)
			}
			if c.want > 0 {
				if info := w.d.Lanes()[0]; info.State != Disabled || info.Reason == "" {
					t.Errorf("%s: %+v", c.name, info)
				}
			}
			w.close()
		})
	}
}
