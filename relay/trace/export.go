package trace

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a Tracer. Endpoint and Log are required.
type Options struct {
	Endpoint string            // of the collector; spans go to its /v1/traces
	Headers  map[string]string // with every request
	Ratio    float64           // share of the events without a traceparent that are sampled
	Service  string
	Version  string
	Count    func(result string, spans int) // exported, failed, omitted; nil = nobody counts
	Log      *slog.Logger

	Every time.Duration // 0 = 2 s: how long a span waits for others
	Pause time.Duration // 0 = 1 s: after the first failed try of a batch; doubles
}

// Bounds of an export.
const (
	listSize  = 8192 // spans that wait
	batchSize = 512
	tries     = 4 // of a batch
	postTime  = 10 * time.Second
)

// Tracer collects spans. A nil Tracer is valid and makes none.
type Tracer struct {
	opt     Options
	url     string
	share   uint64
	list    chan Span
	stop    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	client  *http.Client
	failed  bool // the last batch was
}

// Open starts a Tracer.
func Open(o Options) *Tracer {
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	if o.Count == nil {
		o.Count = func(string, int) {}
	}
	t := &Tracer{opt: o, url: strings.TrimRight(o.Endpoint, "/"), list: make(chan Span, listSize), stop: make(chan struct{})}
	if !strings.HasSuffix(t.url, "/v1/traces") {
		t.url += "/v1/traces"
	}
	switch {
	case o.Ratio >= 1:
		t.share = math.MaxUint64
	case o.Ratio > 0:
		t.share = uint64(o.Ratio * math.MaxUint64)
	}
	direct := http.DefaultTransport.(*http.Transport).Clone()
	direct.Proxy = nil // nothing of the relay goes where the environment says
	t.client = &http.Client{Transport: direct, Timeout: postTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.running.Add(1)
	go t.loop()
	return t
}

// Span takes a finished span. It never waits.
func (t *Tracer) Span(s Span) {
	select {
	case t.list <- s:
	default:
		t.opt.Count("omitted", 1)
	}
}

// Close exports what there is, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	close(t.stop)
	stop := context.AfterFunc(ctx, t.cancel)
	defer stop()
	t.running.Wait()
	t.cancel()
	t.client.CloseIdleConnections()
	return nil
}

func (t *Tracer) loop() {
	defer t.running.Done()
	tick := time.NewTicker(t.opt.Every)
	defer tick.Stop()
	batch := make([]Span, 0, batchSize)
	for {
		flush := false
		select {
		case s := <-t.list:
			batch = append(batch, s)
			flush = len(batch) == batchSize
		case <-tick.C:
			flush = true
		case <-t.stop:
			for {
				select {
				case s := <-t.list:
					if batch = append(batch, s); len(batch) == batchSize {
						t.export(batch)
						batch = batch[:0]
					}
				default:
					t.export(batch)
					return
				}
			}
		}
		if flush {
			t.export(batch)
			clear(batch)
			batch = batch[:0]
		}
	}
}

// export sends a batch. What the collector does not want is dropped after some tries; meanwhile new spans wait in the list, as far as it goes.
func (t *Tracer) export(batch []Span) {
	if len(batch) == 0 {
		return
	}
	body := t.encode(batch)
	pause := t.opt.Pause
	var err error
	for try := range tries {
		var again bool
		if again, err = t.post(body); err == nil {
			t.opt.Count("exported", len(batch))
			t.failed = false
			return
		}
		if !again || try == tries-1 || !t.wait(pause) {
			break
		}
		pause *= 2
	}
	t.opt.Count("failed", len(batch))
	if !t.failed {
		t.opt.Log.Warn("spans cannot be exported; they are dropped, and nothing is said of the next ones", "spans", len(batch), "error", err)
	}
	t.failed = true
}

// wait returns false when the Tracer is being closed: then there is no time for further tries.
func (t *Tracer) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stop:
		return false
	}
}

// post sends one request and says whether another try could help.
func (t *Tracer) post(body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "edgerelay/"+t.opt.Version)
	for name, value := range t.opt.Headers {
		req.Header.Set(name, value)
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	// Whatever it says is not needed, but the connection is used again only when it was read.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return true, err
	}
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return false, nil
	case code == 429 || code >= 502 && code <= 504:
		return true, fmt.Errorf("the collector answered %s", resp.Status)
	default:
		return false, fmt.Errorf("the collector answered %s", resp.Status)
	}
}

// The JSON form of OTLP (opentelemetry-proto, "OTLP/HTTP"): ids in hex, 64-bit numbers as texts.
type (
	otlpValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
	}
	otlpAttr struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpLink struct {
		Trace string     `json:"traceId"`
		Span  string     `json:"spanId"`
		Attrs []otlpAttr `json:"attributes,omitempty"`
	}
	otlpStatus struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
	otlpSpan struct {
		Trace  string     `json:"traceId"`
		Span   string     `json:"spanId"`
		Parent string     `json:"parentSpanId,omitempty"`
		Flags  int        `json:"flags"`
		Name   string     `json:"name"`
		Kind   Kind       `json:"kind"`
		Start  string     `json:"startTimeUnixNano"`
		End    string     `json:"endTimeUnixNano"`
		Attrs  []otlpAttr `json:"attributes,omitempty"`
		Links  []otlpLink `json:"links,omitempty"`
		Status otlpStatus `json:"status"`
	}
	otlpScope struct {
		Scope struct {
			Name    string `json:"name"`
			Version string `json:"version,omitempty"`
		} `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpResource struct {
		Resource struct {
			Attrs []otlpAttr `json:"attributes"`
		} `json:"resource"`
		Scopes []otlpScope `json:"scopeSpans"`
	}
)

func (t *Tracer) encode(batch []Span) []byte {
	scope := otlpScope{Spans: make([]otlpSpan, len(batch))}
	scope.Scope.Name, scope.Scope.Version = "edgerelay", t.opt.Version
	for i := range batch {
		scope.Spans[i] = otlpOf(&batch[i])
	}
	r := otlpResource{Scopes: []otlpScope{scope}}
	r.Resource.Attrs = attrsOf([]Attr{{Key: "service.name", Text: t.opt.Service}, {Key: "service.version", Text: t.opt.Version}})
	text, err := json.Marshal(map[string]any{"resourceSpans": []otlpResource{r}})
	if err != nil {
		panic("BUG: spans cannot be encoded: " + err.Error())
	}
	return text
}

func otlpOf(s *Span) otlpSpan {
	trace := hex.EncodeToString(s.Context.Trace[:])
	o := otlpSpan{Trace: trace, Span: hex.EncodeToString(s.Context.Span[:]), Flags: 1, Name: s.Name, Kind: s.Kind,
		Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10), Attrs: attrsOf(s.Attrs)}
	if s.Parent != [8]byte{} {
		o.Parent = hex.EncodeToString(s.Parent[:])
	}
	if s.Link != [8]byte{} {
		o.Links = []otlpLink{{Trace: trace, Span: hex.EncodeToString(s.Link[:])}}
	}
	if s.Error != "" {
		o.Status = otlpStatus{Code: 2, Message: s.Error}
	}
	return o
}

func attrsOf(attrs []Attr) []otlpAttr {
	out := make([]otlpAttr, len(attrs))
	for i := range attrs {
		a := &attrs[i]
		out[i].Key = a.Key
		if a.Text != "" {
			out[i].Value.Text = &a.Text
		} else {
			out[i].Value.Number = strconv.FormatInt(a.Number, 10)
		}
	}
	return out
}
