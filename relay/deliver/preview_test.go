package deliver

import (
	"bufio"
	"net"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/payload"
	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

// recorder answers 200 and keeps the text of the last request.
func recorder(t *testing.T) (url string, last *atomic.Pointer[string], requests *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	last, requests = new(atomic.Pointer[string]), new(atomic.Int64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					text, err := readRequest(br)
					if err != nil {
						return
					}
					last.Store(&text)
					requests.Add(1)
					conn.Write([]byte("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Answer: yes\r\nSet-Cookie: session=s3cret\r\n\r\nok"))
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String(), last, requests
}

func template(t *testing.T, text string) *payload.Template {
	t.Helper()
	tpl, err := payload.CompileTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

// onTheWire compares what a preview shows with the bytes of a request; the order of headers does not matter.
func onTheWire(t *testing.T, m *Message, text string) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if string(m.Body) != body {
		t.Errorf("body %q, sent %q", m.Body, body)
	}
	tp := textproto.NewReader(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
	line, err := tp.ReadLine()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(m.URL, "http://"), "/")
	if want := m.Method + " /" + rest + " HTTP/1.1"; line != want {
		t.Errorf("request line %q, preview %q", line, want)
	}
	sent, err := tp.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"Content-Length": true} // counted by whoever writes
	for _, f := range m.Headers {
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		seen[name] = true
		if got := sent.Get(name); f.Secret && got == "" || !f.Secret && got != f.Value {
			t.Errorf("header %s: preview %q, sent %q", f.Name, f.Value, got)
		}
	}
	for name := range sent {
		if !seen[name] {
			t.Errorf("header %s was sent and is not in the preview", name)
		}
	}
}

func TestPreviewIsWhatIsSent(t *testing.T) {
	header, err := webhooks.HeaderAuth("crm", "", webhooks.AuthHeader{Name: "X-Api-Key", Value: "canary-key", Secret: true}, webhooks.AuthHeader{Name: "X-Public", Value: "seen"})
	if err != nil {
		t.Fatal(err)
	}
	basic, err := webhooks.BasicAuth("erp", "", "relay", "canary-password")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*testing.T, *webhooks.Webhook){
		"plain": nil,
		"template": func(t *testing.T, w *webhooks.Webhook) {
			w.URL = template(t, "http://"+w.Host+"/{{ data.n }}?q={{ type }}")
		},
		"header": func(t *testing.T, w *webhooks.Webhook) {
			w.Headers = []webhooks.Header{{Name: "x-env", Value: template(t, "{{ tenant }}")}}
		},
		"header auth": func(_ *testing.T, w *webhooks.Webhook) { w.Authorization = header },
		"basic auth":  func(_ *testing.T, w *webhooks.Webhook) { w.Authorization = basic },
		"GET":         func(_ *testing.T, w *webhooks.Webhook) { w.Method = "GET" },
		"DELETE":      func(_ *testing.T, w *webhooks.Webhook) { w.Method = "DELETE" },
		"not signed":  func(_ *testing.T, w *webhooks.Webhook) { w.Signer = nil },
		"payload, form": func(t *testing.T, w *webhooks.Webhook) {
			w.Payload = definition(t, payload.Spec{Type: "form", Body: []byte(`{"n":"{{ data.n }}"}`)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, last, requests := recorder(t)
			r := newRig(t, url+"/in", "POST", func(w *webhooks.Webhook) {
				if change != nil {
					change(t, w)
				}
			})
			now := time.Unix(1_700_000_000, 0)
			r.d.opt.Now = func() time.Time { return now }
			d := delivery(`{"n":7}`)
			tr := r.d.Preview(t.Context(), &r.target, &d.Event, now)
			if tr.Request == nil || requests.Load() != 0 {
				t.Fatalf("%+v, %d requests", tr, requests.Load())
			}
			if res := r.w.settle(d, &r.target, r.client); !res.delivered {
				t.Fatalf("%+v", r.q.failure)
			}
			onTheWire(t, tr.Request, *last.Load())
			for _, f := range tr.Request.Headers {
				if strings.Contains(f.Value, "canary") || f.Name == "Authorization" && f.Value != Redacted {
					t.Errorf("a credential is shown: %+v", f)
				}
			}
		})
	}
}

func definition(t *testing.T, s payload.Spec) *payload.Definition {
	t.Helper()
	d, err := payload.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTestIsSentMarkedAndCountedNowhere(t *testing.T) {
	url, last, requests := recorder(t)
	r := newRig(t, url+"/in", "POST", nil)
	d := delivery(`{"n":7}`)
	tr := r.d.Test(t.Context(), &r.target, &d.Event, time.Unix(1_700_000_000, 0))
	if tr.Outcome.Status != 201 || tr.Outcome.Reason != queue.ReasonNone || requests.Load() != 1 {
		t.Fatalf("%+v, %d requests", tr.Outcome, requests.Load())
	}
	onTheWire(t, tr.Request, *last.Load())
	if !strings.Contains(*last.Load(), "\r\nwebhook-test: true\r\n") {
		t.Errorf("not marked: %s", *last.Load())
	}
	a := tr.Response
	if a == nil || string(a.Body) != "ok" || a.Truncated || tr.Send <= 0 {
		t.Fatalf("%+v", tr)
	}
	for _, f := range a.Headers {
		if f.Name == "Set-Cookie" && f.Value != Redacted {
			t.Errorf("%+v", f)
		}
	}
	if len(r.d.Lanes()) != 0 {
		t.Errorf("a test made a lane: %+v", r.d.Lanes())
	}
}

func TestPreviewSaysWhyNothingWouldBeSent(t *testing.T) {
	url, _, requests := recorder(t)
	r := newRig(t, url+"/{{ 1 / data.n }}", "POST", nil)
	d := delivery(`{"n":"x"}`)
	tr := r.d.Preview(t.Context(), &r.target, &d.Event, time.Unix(0, 0))
	if tr.Request != nil || tr.Outcome.Reason != queue.ReasonPayload || !tr.Outcome.Final || requests.Load() != 0 {
		t.Errorf("%+v", tr)
	}
}

// A preview asks no token endpoint; a test does, shows no token, and leaves none behind that deliveries do not share.
func TestTrialsAndAccessTokens(t *testing.T) {
	s, rc := newTokenServer(t), newReceiver(t)
	r, _ := oauthRig(t, s, rc, "/in", "")
	clear(r.d.tokens)
	d := delivery(`{"n":7}`)
	now := time.Unix(1_700_000_000, 0)
	tr := r.d.Preview(t.Context(), &r.target, &d.Event, now)
	if tr.Request == nil || len(rc.tokensSeen()) != 0 || s.requests.Load() != 0 {
		t.Fatalf("%+v, %d token requests", tr, s.requests.Load())
	}
	shown := func(m *Message) string {
		for _, f := range m.Headers {
			if f.Name == "Authorization" {
				return f.Value
			}
		}
		return "nothing"
	}
	if v := shown(tr.Request); v != Redacted {
		t.Errorf("preview shows %s", v)
	}
	tr = r.d.Test(t.Context(), &r.target, &d.Event, now)
	if seen := rc.tokensSeen(); tr.Outcome.Reason != queue.ReasonNone || len(seen) != 1 || s.requests.Load() != 1 || shown(tr.Request) != Redacted || len(r.d.tokens) != 0 {
		t.Errorf("%+v, receiver saw %d, %d token requests, shown %s, %d kept", tr.Outcome, len(seen), s.requests.Load(), shown(tr.Request), len(r.d.tokens))
	}
}
