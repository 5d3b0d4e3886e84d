package admin

import (
	"net/http"

	"edgerelay/relay/event"
)

// listDeliveries answers GET /api/v1/deliveries.
func (s *Server) listDeliveries(w http.ResponseWriter, r *http.Request, g *grant) error {
	q, err := query(r, "status", "webhook", "event", "limit", "cursor")
	if err != nil {
		return err
	}
	f := Filter{Event: q.get("event"), Tenants: g.tenants}
	if f.State, err = q.oneOf("status", "retrying", "dead"); err != nil {
		return err
	}
	if q.has("webhook") {
		if f.Webhook, err = event.ParseWebhookID(q.get("webhook")); err != nil {
			return problemParameter("webhook: " + err.Error())
		}
	}
	if q.has("event") && f.Event == "" {
		return problemParameter("event: is empty")
	}
	limit, err := q.limit(50, 500)
	if err != nil {
		return err
	}
	items, next, err := s.opts.Deliveries.List(r.Context(), f, q.get("cursor"), limit)
	if err != nil {
		return err
	}
	if items == nil {
		items = []Delivery{} // an empty list is [], not null
	}
	return writeJSON(w, http.StatusOK, page[Delivery]{items, next})
}

// getDelivery answers GET /api/v1/deliveries/{id}.
func (s *Server) getDelivery(w http.ResponseWriter, r *http.Request, g *grant) error {
	if _, err := query(r); err != nil {
		return err
	}
	_, d, err := s.visibleDelivery(r, g)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

// retryDelivery answers POST /api/v1/deliveries/{id}/retry.
func (s *Server) retryDelivery(w http.ResponseWriter, r *http.Request, g *grant) error {
	if _, err := query(r); err != nil {
		return err
	}
	if n, _ := r.Body.Read(make([]byte, 1)); n > 0 {
		return &problem{Status: http.StatusBadRequest, Type: "unexpected-body", Title: "Unexpected body", Detail: "this request takes no body"}
	}
	id, d, err := s.visibleDelivery(r, g)
	if err != nil {
		return err
	}
	if err := s.opts.Deliveries.Redrive(r.Context(), id); err != nil {
		return err
	}
	s.opts.Log.Info("delivery retry requested", "delivery", d.ID, "webhook", d.Webhook, "tenant", d.Tenant, "token", g.name)
	return writeJSON(w, http.StatusAccepted, map[string]string{"id": d.ID})
}

// visibleDelivery reads the path's id and returns the delivery if the token may see it.
func (s *Server) visibleDelivery(r *http.Request, g *grant) (event.DeliveryID, deliveryDetail, error) {
	id, err := event.ParseDeliveryID(r.PathValue("id"))
	if err != nil {
		return id, deliveryDetail{}, ErrNotFound // a malformed id names nothing
	}
	d, envelope, err := s.opts.Deliveries.Get(r.Context(), id)
	if err != nil {
		return id, deliveryDetail{}, err
	}
	if !g.sees(d.Tenant) {
		return id, deliveryDetail{}, ErrNotFound
	}
	return id, deliveryDetail{d, envelope}, nil
}
