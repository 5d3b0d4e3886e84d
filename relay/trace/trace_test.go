package trace

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

const example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParseAndAppend(t *testing.T) {
	c, ok := Parse([]byte(example))
	if !ok || !c.Sampled || string(c.Append(nil)) != example {
		t.Errorf("%+v, %v", c, ok)
	}
	c.Sampled = false
	if got := string(c.Append(nil)); got != example[:53]+"00" {
		t.Error(got)
	}
	for _, bad := range []string{"", "00", example + "0", "01" + example[2:], "00-" + "00000000000000000000000000000000" + example[35:], example[:36] + "0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319x-b7ad6b7169203331-01"} {
		if _, ok := Parse([]byte(bad)); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestReceive(t *testing.T) {
	var none *Tracer
	if _, _, sampled := none.Receive([]byte(example)); sampled {
		t.Error("no tracer, but a span")
	}
	all, nothing, half := &Tracer{share: 1<<64 - 1}, &Tracer{}, &Tracer{share: 1 << 63}
	c, parent, sampled := nothing.Receive([]byte(example))
	if from, _ := Parse([]byte(example)); !sampled || c.Trace != from.Trace || parent != from.Span || c.Span == from.Span {
		t.Errorf("a sampled producer: %+v from %x, %v", c, parent, sampled)
	}
	if _, _, sampled := all.Receive([]byte(example[:53] + "00")); sampled {
		t.Error("the producer does not sample, but there is a span")
	}
	if c, parent, sampled := all.Receive(nil); !sampled || parent != [8]byte{} || c.Trace == [16]byte{} {
		t.Errorf("%+v, %v", c, sampled)
	}
	if _, _, sampled := nothing.Receive(nil); sampled {
		t.Error("a ratio of 0 samples")
	}
	n := 0
	for range 10_000 {
		if _, _, sampled := half.Receive(nil); sampled {
			n++
		}
	}
	if n < 4000 || n > 6000 {
		t.Errorf("a ratio of a half samples %d of 10000", n)
	}
	stored := c.Append(nil)
	a, before, ok := all.Attempt(stored)
	if !ok || a.Trace != c.Trace || before != c.Span || a.Span == c.Span {
		t.Errorf("attempt %+v after %x, %v", a, before, ok)
	}
	for _, off := range [][]byte{nil, []byte(example[:53] + "00"), []byte("nonsense")} {
		if _, _, ok := all.Attempt(off); ok {
			t.Errorf("a span for %q", off)
		}
	}
	if n := testing.AllocsPerRun(100, func() { nothing.Receive(nil); nothing.Attempt(nil); none.Attempt(stored) }); n != 0 {
		t.Errorf("events that are not sampled allocate %v times", n)
	}
}

// collector is an OTLP receiver.
type collector struct {
	mu     sync.Mutex
	answer []int // the first ones; then 200
	posts  int
	bodies chan []byte
	counts map[string]int
	*httptest.Server
}

func newCollector(t *testing.T, answer ...int) *collector {
	c := &collector{answer: answer, bodies: make(chan []byte, 100), counts: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "s3cret" {
			t.Errorf("%s %v %v", r.URL, r.Header, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.posts++; c.posts <= len(c.answer) && c.answer[c.posts-1] != 200 {
			w.WriteHeader(c.answer[c.posts-1])
			return
		}
		c.bodies <- body
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) count(result string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[result] += n
}

func (c *collector) options() Options {
	return Options{Endpoint: c.URL + "/", Headers: map[string]string{"X-Key": "s3cret"}, Ratio: 1, Service: "relay", Version: "v1", Count: c.count,
		Log: slog.New(slog.DiscardHandler), Every: 5 * time.Millisecond, Pause: time.Millisecond}
}

func someSpan(name string) Span {
	c, _ := Parse([]byte(example))
	return Span{Context: c, Parent: [8]byte{1}, Link: [8]byte{1}, Kind: Client, Name: name, Start: time.Unix(1, 5), End: time.Unix(2, 0),
		Attrs: []Attr{{Key: "text", Text: "x"}, {Key: "number", Number: 7}}, Error: "timeout"}
}

// TestExport: the JSON is OTLP's, also when the collector has no time at first.
func TestExport(t *testing.T) {
	c := newCollector(t, 503, 429, 200)
	tr := Open(c.options())
	tr.Span(someSpan("deliver order.paid"))
	var got struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes []struct{ Key string } }
			ScopeSpans []struct {
				Spans []struct {
					TraceID, SpanID, ParentSpanID, Name string
					StartTimeUnixNano, EndTimeUnixNano  string
					Kind                                int
					Attributes                          []struct {
						Key   string
						Value struct{ StringValue, IntValue string }
					}
					Links  []struct{ TraceID, SpanID string }
					Status struct {
						Code    int
						Message string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(<-c.bodies, &got); err != nil {
		t.Fatal(err)
	}
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := got.ResourceSpans[0].ScopeSpans[0].Spans[0]
	if s.TraceID != example[3:35] || s.SpanID != example[36:52] || s.ParentSpanID != "0100000000000000" || s.Kind != 3 || s.StartTimeUnixNano != "1000000005" ||
		s.EndTimeUnixNano != "2000000000" || s.Links[0].SpanID != "0100000000000000" || s.Status.Code != 2 || s.Status.Message != "timeout" ||
		s.Attributes[0].Value.StringValue != "x" || s.Attributes[1].Value.IntValue != "7" || got.ResourceSpans[0].Resource.Attributes[0].Key != "service.name" {
		t.Errorf("%+v", got)
	}
	if c.posts != 3 || c.counts["exported"] != 1 {
		t.Errorf("%d posts, %v", c.posts, c.counts)
	}
}

// TestCollectorInTrouble: spans are dropped and counted, nobody waits, and later ones are exported.
func TestCollectorInTrouble(t *testing.T) {
	hang := make(chan struct{})
	var once sync.Once
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hang; w.WriteHeader(400) }))
	defer down.Close()
	defer once.Do(func() { close(hang) })
	c := newCollector(t)
	o := c.options()
	o.Endpoint = down.URL
	tr := Open(o)
	for i := range 2 * listSize {
		tr.Span(someSpan(fmt.Sprint(i)))
	}
	c.mu.Lock()
	omitted := c.counts["omitted"]
	c.mu.Unlock()
	if omitted < listSize-2*batchSize {
		t.Errorf("%d omitted", omitted)
	}
	once.Do(func() { close(hang) })
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.counts["failed"]+omitted != 2*listSize {
		t.Errorf("%v", c.counts)
	}
}

func TestCloseExportsWhatIsLeft(t *testing.T) {
	c := newCollector(t)
	o := c.options()
	o.Every = time.Hour
	tr := Open(o)
	for i := range 700 {
		tr.Span(someSpan(fmt.Sprint(i)))
	}
	if err := tr.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c.counts["exported"] != 700 {
		t.Errorf("%v", c.counts)
	}
}
