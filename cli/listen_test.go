package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerelay/bench"
)

// listening is a running `edgerelay listen`.
type listening struct {
	url    string
	out    chan string // lines of the output
	errOut chan string
	stop   context.CancelFunc
	code   chan int
}

// startListen runs `listen` on a free port until the test ends or calls stop.
func startListen(t *testing.T, args ...string) *listening {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	l := &listening{stop: cancel, code: make(chan int, 1)}
	root := newRoot(commands()...)
	root.SetContext(ctx)
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	root.SetOut(outW)
	root.SetErr(errW)
	l.out, l.errOut = lines(outR), lines(errR)
	go func() {
		l.code <- execute(root, append([]string{"listen", "--addr", "127.0.0.1:0"}, args...))
		outW.Close()
		errW.Close()
	}()
	first := <-l.errOut
	url, ok := strings.CutPrefix(first, "listening on ")
	if !ok {
		t.Fatalf("first line %q", first)
	}
	l.url, _, _ = strings.Cut(url, " ")
	return l
}

// lines sends each line; it ends with the reader, and never blocks it for the few lines of a test.
func lines(r io.Reader) chan string {
	ch := make(chan string, 100)
	go func() {
		defer close(ch)
		for s := bufio.NewScanner(r); s.Scan(); {
			ch <- s.Text()
		}
	}()
	return ch
}

func (l *listening) post(t *testing.T, path, body string, headers ...string) int {
	t.Helper()
	req, err := http.NewRequest("POST", l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return res.StatusCode
}

func TestListenVerifiesAndPrints(t *testing.T) {
	l := startListen(t, "--secret", standardSecret)
	_, signed, _ := runCommand(t, "", "sign", "--secret", standardSecret, "--data", `{"a":1}`, "--id", "we_7")
	headers := strings.Split(strings.TrimSpace(signed), "\n")
	if code := l.post(t, "/some/path?q=1", `{"a":1}`, headers...); code != 200 {
		t.Errorf("status %d", code)
	}
	if line := <-l.out; !strings.Contains(line, "POST /some/path?q=1  we_7  verified  -> 200") {
		t.Errorf("line %q", line)
	}
	if code := l.post(t, "/", `forged`, headers...); code != 401 {
		t.Errorf("forged: status %d", code)
	}
	l.stop()
	rest := ""
	for line := range l.out {
		rest += line + "\n"
	}
	if !strings.Contains(rest, "    {\n      \"a\": 1\n    }\n") || !strings.Contains(rest, "BAD SIGNATURE") {
		t.Errorf("output %q", rest)
	}
	if last := <-l.errOut; last != "2 requests: 1 delivered, 0 of them repeated; 0 refused; 1 with a bad signature" {
		t.Errorf("summary %q", last)
	}
	if code := <-l.code; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestListenAnswersWithTheWantedStatusInJSON(t *testing.T) {
	l := startListen(t, "--status", "503", "--json")
	if code := l.post(t, "/x", "plain", "Authorization: Bearer hunter2", "Content-Type: text/plain", "webhook-id: e1"); code != 503 {
		t.Errorf("status %d", code)
	}
	line := <-l.out
	var d printedDelivery
	if err := json.Unmarshal([]byte(line), &d); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if d.ID != "e1" || d.Status != 503 || d.Verified != nil || d.BodyText != "plain" || d.Headers["authorization"] != "***" || d.URI != "/x" {
		t.Errorf("%+v", d)
	}
}

func TestListenOnATakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	code, _, stderr := runCommand(t, "", "listen", "--addr", ln.Addr().String())
	if code != exitFailure || !strings.Contains(stderr, "Try: --addr") {
		t.Errorf("code %d, %q", code, stderr)
	}
}

func TestPrintedBodies(t *testing.T) {
	for _, tt := range []struct{ name, contentType, body, text, json string }{
		{"JSON", "application/json", `{"a":[1]}`, "{\n      \"a\": [\n        1\n      ]\n    }", `"body":{"a":[1]}`},
		{"text", "text/plain; charset=utf-8", "12", "12", `"body_text":"12"`},
		{"form", "application/x-www-form-urlencoded", "a=1", "a=1", `"body_text":"a=1"`},
		{"bytes", "", "\xff\x00", `\xff\x00`, `"body_base64":"/wA="`},
		{"escape sequence", "", "\x1b[2J", `\x1b[2J`, `"body_text":"\u001b[2J"`},
		{"empty", "", "", "(empty body)", `"status":200}`},
		{"long", "", strings.Repeat("x", maxShown+1), "x… (16385 bytes in all)", `"body_text":"xxx`},
	} {
		d := bench.Delivery{Status: 200, Body: []byte(tt.body), Headers: []bench.Header{{Name: "Content-Type", Value: tt.contentType}}}
		var text, asJSON bytes.Buffer
		p := &deliveryPrinter{}
		p.appendText(&text, d)
		p.appendJSON(&asJSON, d)
		if !strings.Contains(text.String(), tt.text) || !strings.Contains(asJSON.String(), tt.json) || !json.Valid(asJSON.Bytes()) {
			t.Errorf("%s:\n%s%s", tt.name, text.String(), asJSON.String())
		}
	}
}

func TestPrintedVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    *deliveryPrinter
		d    bench.Delivery
		want string
		json string
	}{
		{"no secret", &deliveryPrinter{}, bench.Delivery{ID: "e"}, "e  not checked", `"verified":null`},
		{"good", &deliveryPrinter{checks: true}, bench.Delivery{ID: "e", Repeated: true}, "e  verified, repeated", `"verified":true`},
		{"bad", &deliveryPrinter{checks: true}, bench.Delivery{BadSign: errors.New("no match")}, "(no id)  BAD SIGNATURE: no match", `"verified":false,"error":"no match"`},
	} {
		var text, asJSON bytes.Buffer
		tt.p.appendText(&text, tt.d)
		tt.p.appendJSON(&asJSON, tt.d)
		if !strings.Contains(text.String(), tt.want) || !strings.Contains(asJSON.String(), tt.json) {
			t.Errorf("%s:\n%s%s", tt.name, text.String(), asJSON.String())
		}
	}
}
