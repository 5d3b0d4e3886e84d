package deliver

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edgerelay/relay/queue"
	"edgerelay/relay/webhooks"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// tokenServer gives out t1, t2, … unless answer says otherwise.
type tokenServer struct {
	*httptest.Server
	requests atomic.Int64
	answer   func(w http.ResponseWriter, r *http.Request, n int64)
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{answer: func(w http.ResponseWriter, _ *http.Request, n int64) {
		fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":100}`, n)
	}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a server notices that its client has gone only when it has read the body
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.answer(w, r, s.requests.Add(1))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) credentials() *webhooks.OAuth2 {
	return &webhooks.OAuth2{TokenURL: s.URL + "/token?key=URL-CANARY", ClientID: "relay", ClientSecret: "SECRET-CANARY"}
}

// clock is a time that the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.mu.Unlock()
}

func TestTokenIsCachedAndRefreshed(t *testing.T) {
	s, c := newTokenServer(t), newClock()
	tok := newTokens(s.credentials(), allowing(loopback...), c.now)
	down := false
	give := s.answer
	s.answer = func(w http.ResponseWriter, r *http.Request, n int64) {
		if down {
			w.WriteHeader(503)
			return
		}
		give(w, r, n)
	}
	for i, step := range []struct {
		wait time.Duration
		down bool
		want string // "" = an error
		asks int64  // in all
	}{
		{0, false, "t1", 1},
		{89 * time.Second, false, "t1", 1},
		{2 * time.Second, false, "t2", 2},             // 91 % of its life
		{91 * time.Second, true, "t2", 3},             // the refresh fails, the old one is good still
		{500 * time.Millisecond, true, "t2", 3},       // nobody asks again so soon
		{600 * time.Millisecond, true, "t2", 4},       // now
		{8 * time.Second, true, "", 5},                // its life is over
		{500 * time.Millisecond, false, "", 5},        // the failure of a moment ago stands
		{600 * time.Millisecond, false, "t6", 6},      // and is forgotten
		{99 * time.Second, false, "t7", 7},            // a refresh by whoever comes first
		{24 * 365 * time.Hour, false, "t8", 8},        // long idle
		{100*time.Second - 1, true, "t8", 9},          // the last moment
		{time.Second + time.Nanosecond, true, "", 10}, // too late
	} {
		c.add(step.wait)
		down = step.down
		got, err := tok.get()
		if want := "Bearer " + step.want; (err != nil) != (step.want == "") || err == nil && string(got) != want || s.requests.Load() != step.asks {
			t.Fatalf("step %d: %q, %v after %d requests", i+1, got, err, s.requests.Load())
		}
	}
}

func TestOneTokenRequestForMany(t *testing.T) {
	s, c := newTokenServer(t), newClock()
	give := s.answer
	asked, release := make(chan struct{}), make(chan struct{})
	s.answer = func(w http.ResponseWriter, r *http.Request, n int64) {
		asked <- struct{}{}
		<-release
		give(w, r, n)
	}
	tok := newTokens(s.credentials(), allowing(loopback...), c.now)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if got, err := tok.get(); err != nil || string(got) != "Bearer t1" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	<-asked
	release <- struct{}{}
	wg.Wait()

	c.add(95 * time.Second)
	wg.Go(func() {
		if got, err := tok.get(); err != nil || string(got) != "Bearer t2" {
			t.Errorf("the one that refreshes: %q, %v", got, err)
		}
	})
	<-asked // the refresh hangs; everybody else goes on with the old token
	for range 8 {
		if got, err := tok.get(); err != nil || string(got) != "Bearer t1" {
			t.Errorf("while it is refreshed: %q, %v", got, err)
		}
	}
	release <- struct{}{}
	wg.Wait()
	if n := s.requests.Load(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// Everybody who waits for a request learns that it has failed, and nobody repeats it.
func TestFailedTokenRequestForMany(t *testing.T) {
	s, c := newTokenServer(t), newClock()
	asked, release := make(chan struct{}), make(chan struct{})
	s.answer = func(w http.ResponseWriter, _ *http.Request, _ int64) {
		asked <- struct{}{}
		<-release
		w.WriteHeader(500)
	}
	tok := newTokens(s.credentials(), allowing(loopback...), c.now)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := tok.get(); err == nil || !strings.Contains(err.Error(), "answered 500") {
				t.Error(err)
			}
		})
	}
	<-asked
	release <- struct{}{}
	wg.Wait()
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestTokenRequest(t *testing.T) {
	s := newTokenServer(t)
	give := s.answer
	var got http.Header
	var form url.Values
	s.answer = func(w http.ResponseWriter, r *http.Request, n int64) {
		body, _ := io.ReadAll(r.Body)
		got = r.Header.Clone()
		form, _ = url.ParseQuery(string(body))
		if r.Method != http.MethodPost || r.URL.Query().Get("key") != "URL-CANARY" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		give(w, r, n)
	}
	o := s.credentials()
	o.ClientID, o.ClientSecret = "a b:c", "p%&ü"
	o.Scopes, o.Params = []string{"read", "write"}, []webhooks.Param{{Name: "audience", Value: "https://api.example/?a=b"}}
	for _, inBody := range []bool{false, true} {
		o.InBody = inBody
		if _, err := newTokens(o, allowing(loopback...), time.Now).get(); err != nil {
			t.Fatal(err)
		}
		if form.Get("grant_type") != "client_credentials" || form.Get("scope") != "read write" || form.Get("audience") != "https://api.example/?a=b" {
			t.Errorf("form %v", form)
		}
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("a+b%3Ac:p%25%26%C3%BC"))
		if inBody && (form.Get("client_id") != "a b:c" || form.Get("client_secret") != "p%&ü" || got.Get("Authorization") != "") {
			t.Errorf("in the body: %v, %v", form, got)
		}
		if !inBody && (form.Has("client_id") || form.Has("client_secret") || got.Get("Authorization") != basic) {
			t.Errorf("as basic authentication: %v, %v", form, got)
		}
	}
}

func TestTokenAnswers(t *testing.T) {
	var sentinel atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sentinel.Add(1) }))
	defer other.Close()
	say := func(status int, body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	redirect := func(status int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }
	}
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string // of the error, or "Bearer …"
		life   time.Duration
	}{
		"plain":                {say(200, `{"access_token":"a","expires_in":3600}`), "Bearer a", time.Hour},
		"seconds as a text":    {say(200, `{"access_token":"a","expires_in":"3600"}`), "Bearer a", time.Hour},
		"no life":              {say(200, `{"access_token":"a"}`), "Bearer a", tokenLife},
		"null as life":         {say(200, `{"access_token":"a","expires_in":null}`), "Bearer a", tokenLife},
		"no life at all":       {say(200, `{"access_token":"a","expires_in":0}`), "Bearer a", minTokenLife},
		"negative life":        {say(200, `{"access_token":"a","expires_in":-5}`), "Bearer a", minTokenLife},
		"endless life":         {say(200, `{"access_token":"a","expires_in":1e300}`), "Bearer a", maxTokenLife},
		"life is out of range": {say(200, `{"access_token":"a","expires_in":1e999}`), "Bearer a", tokenLife},
		"refused":              {say(401, `{"error":"invalid_client","error_description":"SECRET-CANARY"}`), "answered 401 (invalid_client)", 0},
		"an odd error":         {say(400, `{"error":"<b>SECRET-CANARY"}`), "answered 400", 0},
		"201":                  {say(201, `{"access_token":"a"}`), "answered 201", 0},
		"not JSON":             {say(200, "access_token=a"), "not the JSON object", 0},
		"a list":               {say(200, `["a"]`), "not the JSON object", 0},
		"life is a word":       {say(200, `{"access_token":"a","expires_in":"soon"}`), "not the JSON object", 0},
		"empty":                {say(200, ""), "not the JSON object", 0},
		"no token":             {say(200, "{}"), "no usable access_token", 0},
		"token is a number":    {say(200, `{"access_token":1}`), "not the JSON object", 0},
		"another type":         {say(200, `{"access_token":"a","token_type":"mac"}`), "not Bearer", 0},
		"a line break":         {say(200, `{"access_token":"a\r\nX-Evil: 1"}`), "no header can carry", 0},
		"a space":              {say(200, `{"access_token":"a b"}`), "no header can carry", 0},
		"a long token":         {say(200, `{"access_token":"`+strings.Repeat("a", 17<<10)+`"}`), "no usable access_token", 0},
		"deep":                 {say(200, strings.Repeat("[", 60<<10)), "not the JSON object", 0},
		"huge": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write(make([]byte, 32<<10))
			}
		}, "longer than", 0},
		"huge headers": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Big", strings.Repeat("a", 1<<20)) }, "no answer", 0},
		"nothing":      {hang, "in time", 0},
		"half": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"access_token"`)
			w.(http.Flusher).Flush()
			hang(w, r)
		}, "in time", 0},
		"closes": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no answer", 0},
		"301":    {redirect(301), "answered 301: redirects are not followed", 0},
		"307":    {redirect(307), "answered 307: redirects are not followed", 0},
		"308":    {redirect(308), "answered 308: redirects are not followed", 0},
		"an odd redirect": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://SECRET-CANARY x/")
			w.WriteHeader(302)
		}, "answered 302: redirects are not followed", 0},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte{0x1f, 0x8b, 8})
		}, "not the JSON object", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newTokenServer(t), newClock()
			s.answer = func(w http.ResponseWriter, r *http.Request, _ int64) { tt.answer(w, r) }
			tok := newTokens(s.credentials(), allowing(loopback...), c.now)
			if tt.want == "in time" {
				tok.timeout = 50 * time.Millisecond
			}
			header, err := tok.get()
			if tt.life != 0 {
				if err != nil || string(header) != tt.want || !tok.expires.Equal(c.now().Add(tt.life)) {
					t.Errorf("%q, %v, life %v", header, err, tok.expires.Sub(c.now()))
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("got %q, %v", header, err)
			}
		})
	}
	if sentinel.Load() != 0 {
		t.Errorf("%d redirects were followed", sentinel.Load())
	}
}

// The guard stands between us and token URLs too, whatever their host is called.
func TestGuardRefusesTokenURLs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var connections atomic.Int64
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			conn.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "10.0.0.1",
		"192.168.0.1", "172.16.0.1", "100.64.0.1", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]", "168.63.129.16", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "0"} {
		o := &webhooks.OAuth2{TokenURL: "http://" + host + ":" + port + "/", ClientID: "c", ClientSecret: "s"}
		tok := newTokens(o, allowing(), time.Now)
		tok.timeout = 2 * time.Second
		if _, err := tok.get(); err == nil {
			t.Errorf("%s: a token", host)
		}
	}
	if connections.Load() != 0 {
		t.Errorf("%d connections", connections.Load())
	}
	tok := newTokens(&webhooks.OAuth2{TokenURL: "http://" + ln.Addr().String(), ClientID: "c", ClientSecret: "s"}, allowing(), time.Now)
	if _, err := tok.get(); err == nil || !strings.Contains(err.Error(), "network guard") {
		t.Errorf("the reason is not named: %v", err)
	}
}

// receiver remembers the credentials of the requests it gets, and answers with the status that it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []http.Header
	status func(r *http.Request, n int) int
}

func newReceiver(t *testing.T) *receiver {
	rc := &receiver{status: func(*http.Request, int) int { return 200 }}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		rc.got = append(rc.got, r.Header.Clone())
		w.WriteHeader(rc.status(r, len(rc.got)))
	}))
	t.Cleanup(rc.Close)
	return rc
}

// tokensSeen returns the credentials so far, and forgets them.
func (rc *receiver) tokensSeen() (all []string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for _, h := range rc.got {
		all = append(all, strings.TrimPrefix(h.Get("Authorization"), "Bearer "))
	}
	rc.got = nil
	return all
}

func oauthRig(t *testing.T, s *tokenServer, rc *receiver, path, endpoint string) (*rig, *clock) {
	t.Helper()
	a, err := webhooks.OAuth2Auth("id", endpoint, *s.credentials())
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	r := newRig(t, rc.URL+path, "POST", func(w *webhooks.Webhook) { w.Authorization = a })
	r.d.opt.Now = c.now
	r.client.tokens.now = c.now
	return r, c
}

func TestOAuth2OnTheWire(t *testing.T) {
	s, rc := newTokenServer(t), newReceiver(t)
	r, c := oauthRig(t, s, rc, "/hooks", rc.URL)
	expect := func(step string, action Action, reason queue.Reason, status int, tokens string, asks int64) {
		t.Helper()
		r.settle("1")
		if r.q.action != action || r.q.failure.Reason != reason || r.q.failure.Status != status {
			t.Errorf("%s: %v %+v", step, r.q.action, r.q.failure)
		}
		if got := strings.Join(rc.tokensSeen(), " "); got != tokens || s.requests.Load() != asks {
			t.Errorf("%s: the receiver saw %q after %d token requests, want %q after %d", step, got, s.requests.Load(), tokens, asks)
		}
	}
	expect("first", Ack, queue.ReasonNone, 0, "t1", 1)
	expect("cached", Ack, queue.ReasonNone, 0, "t1", 1)

	withdrawn := "t1"
	rc.status = func(r *http.Request, _ int) int {
		if r.Header.Get("Authorization") == "Bearer "+withdrawn {
			return 401
		}
		return 200
	}
	expect("withdrawn", Ack, queue.ReasonNone, 0, "t1 t2", 2)
	withdrawn = "t2"
	expect("withdrawn again, too soon", Retry, queue.ReasonStatus, 401, "t2", 2)
	c.add(forceEvery)
	rc.status = func(*http.Request, int) int { return 401 }
	expect("never content", Retry, queue.ReasonStatus, 401, "t2 t3", 3)
	expect("never content, the next attempt", Retry, queue.ReasonStatus, 401, "t3", 3)

	s.answer = func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(400) }
	c.add(forceEvery)
	expect("no new token after a 401", Retry, queue.ReasonAuth, 0, "t3", 4)
	expect("none at all", Retry, queue.ReasonAuth, 0, "", 4)
	if !r.q.failure.Counted {
		t.Error("a missing token does not count as an attempt")
	}
}

// The retry after a 401 is the same request but for its credentials.
func TestRetryAfter401IsTheSameRequest(t *testing.T) {
	s, rc := newTokenServer(t), newReceiver(t)
	r, _ := oauthRig(t, s, rc, "/{{ type }}", "")
	rc.status = func(_ *http.Request, n int) int { return map[int]int{1: 401}[n] + 200*min(n-1, 1) }
	r.settle("1")
	if r.q.action != Ack || len(rc.got) != 2 {
		t.Fatalf("%v %+v, %d requests", r.q.action, r.q.failure, len(rc.got))
	}
	first, second := rc.got[0], rc.got[1]
	first.Del("Authorization")
	second.Del("Authorization")
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("first %v\nsecond %v", first, second)
	}
}

// What expressions make of a URL cannot carry credentials out of where they may go.
func TestCredentialsStayBelowTheirEndpoint(t *testing.T) {
	s, rc := newTokenServer(t), newReceiver(t)
	for data, want := range map[string]Action{`"x"`: Ack, `".."`: Bury, `"../admin"`: Bury, `"x/y"`: Bury, `"."`: Bury, `"..;x"`: Bury} {
		r, _ := oauthRig(t, s, rc, "/hooks/{{ data }}", rc.URL+"/hooks")
		r.settle(data)
		if r.q.action != want || (want == Bury) != (r.q.failure.Reason == queue.ReasonPayload) || (len(rc.tokensSeen()) == 1) != (want == Ack) {
			t.Errorf("%s: %v %+v", data, r.q.action, r.q.failure)
		}
	}
	r, _ := oauthRig(t, s, rc, "/hooks/a", rc.URL+"/hooks")
	for path, want := range map[string]bool{"/hooks/b": true, "/other": false, "/hooks/../other": false} {
		r.w.shaped.Path = path
		r.w.prepared = nil
		err := r.w.build(&r.target, r.client, nil)
		if (err == nil) != want {
			t.Errorf("a transform's path %s: %v", path, err)
		}
	}
}

// Webhooks share the tokens of their authorization, for as long as one of them has it.
func TestTokensAreShared(t *testing.T) {
	a, err := webhooks.OAuth2Auth("a", "", webhooks.OAuth2{TokenURL: "https://id.example/", ClientID: "c", ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "http://a.example", "POST", nil)
	one, two := &webhooks.Webhook{Authorization: a}, &webhooks.Webhook{Authorization: a}
	if r.d.tokensLocked(one) == nil || r.d.tokensLocked(one) != r.d.tokensLocked(two) {
		t.Error("not shared")
	}
	r.d.forgetTokensLocked()
	if len(r.d.tokens) != 0 {
		t.Error("kept although no webhook has the authorization")
	}
}
