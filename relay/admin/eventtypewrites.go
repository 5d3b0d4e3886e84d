package admin

import (
	"context"
	"encoding/json"
)

type createEventTypeInput struct {
	Body json.RawMessage `schema:"EventTypeDefinition" doc:"The event type under the keys of the configuration. tenant may be absent if the token is for one only."`
}

type editEventTypeInput struct {
	eventTypeInput
	Match string          `header:"If-Match" doc:"The ETag of the version that was read."`
	Body  json.RawMessage `schema:"EventTypePatch" doc:"JSON merge patch: keys of the configuration that change."`
}

type deleteEventTypeInput struct {
	eventTypeInput
	Match string `header:"If-Match" doc:"The ETag of the version that was read."`
}

// eventTypeWrites are the operations that change the catalogue.
func (s *Server) eventTypeWrites() []route {
	if s.opts.Manage == nil || s.opts.EventTypes == nil {
		return nil
	}
	const tag = "catalogue"
	return []route{
		operation(op{method: "POST", path: "/api/v1/event-types", id: "create-event-type", tag: tag, role: RoleAdmin, status: 201, errors: []int{409},
			summary: "Add an event type to the catalogue of a tenant",
			bodies:  map[string]string{"refund": `{"name":"order.refunded","tenant":"acme","description":"Money goes back","schema":{"type":"object","required":["total"]},"example":{"total":7}}`}}, s.createEventType),
		operation(op{method: "PATCH", path: "/api/v1/event-types/{name}", id: "edit-event-type", tag: tag, role: RoleAdmin, errors: []int{409, 412}, summary: "Change an event type",
			bodies: map[string]string{"description": `{"description":"Somebody has paid"}`}}, s.editEventType),
		operation(op{method: "DELETE", path: "/api/v1/event-types/{name}", id: "delete-event-type", tag: tag, role: RoleAdmin, errors: []int{409, 412},
			summary: "Remove an event type from the catalogue"}, s.deleteEventType),
	}
}

func (s *Server) createEventType(ctx context.Context, c *call, in *createEventTypeInput) (EventType, error) {
	var head struct{ Name, Tenant string }
	_ = json.Unmarshal(in.Body, &head) // a mistake in it is reported by the next line
	if err := s.opts.Manage.CreateEventType(ctx, c.actor(), Creation{Body: in.Body}); err != nil {
		return EventType{}, err
	}
	return s.getEventType(ctx, c, &eventTypeInput{Name: head.Name, Tenant: head.Tenant})
}

func (s *Server) editEventType(ctx context.Context, c *call, in *editEventTypeInput) (EventType, error) {
	if err := s.opts.Manage.EditEventType(ctx, c.actor(), in.Name, in.Tenant, in.Match, in.Body); err != nil {
		return EventType{}, err
	}
	return s.getEventType(ctx, c, &in.eventTypeInput)
}

func (s *Server) deleteEventType(ctx context.Context, c *call, in *deleteEventTypeInput) (none, error) {
	return none{}, s.opts.Manage.DeleteEventType(ctx, c.actor(), in.Name, in.Tenant, in.Match)
}
