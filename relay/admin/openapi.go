package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// The document of the API is made of the routes: their inputs and outputs are its schemas. huma turns Go types into schemas and checks values against
// them; the requests themselves go through our own mux, because what is refused, and in which words, is fixed by the contract.

// tags are the chapters of the document, in order.
var tags = []huma.Tag{
	{Name: "webhooks", Description: "Which events go where."},
	{Name: "authorizations", Description: "Credentials that webhooks use. Their secret values can be written and not read."},
	{Name: "events", Description: "What producers have sent."},
	{Name: "deliveries", Description: "One event for one webhook, and what became of it."},
	{Name: "catalogue", Description: "Event types and plugins."},
	{Name: "tenants", Description: "Tenants, tokens and the audit log."},
	{Name: "alerts", Description: "What people are told about."},
	{Name: "config", Description: "The configuration in force."},
	{Name: "relay", Description: "The relay itself: statistics, health, metrics."},
}

const schemaPrefix = "#/components/schemas/"

func newRegistry() huma.Registry { return huma.NewMapRegistry(schemaPrefix, schemaName) }

// schemaName is the type's name; names that are not exported lose what tells them apart in Go only.
func schemaName(t reflect.Type, hint string) string {
	return strings.TrimSuffix(strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "Answer"), "Body")
}

func init() { huma.DefaultArrayNullable = false } // an empty list is [], never null

// document describes the routes as OpenAPI 3.1.
func document(version string, routes []route) (*huma.OpenAPI, error) {
	registry := newRegistry()
	d := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{Title: "edgerelay management API", Version: version, License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			Description: "Lists are pages: `next_cursor` of one is `cursor` of the next. Errors are `application/problem+json` with a stable `type`. " +
				"What belongs to a tenant that the token does not reach answers 404, as if it did not exist."},
		Servers:  []*huma.Server{{URL: "/"}},
		Security: []map[string][]string{{"token": {}}},
		Paths:    map[string]*huma.PathItem{},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
			"token": {Type: "http", Scheme: "bearer", Description: "An operator's token, or where it is said a program's."}}},
	}
	used := map[string]bool{}
	for i := range routes {
		rt := &routes[i]
		if rt.id == "" {
			continue
		}
		if !slices.ContainsFunc(tags, func(t huma.Tag) bool { return t.Name == rt.tag }) {
			return nil, fmt.Errorf("document %s: unknown tag %q", rt.id, rt.tag)
		}
		used[rt.tag] = true
		o, err := rt.document(registry)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", rt.id, err)
		}
		item := d.Paths[rt.path]
		if item == nil {
			item = &huma.PathItem{}
			d.Paths[rt.path] = item
		}
		switch rt.method {
		case "GET":
			item.Get = o
		case "POST":
			item.Post = o
		case "PUT":
			item.Put = o
		case "PATCH":
			item.Patch = o
		case "DELETE":
			item.Delete = o
		}
	}
	for i := range tags {
		if used[tags[i].Name] {
			d.Tags = append(d.Tags, &tags[i])
		}
	}
	return d, nil
}

// document describes one operation.
func (rt *route) document(registry huma.Registry) (*huma.Operation, error) {
	o := &huma.Operation{OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary, Description: rt.about,
		Responses: map[string]*huma.Response{}, Extensions: map[string]any{}}
	statuses := slices.Clone(rt.errors)
	if rt.role == 0 {
		o.Security = []map[string][]string{{}}
	} else {
		o.Extensions["x-role"], o.Extensions["x-scope"] = rt.role.String(), "tenant"
		if rt.global {
			o.Extensions["x-scope"] = "global"
		}
		if rt.program {
			o.Extensions["x-program-tokens"] = true
		}
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden)
	}
	b := bindingOf(rt.in)
	statuses = append(statuses, b.document(rt, registry, o)...)
	ok := &huma.Response{Description: http.StatusText(rt.status)}
	switch {
	case rt.out == nil && rt.media == "application/json":
		ok.Content = map[string]*huma.MediaType{rt.media: {Schema: &huma.Schema{Type: huma.TypeObject}}}
	case rt.out == nil:
		ok.Content = map[string]*huma.MediaType{rt.media: {Schema: &huma.Schema{Type: huma.TypeString}}}
	case rt.out != reflect.TypeFor[none]():
		ok.Content = map[string]*huma.MediaType{"application/json": {Schema: registry.Schema(rt.out, true, "")}}
	}
	for _, status := range append([]int{rt.status}, rt.also...) {
		one := *ok
		one.Description = http.StatusText(status)
		o.Responses[strconv.Itoa(status)] = &one
	}
	slices.Sort(statuses)
	for _, status := range slices.Compact(statuses) {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status),
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: registry.Schema(reflect.TypeFor[problem](), true, "")}}}
	}
	return o, nil
}

// document adds the parameters and the body, and returns what may go wrong with them.
func (b *binding) document(rt *route, registry huma.Registry, o *huma.Operation) (statuses []int) {
	example, _ := url.ParseQuery(rt.query)
	for i := range b.params {
		p := &b.params[i]
		schema := huma.SchemaFromField(registry, p.field, "")
		about := schema.Description
		schema.Description, schema.Nullable = "", false
		documented := &huma.Param{Name: p.name, In: p.in, Description: about, Required: p.needed, Schema: schema, AllowEmptyValue: p.empty && p.in == "query"}
		if len(schema.Examples) > 0 {
			documented.Example, schema.Examples = schema.Examples[0], nil
		}
		if example.Has(p.name) {
			documented.Example = example.Get(p.name)
		}
		o.Parameters = append(o.Parameters, documented)
		if statuses = append(statuses, http.StatusBadRequest); p.in == "path" {
			statuses = append(statuses, http.StatusNotFound)
		}
	}
	if b.body == nil {
		return statuses
	}
	media := &huma.MediaType{}
	if b.body.schema != nil {
		media.Schema = registry.Schema(b.body.field.Type, true, requestName(rt.id))
	} else {
		media.Schema = &huma.Schema{Ref: schemaPrefix + b.body.field.Tag.Get("schema")}
	}
	for _, name := range slices.Sorted(maps.Keys(rt.bodies)) {
		if media.Examples == nil {
			media.Examples = map[string]*huma.Example{}
		}
		media.Examples[name] = &huma.Example{Value: json.RawMessage(rt.bodies[name])}
	}
	o.RequestBody = &huma.RequestBody{Required: !b.body.optional, Content: map[string]*huma.MediaType{"application/json": media}, Description: b.body.field.Tag.Get("doc")}
	return append(statuses, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
}

// requestName is the name of a body that has none of its own: RotateSecretRequest.
func requestName(id string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(id, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String() + "Request"
}

// describe makes the document and its page, when somebody asks for the first time.
func (s *Server) describe() {
	s.described.Do(func() {
		if err := s.makeDocument(s.routes()); err != nil {
			panic("BUG: the API cannot be described: " + err.Error()) // the tests read the document
		}
	})
}

func (s *Server) makeDocument(routes []route) error {
	d, err := document(s.opts.Version, routes)
	if err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write API document: %w", err)
	}
	if s.document, err = withSchemas(text, s.schemas()); err != nil {
		return err
	}
	s.reference, err = referencePage(s.document)
	return err
}

func (s *Server) schemas() map[string]json.RawMessage {
	if s.opts.Schemas == nil {
		return nil
	}
	return s.opts.Schemas()
}

// withSchemas adds schemas that do not come from Go types: those of the configuration's objects.
func withSchemas(document []byte, schemas map[string]json.RawMessage) ([]byte, error) {
	var d struct {
		OpenAPI    json.RawMessage            `json:"openapi"`
		Info       json.RawMessage            `json:"info"`
		Servers    json.RawMessage            `json:"servers"`
		Security   json.RawMessage            `json:"security"`
		Tags       json.RawMessage            `json:"tags"`
		Paths      json.RawMessage            `json:"paths"`
		Components map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("write API document: %w", err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(d.Components["schemas"], &all); err != nil {
		return nil, fmt.Errorf("write API document: %w", err)
	}
	for name, schema := range schemas {
		if all[name] != nil {
			return nil, fmt.Errorf("write API document: two schemas are called %s", name)
		}
		all[name] = schema
	}
	var err error
	if d.Components["schemas"], err = json.Marshal(all); err != nil {
		return nil, fmt.Errorf("write API document: %w", err)
	}
	return json.Marshal(d)
}
