package admin

import (
	"context"
	"encoding/json"
	"errors"

	"edgerelay/relay/event"
)

// pageInput are the parameters of every list. The largest page is that of the list.
type pageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" example:"10" doc:"How many at most."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

type listDeliveriesInput struct {
	pageInput
	Status  string `query:"status" enum:"retrying,held,dead,delivered,dropped" example:"dead" doc:"Only those that wait for another attempt, are held behind an earlier one of their key, or were given up. Those that were delivered, or dropped by a transform, are known by the history; without a status they are not listed."`
	Webhook string `query:"webhook" doc:"Only those of the webhook with this id."`
	Event   string `query:"event" doc:"Only those of the event with this id."`
}

type deliveryInput struct {
	ID string `path:"id" doc:"Id of the delivery." example:"dl_00000000000000000000000000"`
}

// deliveryID is the answer of what is done with a delivery.
type deliveryID struct {
	ID       string `json:"id"`
	Replayed bool   `json:"replayed,omitempty" doc:"It was settled already, and is sent again out of the history."`
}

func (s *Server) deliveryRoutes() []route {
	retryErrors := []int{409, 503}
	return []route{
		operation(op{method: "GET", path: "/api/v1/deliveries", id: "list-deliveries", tag: "deliveries", role: RoleViewer,
			summary: "List deliveries, newest first", errors: []int{503}}, s.listDeliveries),
		operation(op{method: "GET", path: "/api/v1/deliveries/{id}", id: "get-delivery", tag: "deliveries", role: RoleViewer,
			summary: "Show one delivery with its event and its attempts", errors: []int{503}}, s.getDelivery),
		operation(op{method: "POST", path: "/api/v1/deliveries/{id}/retry", id: "retry-delivery", tag: "deliveries", role: RoleEditor, status: 202,
			summary: "Make a delivery due now, with a fresh retry budget; one that is settled is sent again", errors: retryErrors}, s.retryDelivery),
	}
}

func (s *Server) listDeliveries(ctx context.Context, c *call, in *listDeliveriesInput) (out page[Delivery], err error) {
	f := Filter{State: in.Status, Event: in.Event, Tenants: c.tenants}
	if in.Webhook != "" {
		if f.Webhook, err = event.ParseWebhookID(in.Webhook); err != nil {
			return out, problemParameter("webhook: " + err.Error())
		}
	}
	if in.Status == "delivered" || in.Status == "dropped" {
		return s.settledDeliveries(ctx, c, in, f)
	}
	items, next, err := s.opts.Deliveries.List(ctx, f, in.Cursor, in.Limit)
	if items == nil {
		items = []Delivery{} // an empty list is [], not null
	}
	return page[Delivery]{items, next}, err
}

func (s *Server) getDelivery(ctx context.Context, c *call, in *deliveryInput) (DeliveryDetail, error) {
	id, err := event.ParseDeliveryID(in.ID)
	if err != nil {
		return DeliveryDetail{}, ErrNotFound // a malformed id names nothing
	}
	d, envelope, err := s.opts.Deliveries.Get(ctx, id)
	if err == nil && !c.sees(d.Tenant) {
		err = ErrNotFound
	}
	waits := err == nil
	if err != nil && (!errors.Is(err, ErrNotFound) || s.opts.History == nil) {
		return DeliveryDetail{}, err
	}
	out := DeliveryDetail{AttemptsMade: []AttemptDetail{}}
	if s.opts.History != nil {
		known, err := s.opts.History.Delivery(ctx, id, c.tenants)
		if err == nil {
			out = known
		} else if !waits {
			return DeliveryDetail{}, err
		}
	}
	if waits { // the queue knows better where it stands
		out.Delivery, out.Envelope = d, json.RawMessage(envelope)
	}
	return out, nil
}

func (s *Server) retryDelivery(ctx context.Context, c *call, in *deliveryInput) (deliveryID, error) {
	id, err := event.ParseDeliveryID(in.ID)
	if err != nil {
		return deliveryID{}, ErrNotFound
	}
	d, _, err := s.opts.Deliveries.Get(ctx, id)
	if err == nil && !c.sees(d.Tenant) {
		return deliveryID{}, ErrNotFound
	}
	if err == nil {
		err = s.opts.Deliveries.Redrive(ctx, id)
	}
	replayed := false
	if errors.Is(err, ErrNotFound) && s.opts.History != nil {
		d.Tenant, replayed, err = s.opts.History.Retry(ctx, id, c.tenants)
	}
	if err != nil {
		return deliveryID{}, err
	}
	s.opts.Log.Info("delivery retry requested", "delivery", in.ID, "tenant", d.Tenant, "replayed", replayed, "token", c.name)
	return deliveryID{in.ID, replayed}, nil
}

// settledDeliveries lists those that the queue has forgotten, by their last attempt.
func (s *Server) settledDeliveries(ctx context.Context, c *call, in *listDeliveriesInput, f Filter) (out page[Delivery], err error) {
	out.Items = []Delivery{}
	if s.opts.History == nil {
		return out, nil
	}
	p, err := s.opts.History.Attempts(ctx, HistoryFilter{Tenants: c.tenants, Event: in.Event, Webhook: f.Webhook, Statuses: []string{in.Status}}, in.Cursor, in.Limit)
	for i := range p.Items {
		a := &p.Items[i]
		out.Items = append(out.Items, Delivery{ID: a.Delivery, Webhook: a.Webhook, WebhookName: a.WebhookName, Event: a.Event, Type: a.Type, Tenant: a.Tenant,
			Program: a.Program, Status: a.Status, Attempts: a.Number, SettledAt: a.At})
	}
	out.NextCursor = p.NextCursor
	return out, err
}
