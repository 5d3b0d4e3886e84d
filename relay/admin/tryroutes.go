package admin

import (
	"context"
	"encoding/json"
)

// Trier tries webhooks: it makes the request that one would send, and sends nothing.
type Trier interface {
	// Try finds the webhook and the event among what a token for tenants (nil = all) may see; else it answers ErrNotFound. What is wrong with a draft is Mistakes.
	Try(ctx context.Context, in *TryRequest, tenants []string) (*TryAnswer, error)
}

// TryRequest says which webhook to try, and with which event.
type TryRequest struct {
	Webhook string          `json:"webhook,omitempty" doc:"Id of a webhook. With a draft: the webhook that the draft is a new version of."`
	Draft   json.RawMessage `json:"draft,omitempty" doc:"A webhook that is not stored, with the keys of one in the configuration. One of webhook and draft is needed."`
	Event   json.RawMessage `json:"event,omitempty" doc:"An event as producers send it. It is one of the webhook's tenant, whatever it says."`
	Example string          `json:"example,omitempty" maxLength:"255" doc:"Instead of an event: the example of this event type. Neither: the first example of a type that the webhook subscribes to."`
	Stored  string          `json:"stored,omitempty" maxLength:"255" doc:"Instead of an event: the id of an event or a delivery that the relay remembers."`
	Compare bool            `json:"compare,omitempty" doc:"With a draft: also try the webhook that is in force, and say what is different."`
}

// TryAnswer is the trial, and perhaps what it is compared with.
type TryAnswer struct {
	Trial
	Published *Trial  `json:"published,omitempty" doc:"The same for the webhook in force."`
	Diff      *string `json:"diff,omitempty" doc:"What is different: lines that begin with - or + ; empty = nothing."`
}

type tryInput struct{ Body TryRequest }

const tryExample = `{"draft":{"name":"feed","tenant":"acme","events":["order.*"],"url":"https://crm.example/hooks?n={{ data.n }}"},"event":{"type":"order.paid","data":{"n":7}}}`

// maxTryBody bounds an event of a MiB and a draft.
const maxTryBody = 3 << 20

func (s *Server) tryRoutes() []route {
	if s.opts.Try == nil {
		return nil
	}
	return []route{
		operation(op{method: "POST", path: "/api/v1/try", id: "try-webhook", tag: "webhooks", role: RoleEditor, maxBody: maxTryBody, errors: []int{404, 503},
			summary: "Show the exact request that a webhook would send for an event; nothing is sent",
			about: "Made by the code that deliveries go through. Credentials are shown as ***, and so is what the webhook's configuration conceals. " +
				"The answer has the log, fuel and time of each transform. At most four trials are under way at the same time, for at most 20 seconds.",
			bodies: map[string]string{"draft": tryExample}}, s.tryWebhook),
	}
}

func (s *Server) tryWebhook(ctx context.Context, c *call, in *tryInput) (*TryAnswer, error) {
	b := &in.Body
	sources := 0
	for _, given := range []bool{len(b.Event) > 0, b.Example != "", b.Stored != ""} {
		if given {
			sources++
		}
	}
	switch {
	case b.Webhook == "" && len(b.Draft) == 0:
		return nil, Mistakes{{Path: "draft", Message: "is missing: give a draft, or the id of a webhook"}}
	case sources > 1:
		return nil, Mistakes{{Path: "event", Message: "give one of event, example and stored"}}
	case b.Compare && len(b.Draft) == 0:
		return nil, Mistakes{{Path: "compare", Message: "needs a draft to compare with"}}
	}
	return s.opts.Try.Try(ctx, b, c.tenants)
}
