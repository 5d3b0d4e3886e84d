package bench

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The credentials of a relay that lives for one run on a loopback address.
const (
	benchSecret     = "whsec_ZWRnZXJlbGF5IGJlbmNoIHNlY3JldCAwMTIzNDU2Nzg="
	benchAdminToken = "bench-admin-token-of-one-run"
)

// webhook is one webhook of a generated configuration.
type webhook struct {
	events string // a pattern
	url    string
	more   string // further keys, in YAML's flow style, each with ", " in front
}

// relayChild is a relay in a child process, with a generated configuration.
type relayChild struct {
	*Process
	file, data     string
	ingress, admin string // host:port
}

// writeConfig generates the configuration in dir; ingress is where producers are listened to, more are further lines.
func writeConfig(dir, ingress, more string, s RelaySettings, hooks []webhook) (file string, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndata_dir: %s\n", strconv.Quote(filepath.Join(dir, "data")))
	b.WriteString("log: { level: warn, format: text }\n")
	fmt.Fprintf(&b, "ingress: { listen: '%s', max_body: 1MiB }\n", ingress)
	fmt.Fprintf(&b, "admin: { listen: '127.0.0.1:0', tokens: [{ name: bench, token: %s, tenants: ['*'], role: admin }] }\n", benchAdminToken)
	fmt.Fprintf(&b, "queue: { durability: %s }\n", s.Durability)
	b.WriteString("sender: { allow_private_networks: [127.0.0.0/8], max_in_flight: 4096, timeout: 10s }\n")
	b.WriteString(more)
	b.WriteString("webhooks:\n")
	for i, h := range hooks {
		fmt.Fprintf(&b, "- { name: hook-%d, events: ['%s'], url: '%s', secret: %s, concurrency: %d%s }\n", i, h.events, h.url, benchSecret, s.Concurrency, h.more)
	}
	file = filepath.Join(dir, "edgerelay.yaml")
	return file, os.WriteFile(file, []byte(b.String()), 0o600)
}

// startRelay starts a relay on what writeConfig wrote, and returns when it listens.
func (s *Session) startRelay(file string) (*relayChild, error) {
	args := []string{"run", "-c", file}
	for _, f := range s.Relay.Extra {
		args = append(args, "-c", f)
	}
	if s.Relay.Unmetered {
		args = append([]string{"bench", "unmetered"}, args...)
	}
	if s.CPUProfile != "" {
		args = append([]string{"bench", "profiled", s.CPUProfile}, args...)
	}
	p, line, err := startProcess(ProcessOptions{Program: s.Program, Args: args, Prefix: "listening "})
	if err != nil {
		return nil, err
	}
	r := &relayChild{Process: p, file: file, data: filepath.Join(filepath.Dir(file), "data")}
	for _, f := range strings.Fields(line) {
		switch name, value, _ := strings.Cut(f, "="); name {
		case "ingress":
			r.ingress = value
		case "admin":
			r.admin = value
		}
	}
	if r.ingress == "" || r.admin == "" {
		p.Kill()
		return nil, fmt.Errorf("the relay printed %q: want its addresses", line)
	}
	s.watch("relay", p.PID())
	return r, nil
}

// target is where events are sent to.
func (r *relayChild) target(body string) Target {
	return Target{URL: "http://" + r.ingress + "/v1/events", Body: body}
}

// metrics reads the relay's metrics; of series with labels, the sum over them.
func (r *relayChild) metrics() (map[string]float64, error) {
	text, err := r.metricsText()
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		name, _, _ := strings.Cut(line[:at], "{")
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
			values[name] += v
		}
	}
	return values, nil
}

func (r *relayChild) metricsText() (string, error) {
	req, err := http.NewRequest("GET", "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return "", fmt.Errorf("read metrics: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+benchAdminToken)
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("read metrics: status %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return "", fmt.Errorf("read metrics: %w", err)
	}
	return string(text), nil
}

// says is what the relay itself thinks of deliveries that did not arrive.
func (r *relayChild) says() string {
	text, err := r.metricsText()
	if err != nil {
		return err.Error()
	}
	var list []string
	for line := range strings.Lines(text) {
		for _, name := range []string{"queue_pending", "queue_lost_events", "queue_damaged_records", "webhook_circuit_state"} {
			if rest, ok := strings.CutPrefix(line, "edgerelay_"+name); ok && len(list) < 12 {
				list = append(list, name+strings.TrimSpace(rest))
			}
		}
	}
	return strings.Join(append(list, strings.TrimSpace(r.errors.String())), "; ")
}
