package relay

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"edgerelay/config"
	"edgerelay/relay/deliver"
	"edgerelay/relay/event"
	"edgerelay/relay/ingress"
	"edgerelay/relay/payload"
	"edgerelay/relay/webhooks"
)

// What is limited, by what the configuration says: rates of sending and of receiving, order, and how long a webhook may fail.

func rateOf(r config.Rate) deliver.Rate {
	if r == 0 {
		return deliver.Rate{}
	}
	return deliver.PerSecond(r.In())
}

// limitsOf are the limits of the sending side.
func limitsOf(c *config.Config) deliver.Limits {
	l := deliver.Limits{Rate: rateOf(c.Sender.RateLimit), Tenants: map[string]deliver.Rate{}, DisableAfter: time.Duration(c.Sender.DisableAfter)}
	for _, t := range c.Tenants {
		if t.RateLimit > 0 {
			l.Tenants[t.ID] = rateOf(t.RateLimit)
		}
	}
	return l
}

// tenantRates are the limits of the receiving side.
func tenantRates(c *config.Config) map[string]ingress.Rate {
	rates := map[string]ingress.Rate{}
	for _, t := range c.Tenants {
		if t.Limits.IngressRate > 0 {
			rates[t.ID] = ingress.Rate(rateOf(t.Limits.IngressRate))
		}
	}
	return rates
}

// quotas are the bytes that tenants may have in the queue.
func quotas(c *config.Config) map[string]int64 {
	q := map[string]int64{}
	for _, t := range c.Tenants {
		if t.Limits.PendingBytes > 0 {
			q[t.ID] = int64(t.Limits.PendingBytes)
		}
	}
	return q
}

// order compiles what order a webhook wants, and its rate.
func (b *builder) order(w *webhooks.Webhook, c *config.Webhook, path string) {
	w.Rate = webhooks.RateLimit(rateOf(c.RateLimit))
	switch c.Ordering {
	case "none", "":
	case "webhook":
		w.Ordered = true
	default:
		w.Ordered = true
		var err error
		if w.OrderKey, err = payload.CompileKey(c.Ordering); err != nil {
			b.problem(path+".ordering", err)
		}
	}
}

// A webhook that does nothing but fail is remembered, so that a restart does not begin to count anew.
const failingPrefix = "failing/"

// failing is told by the sending side that a row of failures is worth remembering, or has ended.
func (r *Relay) failing(w event.WebhookID) {
	r.failMu.Lock()
	defer r.failMu.Unlock() // so that what is stored last is what was true last
	f := r.deliver.FailingOf(w)
	var value []byte
	if !f.Since.IsZero() {
		value = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(f.Since.UnixMilli())), uint64(f.Count))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.queue.Put(ctx, failingPrefix+w.String(), value); err != nil {
		r.log.Warn("cannot store since when a webhook has been failing; a restart will begin to count anew", "webhook", w.String(), "error", err)
	}
}

// readFailing reads what was remembered.
func (r *Relay) readFailing() (map[event.WebhookID]deliver.Failing, error) {
	all := map[event.WebhookID]deliver.Failing{}
	err := r.queue.Scan(failingPrefix, func(key string, value []byte) bool {
		if id, err := event.ParseWebhookID(strings.TrimPrefix(key, failingPrefix)); err == nil && len(value) == 16 {
			all[id] = deliver.Failing{Since: time.UnixMilli(int64(binary.BigEndian.Uint64(value))), Count: int(binary.BigEndian.Uint64(value[8:]))}
		}
		return true
	})
	return all, err
}
