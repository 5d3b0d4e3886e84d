package admin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// requestLog gives each request an id, which its answer carries as X-Request-Id, and writes one line about it: at info when it changed something
// or failed on our side, else at debug. Paths are those of the table of routes, so ids of others' things and parameters are not in it.
type requestLog struct {
	boot  string
	count atomic.Uint64
}

// noted is what the line says besides what the outside of a handler knows.
type noted struct{ id, token string }

type notedKey struct{}

func newRequestLog() *requestLog {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return &requestLog{boot: hex.EncodeToString(b[:])}
}

// note remembers whose token a request has.
func note(r *http.Request, g *grant) {
	if n, ok := r.Context().Value(notedKey{}).(*noted); ok && g != nil {
		n.token = g.name
	}
}

// requestIDOf is the id of r, for other lines about it.
func requestIDOf(r *http.Request) string {
	if n, ok := r.Context().Value(notedKey{}).(*noted); ok {
		return n.id
	}
	return ""
}

// logged wraps next.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		n := &noted{id: s.requests.boot + "-" + strconv.FormatUint(s.requests.count.Add(1), 36)}
		w.Header().Set("X-Request-Id", n.id)
		seen := &statusWriter{ResponseWriter: w}
		r = r.WithContext(context.WithValue(r.Context(), notedKey{}, n))
		next.ServeHTTP(seen, r)
		level := slog.LevelDebug
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
		if !safe || seen.status >= 500 && seen.status != http.StatusServiceUnavailable {
			level = slog.LevelInfo
		}
		if !s.opts.Log.Enabled(r.Context(), level) {
			return
		}
		route := r.Pattern
		if route == "" || route == "/" {
			route = "other"
		}
		s.opts.Log.LogAttrs(r.Context(), level, "admin request", slog.String("request", n.id), slog.String("method", r.Method), slog.String("route", route),
			slog.Int("status", seen.code()), slog.String("token", n.token), slog.Duration("took", time.Since(begin).Round(time.Microsecond)))
	})
}

// statusWriter sees the status. Unwrap lets streams reach the connection through it.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
