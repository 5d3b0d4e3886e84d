package playground

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"edgerelay/plugins/kit"
)

//go:embed page.html
var page []byte

//go:embed page.js
var script []byte

//go:embed page.css
var style []byte

// Server shows a session on a page. Whoever knows the page's address can write the plugin's files, so the address holds a secret and the
// listener is on a loopback address: no web page elsewhere can guess it, whatever name it gives to 127.0.0.1.
type Server struct {
	session  *Session
	listener net.Listener
	http     *http.Server
	base     string
	quit     chan struct{}
	once     sync.Once
	done     chan struct{}
}

// Listen opens the page's listener on a loopback address.
func Listen(s *Session, address string) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the playground: %w", err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("listen for the playground: %s is not a loopback address, and the page can write files", address)
	}
	v := &Server{session: s, listener: l, base: "/" + strings.ToLower(rand.Text()), quit: make(chan struct{}), done: make(chan struct{})}
	v.http = &http.Server{Handler: v.routes(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(v.done)
		v.http.Serve(l) // ends with Close
	}()
	return v, nil
}

// URL is the page's address.
func (v *Server) URL() string { return "http://" + v.listener.Addr().String() + v.base + "/" }

// Close ends the page.
func (v *Server) Close() error {
	v.once.Do(func() { close(v.quit) })
	err := v.http.Close()
	<-v.done
	return err
}

// routes is the table of contents of the page.
func (v *Server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET "+v.base+"/{$}", asset("text/html; charset=utf-8", page))
	m.HandleFunc("GET "+v.base+"/page.js", asset("text/javascript; charset=utf-8", script))
	m.HandleFunc("GET "+v.base+"/page.css", asset("text/css; charset=utf-8", style))
	m.HandleFunc("GET "+v.base+"/api/stream", v.stream)
	m.HandleFunc("GET "+v.base+"/api/files", v.list)
	m.HandleFunc("GET "+v.base+"/api/file", v.read)
	m.HandleFunc("PUT "+v.base+"/api/file", v.write)
	m.HandleFunc("POST "+v.base+"/api/run", v.run)
	m.HandleFunc("GET "+v.base+"/api/delivery", v.delivery)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
		m.ServeHTTP(w, r)
	})
}

func asset(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(body)
	}
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		code := http.StatusBadRequest
		if errors.Is(err, fs.ErrNotExist) {
			code = http.StatusNotFound
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // the reader is gone when that fails
}

// stream sends every state as it comes, beginning with the last.
func (v *Server) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		state, moved := v.session.current()
		text, err := json.Marshal(state)
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-moved:
		case <-r.Context().Done():
			return
		case <-v.quit:
			return
		}
	}
}

func (v *Server) list(w http.ResponseWriter, _ *http.Request) {
	names, err := v.session.files()
	answer(w, map[string]any{"files": names, "relay": v.session.opt.Fetch != nil}, err)
}

func (v *Server) read(w http.ResponseWriter, r *http.Request) {
	text, err := v.session.readFile(r.FormValue("name"))
	answer(w, map[string]string{"text": string(text)}, err)
}

func (v *Server) write(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = v.session.writeFile(r.FormValue("name"), text)
	}
	answer(w, map[string]bool{"written": err == nil}, err)
}

// run changes the event and the configuration.
func (v *Server) run(w http.ResponseWriter, r *http.Request) {
	var c struct{ Name, Event, Config string }
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		answer(w, nil, err)
		return
	}
	answer(w, v.session.choose(r.Context(), choice{c.Name, c.Event, c.Config}), nil)
}

// delivery fetches the event of a delivery from the relay.
func (v *Server) delivery(w http.ResponseWriter, r *http.Request) {
	if v.session.opt.Fetch == nil {
		answer(w, nil, errors.New("no relay is known: start with --url"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	e, err := v.session.opt.Fetch(ctx, r.FormValue("id"))
	answer(w, map[string]string{"event": producer(e)}, err)
}

// producer writes an event as a producer sends it.
func producer(e kit.Event) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(e.Envelope, &m) != nil {
		return ""
	}
	for name, value := range map[string][]byte{"tenant": e.Meta.Tenant, "program": e.Meta.Program} {
		if len(value) > 0 {
			m[name], _ = json.Marshal(string(value)) // a text
		}
	}
	text, _ := json.MarshalIndent(m, "", "  ") // it was JSON
	return string(text)
}
