package alert

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

func itoa(n int) string { return strconv.Itoa(n) }

// compose writes an e-mail. Whatever comes from outside is made one line of visible text, so that it can be neither a header nor look like
// text of ours.
func compose(l *letter, dashboard string) Mail {
	var b strings.Builder
	for _, d := range l.news {
		if d.ID == queueID {
			writeQueue(&b, d)
		} else {
			writeWebhook(&b, d, strings.TrimRight(dashboard, "/"))
		}
		b.WriteString("\n")
	}
	if l.omitted > 0 {
		fmt.Fprintf(&b, "There is more that has no room here: %d further reports.\n\n", l.omitted)
	}
	if l.last {
		b.WriteString("This was the last e-mail of today to this address (alerts.max_per_day). What else happens today is in the first one of tomorrow.\n\n")
	}
	b.WriteString("-- \nedgerelay. You get this because your address is among the error recipients of these webhooks, or of the relay.\n")
	return Mail{To: l.to, Subject: subject(l.news), Text: b.String()}
}

func subject(news []*digest) string {
	if len(news) > 1 {
		dead := 0
		for _, d := range news {
			dead += d.Dead
		}
		if dead > 0 {
			return fmt.Sprintf("[edgerelay] %d webhooks: %s failed", len(news), count(dead, "delivery", "deliveries"))
		}
		return fmt.Sprintf("[edgerelay] news of %d webhooks", len(news))
	}
	d := news[0]
	name := line(cmp.Or(d.Name, d.ID), 80)
	switch {
	case d.ID == queueID && d.QueueNormalAt.IsZero():
		return "[edgerelay] the queue is nearly full"
	case d.ID == queueID:
		return "[edgerelay] the queue has room again"
	case !d.DisabledAt.IsZero():
		return "[edgerelay] " + name + " is disabled"
	case d.Dead > 0:
		return fmt.Sprintf("[edgerelay] %s: %s failed", name, count(d.Dead, "delivery", "deliveries"))
	case !d.RecoveredAt.IsZero():
		return "[edgerelay] " + name + " works again"
	}
	return "[edgerelay] " + name + " is failing"
}

func writeWebhook(b *strings.Builder, d *digest, dashboard string) {
	fmt.Fprintf(b, "Webhook %s", line(cmp.Or(d.Name, "(removed)"), 255))
	if d.Tenant != "" {
		fmt.Fprintf(b, ", tenant %s", line(d.Tenant, 255))
	}
	if d.Program != "" {
		fmt.Fprintf(b, ", program %s", line(d.Program, 255))
	}
	b.WriteString("\n")
	if dashboard != "" {
		fmt.Fprintf(b, "  %s/webhooks/%s\n", page(dashboard, d.Tenant), d.ID)
	} else {
		fmt.Fprintf(b, "  id: %s\n", d.ID)
	}
	if !d.DisabledAt.IsZero() {
		fmt.Fprintf(b, "  Disabled at %s: %s.\n  Nothing is sent to it until somebody enables it again.\n", when(d.DisabledAt), line(d.Why, 200))
	}
	if !d.FailingAt.IsZero() {
		fmt.Fprintf(b, "  Failing since %s: %s. Deliveries wait and are tried again.\n", when(d.FailingAt), line(d.Failure, 200))
	}
	if !d.RecoveredAt.IsZero() {
		fmt.Fprintf(b, "  Works again since %s.\n", when(d.RecoveredAt))
	}
	if d.Dead == 0 {
		return
	}
	fmt.Fprintf(b, "  %s given up", count(d.Dead, "delivery", "deliveries"))
	if d.Dead == 1 {
		fmt.Fprintf(b, " at %s", when(d.FirstDead))
	} else {
		fmt.Fprintf(b, " between %s and %s", when(d.FirstDead), when(d.LastDead))
	}
	var parts []string
	for _, c := range slices.SortedFunc(maps.Keys(d.Reasons), func(a, b string) int {
		return cmp.Or(d.Reasons[b]-d.Reasons[a], strings.Compare(a, b))
	}) {
		parts = append(parts, fmt.Sprintf("%s %d×", line(c, 40), d.Reasons[c]))
	}
	fmt.Fprintf(b, ": %s\n", strings.Join(parts, ", "))
	for _, s := range d.Samples {
		fmt.Fprintf(b, "  - event %s (%s), %s, %s, %s\n", line(s.Event, 255), line(s.Type, 255), line(s.Class, 40), count(s.Attempts, "attempt", "attempts"), when(s.At))
		if dashboard != "" {
			fmt.Fprintf(b, "    %s/deliveries/%s\n", page(dashboard, d.Tenant), s.Delivery)
		} else {
			fmt.Fprintf(b, "    edgerelay deliveries show %s\n", s.Delivery)
		}
	}
	if d.Dead > len(d.Samples) {
		fmt.Fprintf(b, "  - and %d more\n", d.Dead-len(d.Samples))
	}
}

func writeQueue(b *strings.Builder, d *digest) {
	if !d.QueueHighAt.IsZero() {
		fmt.Fprintf(b, "Nearly full since %s. When it is full, producers get 503 and keep their events.\n", when(d.QueueHighAt))
	}
	if !d.QueueNormalAt.IsZero() {
		fmt.Fprintf(b, "There is room again since %s.\n", when(d.QueueNormalAt))
	}
	const mib = 1 << 20
	fmt.Fprintf(b, "  queue: %d MiB of %d MiB (queue.max_bytes); free disk: %d MiB\n", d.Bytes/mib, d.MaxBytes/mib, d.DiskFree/mib)
}

// page is where the dashboard shows a tenant's things.
func page(dashboard, tenant string) string {
	return dashboard + "/ui/t/" + url.PathEscape(tenant)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// line is s as one line of at most so many characters, without anything that does not show.
func line(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(r) {
			r = '·'
		}
		b.WriteRune(r)
	}
	return b.String()
}
