package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// templatePayload is a payload definition that makes the message that the guests make.
const templatePayload = `, payload: { body: { text: "{{ data.customer.name }} ordered {{ data.order }} for {{ data.amount }} {{ data.currency }}" } }`

// orderSample is what guests with a language runtime are primed with.
const orderSample = `, sample: { type: order.created, data: { order: A-1, customer: { name: Ada }, amount: 5, currency: EUR } }`

// shape is one way of making a request of an event.
type shape struct {
	name, more string
	unmetered  bool
}

// shapes are the event as it is, the template, and every guest: put back after every event, sharing its state, and that without metering.
func (s *Session) shapes() ([]shape, error) {
	all := []shape{{name: "as it is"}, {name: "template", more: templatePayload}}
	for i, g := range s.Guests {
		file := filepath.Join(s.dir, fmt.Sprintf("guest-%d.wasm", i))
		if err := os.WriteFile(file, g.WASM, 0o600); err != nil {
			return nil, fmt.Errorf("write guest: %w", err)
		}
		step := "wasm: " + strconv.Quote(file) + ", timeout: 10s"
		if g.Prime {
			step += orderSample
		}
		one := func(name, isolation string, unmetered bool) shape {
			return shape{name: g.Name + ", " + name, more: fmt.Sprintf(", transform: [{ %s, isolation: %s }]", step, isolation), unmetered: unmetered}
		}
		all = append(all, one("reset", "event", false))
		if !s.Quick {
			all = append(all, one("shared", "shared", false), one("shared, not metered", "shared", true))
		}
	}
	return all, nil
}

// transforms compares shapes with the event as it is.
func transforms(ctx context.Context, s *Session) error {
	shapes, err := s.shapes()
	if err != nil {
		return err
	}
	defer func() { s.Relay.Unmetered = false }()
	var base *Result
	for _, v := range shapes {
		o := s.plain(1)
		o.webhooks = func() []webhook {
			h := s.plainHook(0)
			h.events, h.more = orderType, v.more
			return []webhook{h}
		}
		s.Relay.Unmetered = v.unmetered
		err := s.withRelay(o, func(c *relayChild) error {
			res, err := s.measureRelay(ctx, c, s.closed(v.name, c.target(orderBody(s.Size))))
			if err != nil {
				return err
			}
			if base == nil {
				base = res
			} else {
				res.compare(base)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
