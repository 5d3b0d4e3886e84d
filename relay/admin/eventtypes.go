package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// EventType is an entry of the catalogue as the API shows it.
type EventType struct {
	Name        string          `json:"name" example:"order.paid"`
	Tenant      string          `json:"tenant,omitempty" doc:"Whose events have this type; absent = every tenant's."`
	Description string          `json:"description,omitempty"`
	Scope       string          `json:"scope" enum:"any,global" doc:"global: only webhooks without a program may subscribe to it."`
	Schema      json.RawMessage `json:"schema,omitempty" doc:"JSON Schema of the event's data."`
	Example     json.RawMessage `json:"example,omitempty" doc:"Example of the event's data."`
	Validated   bool            `json:"validated" doc:"Events whose data does not fit the schema are refused."`
	Origin      string          `json:"origin" enum:"file,api" doc:"Where it was made. Those of files are changed there."`
}

type listEventTypesInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" example:"10" doc:"How many at most."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
	Search string `query:"search" example:"order" doc:"Only those whose name or description contains this."`
	Tenant string `query:"tenant" doc:"Only those that this tenant's events can have."`
	Scope  string `query:"scope" enum:"any,global" doc:"Only those of this scope."`
}

type eventTypeInput struct {
	Name   string `path:"name" doc:"Name of the event type." example:"order.paid"`
	Tenant string `query:"tenant" doc:"Whose, if several tenants have a type of this name."`
}

func (s *Server) eventTypeRoutes() []route {
	if s.opts.EventTypes == nil {
		return nil
	}
	return []route{
		operation(op{method: "GET", path: "/api/v1/event-types", id: "list-event-types", tag: "catalogue", role: RoleViewer,
			summary: "List the catalogue of event types, by name"}, s.listEventTypes),
		operation(op{method: "GET", path: "/api/v1/event-types/{name}", id: "get-event-type", tag: "catalogue", role: RoleViewer,
			summary: "Show one event type with its schema and example"}, s.getEventType),
	}
}

// seesType says whether the token may see t: what is everybody's, or of its tenants.
func (g *grant) seesType(t *EventType) bool { return t.Tenant == "" || g.sees(t.Tenant) }

func eventTypeKey(t EventType) string { return t.Name + "\x00" + t.Tenant }

func (s *Server) listEventTypes(_ context.Context, c *call, in *listEventTypesInput) (p page[EventType], err error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil {
		return p, ErrCursor
	}
	if in.Tenant != "" && !c.sees(in.Tenant) {
		return p, ErrNotFound
	}
	search := strings.ToLower(in.Search)
	items := []EventType{}
	for _, t := range s.opts.EventTypes() {
		switch {
		case !c.seesType(&t), in.Scope != "" && t.Scope != in.Scope, in.Tenant != "" && t.Tenant != "" && t.Tenant != in.Tenant:
		case !strings.Contains(strings.ToLower(t.Name), search) && !strings.Contains(strings.ToLower(t.Description), search):
		default:
			items = append(items, t)
		}
	}
	slices.SortFunc(items, func(a, b EventType) int { return cmp.Compare(eventTypeKey(a), eventTypeKey(b)) })
	from, found := slices.BinarySearchFunc(items, string(after), func(t EventType, k string) int { return cmp.Compare(eventTypeKey(t), k) })
	if found && in.Cursor != "" {
		from++
	}
	p.Items = items[from:]
	if len(p.Items) > in.Limit {
		p.Items = p.Items[:in.Limit]
		p.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(eventTypeKey(p.Items[in.Limit-1])))
	}
	return p, nil
}

func (s *Server) getEventType(_ context.Context, c *call, in *eventTypeInput) (EventType, error) {
	var own *EventType
	for _, t := range s.opts.EventTypes() {
		if t.Name != in.Name || !c.seesType(&t) {
			continue
		}
		if in.Tenant == "" && t.Tenant == "" || in.Tenant != "" && (t.Tenant == in.Tenant || t.Tenant == "") {
			return t, nil
		}
		if in.Tenant == "" {
			if own != nil {
				return EventType{}, &Conflict{Detail: "several tenants have an event type of this name: say which one with ?tenant="}
			}
			own = &t
		}
	}
	if own == nil {
		return EventType{}, ErrNotFound
	}
	return *own, nil
}
