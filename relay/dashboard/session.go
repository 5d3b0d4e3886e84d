package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"sync"
	"time"
)

// How long sessions live, and how many there may be. The oldest one makes room for a new one.
const (
	idleLimit     = 12 * time.Hour
	absoluteLimit = 7 * 24 * time.Hour
	mostSessions  = 10_000
)

// session is one browser that has signed in. The token stays on the server: the browser holds nothing but a random id.
type session struct {
	token   string
	csrf    string
	created time.Time

	mu    sync.Mutex
	seen  time.Time
	flash []flash
}

// flash is a message for the next page.
type flash struct {
	Kind string // ok, warn or bad
	Text string
}

func (s *session) say(kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.flash) < 5 {
		s.flash = append(s.flash, flash{kind, text})
	}
}

// messages returns what is to be said, once.
func (s *session) messages() []flash {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.flash
	s.flash = nil
	return out
}

// validForm says whether a form was made by a page of this session.
func (s *session) validForm(r *http.Request) bool {
	got := r.Header.Get("X-CSRF-Token")
	if got == "" {
		got = r.PostFormValue("csrf")
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(s.csrf)) == 1
}

// sessions are kept in memory by the hash of their id: whoever reads the memory map's keys cannot use them. A restart ends all of them.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: map[[sha256.Size]byte]*session{}}
}

func random() string {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand, since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// open makes a session and returns its id, which exists nowhere else on this side.
func (s *sessions) open(token string) (string, *session) {
	now := s.now()
	id, ses := random(), &session{token: token, csrf: random(), created: now, seen: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostSessions {
		s.sweep(now)
	}
	s.all[sha256.Sum256([]byte(id))] = ses
	return id, ses
}

// sweep drops what has expired, and if that is nothing, the session that was not used for longest.
func (s *sessions) sweep(now time.Time) {
	var oldest [sha256.Size]byte
	var at time.Time
	before := len(s.all)
	for key, ses := range s.all {
		if ses.expired(now) {
			delete(s.all, key)
			continue
		}
		if seen := ses.lastSeen(); at.IsZero() || seen.Before(at) {
			oldest, at = key, seen
		}
	}
	if len(s.all) == before {
		delete(s.all, oldest)
	}
}

func (s *session) lastSeen() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *session) expired(now time.Time) bool {
	return now.Sub(s.lastSeen()) > idleLimit || now.Sub(s.created) > absoluteLimit
}

// find returns the session of an id, or nil.
func (s *sessions) find(id string) *session {
	if id == "" {
		return nil
	}
	key := sha256.Sum256([]byte(id))
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := s.all[key]
	if ses == nil {
		return nil
	}
	if ses.expired(now) {
		delete(s.all, key)
		return nil
	}
	ses.mu.Lock()
	ses.seen = now
	ses.mu.Unlock()
	return ses
}

// close ends one session; closeToken ends all that were opened with the same token.
func (s *sessions) close(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(id)))
}

func (s *sessions) closeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, ses := range s.all {
		if subtle.ConstantTimeCompare([]byte(ses.token), []byte(token)) == 1 {
			delete(s.all, key)
		}
	}
}

// The cookie. The prefix __Host- makes browsers insist on Secure, on the path / and on this very host; without TLS, which only a loopback
// listener may be, browsers do not accept it.
func (d *Dashboard) cookieName() string {
	if d.opts.Secure {
		return "__Host-edgerelay"
	}
	return "edgerelay_session"
}

func (d *Dashboard) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: d.cookieName(), Value: value, Path: "/", MaxAge: maxAge, Secure: d.opts.Secure, HttpOnly: true,
		SameSite: http.SameSiteStrictMode})
}

func (d *Dashboard) cookieID(r *http.Request) string {
	c, err := r.Cookie(d.cookieName())
	if err != nil {
		return ""
	}
	return c.Value
}

// throttle counts failed sign-ins by address.
type throttle struct {
	now  func() time.Time
	mu   sync.Mutex
	seen map[string]*strikes
}

type strikes struct {
	n     int
	since time.Time
}

const (
	mostStrikes   = 10
	strikeWindow  = 15 * time.Minute
	mostAddresses = 10_000
)

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, seen: map[string]*strikes{}}
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// blocked says whether an address has to wait.
func (t *throttle) blocked(addr string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.seen[addr]
	return s != nil && t.now().Sub(s.since) < strikeWindow && s.n >= mostStrikes
}

func (t *throttle) failed(addr string) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.seen) >= mostAddresses {
		for a, s := range t.seen {
			if now.Sub(s.since) >= strikeWindow || len(t.seen) >= mostAddresses {
				delete(t.seen, a)
			}
		}
	}
	s := t.seen[addr]
	if s == nil || now.Sub(s.since) >= strikeWindow {
		s = &strikes{since: now}
		t.seen[addr] = s
	}
	s.n++
}

func (t *throttle) succeeded(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, addr)
}
