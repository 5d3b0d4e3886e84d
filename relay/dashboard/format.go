package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// formats are the functions of the templates.
func formats(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"when":     func(t time.Time) when { return whenAt(t, now()) },
		"count":    count,
		"bytes":    size,
		"millis":   millis,
		"pretty":   func(v json.RawMessage) string { return pretty([]byte(v)) },
		"short":    short,
		"join":     strings.Join,
		"pairs":    pairs,
		"escape":   url.PathEscape,
		"query":    url.QueryEscape,
		"plural":   plural,
		"statuses": func() []string { return []string{"draft", "active", "paused", "disabled"} },
		"schemes": func() []string {
			return []string{"standard", "standard-ed25519", "github", "stripe", "shopify", "hmac", "rfc9421", "none"}
		},
		"payloads":  func() []string { return []string{"json", "xml", "plain", "form", "raw"} },
		"onErrors":  func() []string { return []string{"retry", "dead", "drop", "send_original"} },
		"outcomes":  func() []string { return []string{"delivered", "failed", "retrying", "dead", "dropped"} },
		"spans":     func() []string { return []string{"15m", "1h", "24h", "7d"} },
		"roles":     func() []string { return []string{"viewer", "editor", "admin"} },
		"authTypes": func() []string { return []string{"header", "basic", "bearer", "oauth2"} },
		"methods":   func() []string { return []string{"POST", "PUT", "PATCH", "DELETE", "GET"} },
		"hasSlash":  func(s string) bool { return strings.Contains(s, "/") },
		"deref": func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		},
	}
}

// pairs makes a map for a part that needs more than one value.
func pairs(kv ...any) (map[string]any, error) {
	if len(kv)%2 != 0 {
		return nil, fmt.Errorf("pairs: %d arguments", len(kv))
	}
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		name, ok := kv[i].(string)
		if !ok {
			return nil, fmt.Errorf("pairs: argument %d is no name", i)
		}
		m[name] = kv[i+1]
	}
	return m, nil
}

// when is a time as people read it, with the exact one beside it.
type when struct {
	ISO   string
	Exact string
	Ago   string
	Next  bool // it is still to come
}

func whenAt(t, now time.Time) when {
	if t.IsZero() {
		return when{}
	}
	t = t.UTC()
	return when{ISO: t.Format(time.RFC3339Nano), Exact: t.Format("2 Jan 2006, 15:04:05.000 UTC"), Ago: relative(now.Sub(t)), Next: t.After(now)}
}

// relative says how long ago something was, or in how long it will be.
func relative(d time.Duration) string {
	past := d >= 0
	d = d.Abs()
	var text string
	switch {
	case d < 5*time.Second && past:
		return "just now"
	case d < time.Minute:
		text = fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		text = fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		text = fmt.Sprintf("%d h", int(d.Hours()))
	default:
		text = fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	if past {
		return text + " ago"
	}
	return "in " + text
}

// count writes a number with thin groups: 12 345.
func count(n any) string {
	s := fmt.Sprint(n)
	if f, ok := n.(float64); ok {
		s = strconv.FormatInt(int64(f), 10)
	}
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return sign + strings.Join(append([]string{s}, parts...), "\u202f")
}

func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f /= 1024
		u++
	}
	if u == 0 || f >= 100 || f == math.Trunc(f) {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// millis writes microseconds as milliseconds, with as many digits as help.
func millis(micros float64) string {
	ms := micros / 1000
	switch {
	case ms >= 10_000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	case ms >= 1:
		return fmt.Sprintf("%.1f ms", ms)
	case ms > 0:
		return fmt.Sprintf("%.2f ms", ms)
	}
	return "0 ms"
}

// pretty indents JSON and leaves everything else as it is. Keys keep their order and numbers their digits.
func pretty(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// short cuts an id in the middle of a table down to its start and end.
func short(id string) string {
	if len(id) <= 18 {
		return id
	}
	return id[:8] + "…" + id[len(id)-6:]
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

func itoa(n int) string { return strconv.Itoa(n) }
