package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The vectors of the Standard Webhooks libraries and of GitHub's documentation.
const (
	vectorSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID     = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorUnix   = 1614265330
	vectorBody   = `{"test": 2432232314}`
	vectorSign   = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

	githubSecret = "It's a Secret to Everybody"
	githubBody   = "Hello, World!"
	githubSign   = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

var vectorTime = time.Unix(vectorUnix, 0)

func start(t *testing.T, o Options) *Receiver {
	t.Helper()
	r, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// post sends a request with headers "name: value" and returns the answer, or the error of the transport.
func post(url, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res, nil
}

func wantStatus(t *testing.T, want int, url, body string, headers ...string) *http.Response {
	t.Helper()
	res, err := post(url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("status %d, want %d", res.StatusCode, want)
	}
	return res
}

// signed returns the three headers for a body, signed with crypto of the test's own.
func signed(secret, id, body string, now time.Time) []string {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		panic(err)
	}
	ts := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, id+"."+ts+"."+body)
	return []string{"webhook-id: " + id, "webhook-timestamp: " + ts, "webhook-signature: v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

func TestVerifyStandard(t *testing.T) {
	other := "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	ts := strconv.Itoa(vectorUnix)
	for _, tt := range []struct {
		name    string
		secrets []string
		shift   time.Duration
		id, ts  string
		sign    string
		body    string
		ok      bool
	}{
		{"vector", []string{vectorSecret}, 0, vectorID, ts, vectorSign, vectorBody, true},
		{"secret without prefix", []string{strings.TrimPrefix(vectorSecret, "whsec_")}, 0, vectorID, ts, vectorSign, vectorBody, true},
		{"second of two keys", []string{other, vectorSecret}, 0, vectorID, ts, vectorSign, vectorBody, true},
		{"last of several signatures", []string{vectorSecret}, 0, vectorID, ts, "v9,xx v1,AAAA " + vectorSign, vectorBody, true},
		{"299 s late", []string{vectorSecret}, 299 * time.Second, vectorID, ts, vectorSign, vectorBody, true},
		{"299 s early", []string{vectorSecret}, -299 * time.Second, vectorID, ts, vectorSign, vectorBody, true},
		{"301 s late", []string{vectorSecret}, 301 * time.Second, vectorID, ts, vectorSign, vectorBody, false},
		{"301 s early", []string{vectorSecret}, -301 * time.Second, vectorID, ts, vectorSign, vectorBody, false},
		{"wrong secret", []string{other}, 0, vectorID, ts, vectorSign, vectorBody, false},
		{"changed body", []string{vectorSecret}, 0, vectorID, ts, vectorSign, vectorBody + " ", false},
		{"changed id", []string{vectorSecret}, 0, "msg_x", ts, vectorSign, vectorBody, false},
		{"padding stripped", []string{vectorSecret}, 0, vectorID, ts, strings.TrimRight(vectorSign, "="), vectorBody, false},
		{"no id", []string{vectorSecret}, 0, "", ts, vectorSign, vectorBody, false},
		{"timestamp not a number", []string{vectorSecret}, 0, vectorID, "now", vectorSign, vectorBody, false},
		{"only an unknown version", []string{vectorSecret}, 0, vectorID, ts, "v1a," + vectorSign[3:], vectorBody, false},
	} {
		v, err := newVerifier(Hook{Scheme: "standard", Secrets: tt.secrets})
		if err != nil {
			t.Fatal(tt.name, err)
		}
		header := func(name string) []byte {
			return []byte(map[string]string{"webhook-id": tt.id, "webhook-timestamp": tt.ts, "webhook-signature": tt.sign}[name])
		}
		if err := v.check(&received{header: header, body: []byte(tt.body)}, vectorTime.Add(tt.shift)); (err == nil) != tt.ok {
			t.Errorf("%s: error %v, want ok=%v", tt.name, err, tt.ok)
		}
	}
}

func TestVerifyGitHub(t *testing.T) {
	v, err := newVerifier(Hook{Scheme: "github", Secrets: []string{githubSecret}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, sign, body string
		ok               bool
	}{
		{"vector", githubSign, githubBody, true},
		{"changed body", githubSign, githubBody + "!", false},
		{"no prefix", githubSign[7:], githubBody, false},
		{"SHA-1", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", githubBody, false},
		{"not hexadecimal", "sha256=zz", githubBody, false},
		{"absent", "", githubBody, false},
	} {
		if err := v.check(&received{header: func(string) []byte { return []byte(tt.sign) }, body: []byte(tt.body)}, vectorTime); (err == nil) != tt.ok {
			t.Errorf("%s: error %v, want ok=%v", tt.name, err, tt.ok)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts Options
	}{
		{"unknown scheme", Options{Hooks: []Hook{{Name: "a", Scheme: "md5", Secrets: []string{"x"}}}}},
		{"no secret", Options{Hooks: []Hook{{Name: "a", Scheme: "standard"}}}},
		{"short secret", Options{Hooks: []Hook{{Name: "a", Scheme: "standard", Secrets: []string{"whsec_AAAA"}}}}},
		{"empty secret", Options{Default: &Hook{Scheme: "github", Secrets: []string{""}}}},
		{"same name twice", Options{Hooks: []Hook{{Name: "a"}, {Name: "a"}}}},
		{"address in use by nobody", Options{Addr: "256.0.0.1:1"}},
	} {
		if _, err := Start(tt.opts); err == nil {
			t.Errorf("%s: started", tt.name)
		} else if strings.Contains(err.Error(), "whsec_AAAA") {
			t.Errorf("%s: the error shows the secret: %v", tt.name, err)
		}
	}
}

func TestCountsAndCallback(t *testing.T) {
	var mu sync.Mutex
	var got []Delivery
	r := start(t, Options{
		Hooks: []Hook{{Name: "std", Scheme: "standard", Secrets: []string{vectorSecret}}, {Name: "gh", Scheme: "github", Secrets: []string{githubSecret}}},
		Now:   func() time.Time { return vectorTime },
		OnDelivery: func(d Delivery) {
			mu.Lock()
			got = append(got, d)
			mu.Unlock()
		},
	})
	head := []string{"webhook-id: " + vectorID, "webhook-timestamp: " + strconv.Itoa(vectorUnix), "webhook-signature: " + vectorSign}
	wantStatus(t, 200, r.URL("std")+"?a=1", vectorBody, head...)
	wantStatus(t, 200, r.URL("std"), vectorBody, head...)
	wantStatus(t, 401, r.URL("std"), "forged", head...)
	wantStatus(t, 200, r.URL("gh"), githubBody, "X-Hub-Signature-256: "+githubSign, "X-GitHub-Delivery: guid-1")
	wantStatus(t, 404, r.URL("nobody"), "x")

	s := r.Snapshot()
	want := Counts{Requests: 3, Delivered: 2, Distinct: 1, Duplicates: 1, BadSignatures: 1, LastError: "no signature in webhook-signature matches"}
	if s.Hooks["std"] != want {
		t.Errorf("std: %+v, want %+v", s.Hooks["std"], want)
	}
	if s.Requests != 4 || s.Distinct != 2 || s.Delivered != 3 {
		t.Errorf("sum: %+v", s.Counts)
	}
	if !r.Received("std", vectorID) || !r.Received("gh", "guid-1") || r.Received("std", "guid-1") || r.Received("nobody", "x") {
		t.Error("Received is wrong")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 4 {
		t.Fatalf("%d callbacks, want 4", len(got))
	}
	d := got[0]
	if d.Hook != "std" || d.ID != vectorID || d.Method != "POST" || d.URI != "/hook/std?a=1" || string(d.Body) != vectorBody ||
		d.Status != 200 || d.Repeated || d.BadSign != nil || !d.At.Equal(vectorTime) || len(d.Headers) < 3 {
		t.Errorf("first delivery: %+v", d)
	}
	if !got[1].Repeated || got[2].BadSign == nil || got[2].Status != 401 {
		t.Errorf("repeated %v, bad %v, status %d", got[1].Repeated, got[2].BadSign, got[2].Status)
	}
}

func TestDefaultHookTakesEveryPath(t *testing.T) {
	r := start(t, Options{Hooks: []Hook{{Name: "a"}}, Default: &Hook{Name: "rest"}})
	wantStatus(t, 200, "http://"+r.Addr()+"/any/path", "x")
	wantStatus(t, 200, r.URL("a"), "x")
	if s := r.Snapshot(); s.Hooks["rest"].Delivered != 1 || s.Hooks["a"].Delivered != 1 {
		t.Errorf("%+v", s)
	}
}

func TestScriptedAnswers(t *testing.T) {
	r := start(t, Options{Hooks: []Hook{{Name: "a"}}})
	if err := r.Answer("a", Answer{Times: 2, Status: 503, RetryAfter: "7"}, Answer{Times: 1, Status: 410}, Answer{Times: 1, Reset: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if res := wantStatus(t, 503, r.URL("a"), "x", "webhook-id: e1"); res.Header.Get("Retry-After") != "7" {
			t.Error("no Retry-After")
		}
	}
	wantStatus(t, 410, r.URL("a"), "x", "webhook-id: e1")
	if res, err := post(r.URL("a"), "x", "webhook-id: e1"); err == nil {
		t.Errorf("answer %d instead of a reset connection", res.StatusCode)
	}
	wantStatus(t, 200, r.URL("a"), "x", "webhook-id: e1")
	want := Counts{Requests: 5, Delivered: 1, Distinct: 1, Refused: 4}
	if got := r.counts("a"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := r.Answer("nobody"); !errors.Is(err, ErrNoHook) {
		t.Errorf("answer of an unknown hook: %v", err)
	}
}

func TestHoldUntilReleased(t *testing.T) {
	r := start(t, Options{Hooks: []Hook{{Name: "a"}}})
	hold := make(chan struct{})
	if err := r.Answer("a", Answer{Hold: hold, Status: 204}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		res, err := post(r.URL("a"), "x")
		if err == nil && res.StatusCode != 204 {
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		done <- err
	}()
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCloseReleasesHeldRequests(t *testing.T) {
	arrived := make(chan struct{})
	r, err := Start(Options{Hooks: []Hook{{Name: "a"}}, Now: func() time.Time {
		close(arrived) // the clock is read once per request, first thing
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Answer("a", Answer{Hold: make(chan struct{})}); err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() {
		res, err := post(r.URL("a"), "x", "Connection: close")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		status <- res.StatusCode
	}()
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if s := <-status; s != 503 {
		t.Errorf("status %d, want 503", s)
	}
}

func TestLatencyOfTheFirstDeliveryOnly(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sent := map[string]time.Time{"mapped": now.Add(-250 * time.Millisecond)}
	r := start(t, Options{Hooks: []Hook{{Name: "a"}}, Now: func() time.Time { return now },
		Sent: func(id []byte) (time.Time, bool) { at, ok := sent[string(id)]; return at, ok }})
	wantStatus(t, 200, r.URL("a"), "x", "webhook-id: mapped")
	wantStatus(t, 200, r.URL("a"), "x", "webhook-id: mapped")
	wantStatus(t, 200, r.URL("a"), `{"id":"own","type":"a.b","time":"2026-01-02T03:04:04Z","data":null}`)
	wantStatus(t, 200, r.URL("a"), `{"no":"head"}`)
	l := r.Snapshot().Latency
	if l.Count != 2 {
		t.Fatalf("%d values, want 2: %+v", l.Count, l)
	}
	near := func(got, want time.Duration) bool { return got > want*98/100 && got < want*102/100 }
	if !near(l.P50, 250*time.Millisecond) || !near(l.Max, time.Second) {
		t.Errorf("p50 %v, max %v, want about 250ms and 1s", l.P50, l.Max)
	}
	if !r.Received("a", "own") {
		t.Error("the envelope's own id was not used")
	}
}

func TestWait(t *testing.T) {
	r := start(t, Options{Hooks: []Hook{{Name: "a"}}})
	for i := range 3 {
		go post(r.URL("a"), "x", "webhook-id: e"+strconv.Itoa(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Wait(ctx, "a", func(c Counts) bool { return c.Distinct == 3 }); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(ctx, "", func(c Counts) bool { return c.Distinct == 3 }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := r.Wait(ctx, "a", func(Counts) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
	if err := r.Wait(ctx, "nobody", nil); !errors.Is(err, ErrNoHook) {
		t.Errorf("unknown hook: %v", err)
	}
}

func TestConcurrentRequests(t *testing.T) {
	r := start(t, Options{Hooks: []Hook{{Name: "a", Scheme: "standard", Secrets: []string{vectorSecret}}}})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 25 {
				id := fmt.Sprintf("e%d", (g*25+i)/2) // every id twice
				if _, err := post(r.URL("a"), vectorBody, signed(vectorSecret, id, vectorBody, time.Now())...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := Counts{Requests: 200, Delivered: 200, Distinct: 100, Duplicates: 100}
	if got := r.counts("a"); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestIDSetForgetsTheOldest(t *testing.T) {
	s := newIDSet(3)
	for id := range uint64(5) {
		s.add(id)
	}
	for id, want := range []bool{false, false, true, true, true} {
		if s.has(uint64(id)) != want {
			t.Errorf("id %d: %v, want %v", id, !want, want)
		}
	}
	if len(s.seen) != 3 || len(s.ring) != 3 {
		t.Errorf("holds %d and %d, want 3", len(s.seen), len(s.ring))
	}
}

func FuzzEnvelopeHead(f *testing.F) {
	f.Add([]byte(`{"id":"we_1","type":"a.b","time":"2026-01-02T03:04:05Z","data":{}}`))
	f.Add([]byte(`{"id":"`))
	f.Add([]byte(`{"id":"a","type":"b","time":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		id, at, ok := envelopeHead(body)
		if ok && (len(id) == 0 || len(at) == 0) {
			t.Errorf("%q: empty member reported as found", body)
		}
		envelopeTime(body)
	})
}

func FuzzVerifyStandard(f *testing.F) {
	f.Add([]byte(vectorID), []byte("1614265330"), []byte(vectorSign), []byte(vectorBody))
	f.Add([]byte("a"), []byte("-1"), []byte("v1, v1,= "), []byte(""))
	v, err := newVerifier(Hook{Scheme: "standard", Secrets: []string{vectorSecret}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, ts, sign, body []byte) {
		good := v.checkStandard(id, ts, sign, body, vectorTime) == nil
		if good && string(body) != vectorBody {
			t.Errorf("accepted %q", body)
		}
	})
}
