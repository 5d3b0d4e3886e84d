package admin

import (
	"context"

	"edgerelay/relay/event"
)

// pageInput are the parameters of every list. The largest page is that of the list.
type pageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" example:"10" doc:"How many at most."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

type listDeliveriesInput struct {
	pageInput
	Status  string `query:"status" enum:"retrying,dead" example:"dead" doc:"Only those that wait for another attempt, or were given up."`
	Webhook string `query:"webhook" doc:"Only those of the webhook with this id."`
	Event   string `query:"event" doc:"Only those of the event with this id."`
}

type deliveryInput struct {
	ID string `path:"id" doc:"Id of the delivery." example:"dl_00000000000000000000000000"`
}

// deliveryID is the answer of what is done with a delivery.
type deliveryID struct {
	ID string `json:"id"`
}

func (s *Server) deliveryRoutes() []route {
	return []route{
		operation(op{method: "GET", path: "/api/v1/deliveries", id: "list-deliveries", tag: "deliveries", role: RoleViewer,
			summary: "List deliveries that wait or were given up, newest first"}, s.listDeliveries),
		operation(op{method: "GET", path: "/api/v1/deliveries/{id}", id: "get-delivery", tag: "deliveries", role: RoleViewer,
			summary: "Show one delivery with its event"}, s.getDelivery),
		operation(op{method: "POST", path: "/api/v1/deliveries/{id}/retry", id: "retry-delivery", tag: "deliveries", role: RoleEditor, status: 202,
			summary: "Make a delivery due now, with a fresh retry budget", errors: []int{503}}, s.retryDelivery),
	}
}

func (s *Server) listDeliveries(ctx context.Context, c *call, in *listDeliveriesInput) (out page[Delivery], err error) {
	f := Filter{State: in.Status, Event: in.Event, Tenants: c.tenants}
	if in.Webhook != "" {
		if f.Webhook, err = event.ParseWebhookID(in.Webhook); err != nil {
			return out, problemParameter("webhook: " + err.Error())
		}
	}
	items, next, err := s.opts.Deliveries.List(ctx, f, in.Cursor, in.Limit)
	if items == nil {
		items = []Delivery{} // an empty list is [], not null
	}
	return page[Delivery]{items, next}, err
}

func (s *Server) getDelivery(ctx context.Context, c *call, in *deliveryInput) (deliveryDetail, error) {
	_, d, err := s.visibleDelivery(ctx, c, in)
	return d, err
}

func (s *Server) retryDelivery(ctx context.Context, c *call, in *deliveryInput) (deliveryID, error) {
	id, d, err := s.visibleDelivery(ctx, c, in)
	if err != nil {
		return deliveryID{}, err
	}
	if err := s.opts.Deliveries.Redrive(ctx, id); err != nil {
		return deliveryID{}, err
	}
	s.opts.Log.Info("delivery retry requested", "delivery", d.ID, "webhook", d.Webhook, "tenant", d.Tenant, "token", c.name)
	return deliveryID{d.ID}, nil
}

// visibleDelivery returns the delivery if the token may see it.
func (s *Server) visibleDelivery(ctx context.Context, c *call, in *deliveryInput) (event.DeliveryID, deliveryDetail, error) {
	id, err := event.ParseDeliveryID(in.ID)
	if err != nil {
		return id, deliveryDetail{}, ErrNotFound // a malformed id names nothing
	}
	d, envelope, err := s.opts.Deliveries.Get(ctx, id)
	if err != nil {
		return id, deliveryDetail{}, err
	}
	if !c.sees(d.Tenant) {
		return id, deliveryDetail{}, ErrNotFound
	}
	return id, deliveryDetail{d, envelope}, nil
}
