package deliver

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestJudge(t *testing.T) {
	policy := webhooks.RetryPolicy{Schedule: []time.Duration{5 * time.Second, 5 * time.Minute}}
	status := func(s int) Outcome { return Outcome{Reason: queue.ReasonStatus, Status: s} }
	after := func(s int, d time.Duration) Outcome { o := status(s); o.RetryAfter = d; return o }
	retry := func(d time.Duration, bad bool) Verdict {
		return Verdict{Action: Retry, Due: epoch.Add(d), Counted: true, Bad: bad}
	}
	paused := func(d, pause time.Duration) Verdict {
		v := retry(d, true)
		v.Pause, v.Jam = pause, true
		return v
	}
	for _, c := range []struct {
		name     string
		o        Outcome
		attempts int
		want     Verdict
	}{
		{"delivered", Outcome{Status: 204}, 0, Verdict{Action: Ack}},
		{"dropped by a transform", Outcome{Reason: queue.ReasonDropped}, 0, Verdict{Action: Ack}},
		{"first failure", status(500), 0, retry(5*time.Second, true)},
		{"second failure", status(500), 1, retry(5*time.Minute, true)},
		{"last failure", status(500), 2, Verdict{Action: Bury, Counted: true, Bad: true}},
		{"redirect is a failure", status(301), 0, retry(5*time.Second, false)},
		{"client error is retried", status(404), 0, retry(5*time.Second, false)},
		{"not implemented says nothing about health", status(501), 0, retry(5*time.Second, false)},
		{"gone", Outcome{Reason: queue.ReasonGone, Status: 410}, 0, Verdict{Action: Bury, Counted: true, Disable: true}},
		{"429 pauses", after(429, time.Minute), 0, paused(time.Minute, time.Minute)},
		{"429 below the schedule", after(429, time.Second), 0, paused(5*time.Second, time.Second)},
		{"503 pauses", after(503, time.Minute), 0, paused(time.Minute, time.Minute)},
		{"500 does not", after(500, time.Minute), 0, retry(5*time.Second, true)},
		{"an absurd pause is capped", after(429, 1000*time.Hour), 0, paused(24*time.Hour, 24*time.Hour)},
		{"last 429 pauses too", after(429, time.Minute), 2, Verdict{Action: Bury, Counted: true, Bad: true, Jam: true, Pause: time.Minute}},
		{"timeout", Outcome{Reason: queue.ReasonTimeout}, 0, Verdict{Action: Retry, Due: epoch.Add(5 * time.Second), Counted: true, Bad: true, Jam: true}},
		{"our own fault", Outcome{Reason: queue.ReasonConnect, Ours: true}, 2, Verdict{Action: Retry, Due: epoch.Add(time.Second)}},
		{"no webhook", Outcome{Reason: queue.ReasonNoWebhook}, 0, Verdict{Action: Bury}},
		{"a transform that would fail again", Outcome{Reason: queue.ReasonTransform, Final: true}, 0, Verdict{Action: Bury, Counted: true}},
		{"a transform that may not", Outcome{Reason: queue.ReasonTransform}, 0, retry(5*time.Second, false)},
	} {
		if got := Judge(c.o, c.attempts, policy, epoch, 0.5); got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestJitterIsWithinItsShare(t *testing.T) {
	policy := webhooks.RetryPolicy{Schedule: []time.Duration{100 * time.Second}, Jitter: 0.2}
	for random, want := range map[float64]time.Duration{0: 80 * time.Second, 0.5: 100 * time.Second, 0.75: 110 * time.Second} {
		if got := Judge(Outcome{Reason: queue.ReasonTimeout}, 0, policy, epoch, random).Due.Sub(epoch); got != want {
			t.Errorf("random %v: %v, want %v", random, got, want)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	at := epoch.Add(90 * time.Second)
	for value, want := range map[string]time.Duration{
		"":                         0,
		"0":                        0,
		"120":                      2 * time.Minute,
		"-5":                       0,
		"1.5":                      0,
		"soon":                     0,
		"99999999999999999999":     0,
		"9223372036854775807":      24 * time.Hour,
		"86401":                    24 * time.Hour,
		at.Format(http.TimeFormat): 90 * time.Second,
		at.Format("Monday, 02-Jan-06 15:04:05 GMT"):       90 * time.Second, // RFC 850
		at.Format(time.ANSIC):                             90 * time.Second,
		epoch.Add(-time.Hour).Format(http.TimeFormat):     0,
		epoch.Add(50 * time.Hour).Format(http.TimeFormat): 24 * time.Hour,
	} {
		if got := ParseRetryAfter([]byte(value), epoch); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	f.Add([]byte("120"))
	f.Add([]byte("Fri, 02 Jan 2026 03:05:35 GMT"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if d := ParseRetryAfter(value, epoch); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %v", value, d)
		}
	})
}

func TestCircuit(t *testing.T) {
	now := epoch
	var c circuit
	for i := 1; i < openAfter; i++ {
		if c.failure(now, "timeout") {
			t.Fatalf("open after %d", i)
		}
	}
	if c.state != Closed || !c.failure(now, "timeout") || c.state != Open {
		t.Fatalf("not open after %d: %+v", openAfter, c)
	}
	want := openFirst
	for range 8 { // every trial fails: the waits double up to the most
		if got := c.until.Sub(now); got != want {
			t.Errorf("wait %v, want %v", got, want)
		}
		if c.try(c.until.Add(-1)) {
			t.Error("tried too early")
		}
		now = c.until
		if !c.try(now) || c.state != HalfOpen {
			t.Fatalf("not half open: %+v", c)
		}
		if !c.failure(now, "timeout") {
			t.Fatalf("a failed trial does not open: %+v", c)
		}
		want = min(2*want, openMost)
	}
	now = c.until
	c.try(now)
	if !c.success() || c.state != Closed || c.wait != 0 || c.n != 0 {
		t.Errorf("after a success: %+v", c)
	}
	for range 100 {
		c.success()
	}
	for i := 1; ; i++ { // one that dies is found out in spite of its past
		if c.failure(now, "timeout") {
			if i > resultsKept {
				t.Errorf("open after %d", i)
			}
			break
		}
	}
}

// TestCircuitIsNotOpenedByChance: a receiver that answers badly half of the time, or four times in five, is up.
func TestCircuitIsNotOpenedByChance(t *testing.T) {
	for share, most := range map[float64]int{0.5: 0, 0.8: 100} {
		r := rand.New(rand.NewPCG(1, 2))
		opened := 0
		var c circuit
		for range 100_000 {
			if r.Float64() >= share {
				c.success()
			} else if c.failure(epoch, "status") {
				opened++
				c = circuit{}
			}
		}
		if opened > most*10 {
			t.Errorf("%v bad: opened %d times in 100,000", share, opened)
		}
	}
}

func TestPace(t *testing.T) {
	now := epoch
	p := fullPace(16)
	for range 5 {
		p.good(16)
	}
	if p.limit != 16 {
		t.Errorf("limit %v, want what is configured", p.limit)
	}
	began := now
	for range 8 { // one jam
		now = now.Add(time.Millisecond)
		p.jammed(began, now)
	}
	if p.limit != 8 {
		t.Errorf("one jam of many requests: limit %v, want 8", p.limit)
	}
	for range 8 * 9 { // a round at 8, one at 9, …
		p.good(16)
	}
	if p.limit < 13 || p.limit > 16 {
		t.Errorf("additive increase came to %v", p.limit)
	}
	for range 20 {
		now = now.Add(time.Second)
		p.jammed(now, now)
	}
	if p.limit != 1 {
		t.Errorf("limit %v, want 1", p.limit)
	}
	p = fullPace(16)
	p.restart(now)
	for _, want := range []float64{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16} { // one for each success: it doubles in a round
		if p.good(16); p.limit != want {
			t.Errorf("slow start: limit %v, want %v", p.limit, want)
		}
	}
}

func TestBucket(t *testing.T) {
	var none bucket
	if none.take(epoch); none.wait(epoch) != 0 {
		t.Error("no limit limits")
	}
	for _, c := range []struct {
		n     int
		span  time.Duration
		burst int
	}{{100, time.Second, 100}, {1, time.Second, 1}, {90, time.Minute, 1}, {600, time.Minute, 10}, {5, time.Hour, 1}} {
		b := bucket{rate: PerSecond(c.n, c.span)}
		now, went := epoch, 0
		for b.wait(now) == 0 {
			b.take(now)
			went++
		}
		if went != c.burst || b.tokens(now) != 0 {
			t.Errorf("%d/%v: %d at once, want %d; %d left", c.n, c.span, went, c.burst, b.tokens(now))
		}
		end := now.Add(c.span)
		for went = 0; ; went++ {
			if now = now.Add(b.wait(now)); now.After(end) {
				break
			}
			b.take(now)
		}
		if went != c.n {
			t.Errorf("%d/%v: %d in a %v", c.n, c.span, went, c.span)
		}
		if b.giveBack(); b.wait(now) > b.rate.Every {
			t.Errorf("%d/%v: wait %v after one was given back", c.n, c.span, b.wait(now))
		}
		if w := b.wait(now.Add(-1000 * time.Hour)); w > 3*b.rate.Every*time.Duration(b.rate.Burst) {
			t.Errorf("%d/%v: wait %v after the clock was set back", c.n, c.span, w)
		}
	}
}

func TestPauseIsNeverShortened(t *testing.T) {
	var c circuit
	if !c.pause(epoch, time.Hour) || c.pause(epoch, time.Minute) || c.until != epoch.Add(time.Hour) {
		t.Errorf("%+v", c)
	}
	if !c.pause(epoch, 2*time.Hour) || c.until != epoch.Add(2*time.Hour) {
		t.Errorf("%+v", c)
	}
	c = circuit{state: Disabled}
	if c.pause(epoch, time.Hour) || c.failure(epoch, "x") || c.try(epoch.Add(time.Hour)) {
		t.Errorf("a disabled circuit moved: %+v", c)
	}
	if c.success(); c.state != Disabled {
		t.Error("a late success enabled a disabled webhook")
	}
}
