package admin

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// The page of the catalogue is for those who write receivers. It has no token, so it is there only if the configuration says so, and shows what is
// everybody's: no event type of a single tenant.

//go:embed cataloguepage.html
var catalogueHTML string

var catalogueTemplate = template.Must(template.New("catalogue").Parse(catalogueHTML))

func (s *Server) catalogueRoutes() []route {
	if !s.opts.PublicCatalogue || s.opts.EventTypes == nil {
		return nil
	}
	return []route{plain(op{method: "GET", path: "/event-types", id: "get-catalogue-page", tag: "catalogue", media: "text/html",
		summary: "The catalogue of event types for people", about: "Only if admin.public_catalogue is on. Event types of a single tenant are not shown."}, s.serveCatalogue)}
}

// typePage is one event type on the page.
type typePage struct {
	EventType
	Members []schemaMember
	Event   string // the example as an event, indented
	Text    string // the schema, indented
}

func (s *Server) serveCatalogue(w http.ResponseWriter, _ *http.Request) {
	var types []typePage
	for _, t := range s.opts.EventTypes() {
		if t.Tenant == "" {
			types = append(types, newTypePage(t))
		}
	}
	slices.SortFunc(types, func(a, b typePage) int { return strings.Compare(a.Name, b.Name) })
	var page bytes.Buffer
	err := catalogueTemplate.Execute(&page, map[string]any{"CSS": template.CSS(referenceCSS), "Types": types})
	if err != nil {
		s.opts.Log.Error("cannot make the page of the catalogue", "err", err)
		writeProblem(w, &problem{Status: http.StatusInternalServerError, Type: "internal", Title: "Internal error"})
		return
	}
	w.Header().Set("Content-Security-Policy", referencePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes())
}

func newTypePage(t EventType) typePage {
	p := typePage{EventType: t, Text: indented(t.Schema)}
	if len(t.Example) > 0 {
		event, err := json.Marshal(struct {
			ID   string          `json:"id"`
			Type string          `json:"type"`
			Time string          `json:"time"`
			Data json.RawMessage `json:"data"`
		}{"we_01jf2wkmvcfw6ts1qmgzya291c", t.Name, "2026-01-02T15:04:05.000Z", t.Example})
		if err == nil {
			p.Event = indented(event)
		}
	}
	var root any
	if json.Unmarshal(t.Schema, &root) == nil {
		walk := schemaWalk{root: root}
		walk.schema(root, "data", 0)
		p.Members = walk.members
	}
	return p
}

func indented(text []byte) string {
	var b bytes.Buffer
	if len(text) == 0 || json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// schemaMember is a row of the table of what an event's data has.
type schemaMember struct {
	Path, Kind, Limits, About string
	Required                  bool
}

// The bounds of the table: it is a help to the eye, the schema below it says everything.
const (
	maxMembers     = 200
	maxMemberDepth = 8
)

// schemaWalk lists the members of a JSON Schema.
type schemaWalk struct {
	root    any
	members []schemaMember
}

func (k *schemaWalk) schema(node any, path string, depth int) {
	object := k.resolve(node)
	if object == nil || depth > maxMemberDepth || len(k.members) >= maxMembers {
		return
	}
	var required []string
	if list, ok := object["required"].([]any); ok {
		for _, name := range list {
			required = append(required, fmt.Sprint(name))
		}
	}
	if properties, ok := object["properties"].(map[string]any); ok {
		names := make([]string, 0, len(properties))
		for name := range properties {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			k.member(properties[name], path+"."+name, slices.Contains(required, name), depth)
		}
	}
	if items, ok := object["items"].(map[string]any); ok {
		k.member(items, path+"[]", false, depth)
	}
}

func (k *schemaWalk) member(node any, path string, required bool, depth int) {
	object := k.resolve(node)
	if object == nil || len(k.members) >= maxMembers {
		return
	}
	m := schemaMember{Path: path, Required: required, Kind: kindOf(object), About: textOf(object["description"])}
	var limits []string
	for _, key := range []string{"format", "pattern", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "const"} {
		if v, ok := object[key]; ok {
			limits = append(limits, key+" "+jsonOf(v))
		}
	}
	if values, ok := object["enum"].([]any); ok {
		var texts []string
		for _, v := range values {
			texts = append(texts, jsonOf(v))
		}
		limits = append(limits, "one of "+strings.Join(texts, ", "))
	}
	m.Limits = strings.Join(limits, "; ")
	k.members = append(k.members, m)
	k.schema(object, path, depth+1)
}

// resolve follows references within the schema, a few of them.
func (k *schemaWalk) resolve(node any) map[string]any {
	for range 10 {
		object, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		ref, ok := object["$ref"].(string)
		if !ok {
			return object
		}
		pointer, ok := strings.CutPrefix(ref, "#")
		if !ok {
			return object
		}
		node = k.root
		for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
			if token == "" {
				continue
			}
			at, ok := node.(map[string]any)
			if !ok {
				return nil
			}
			node = at[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
		}
	}
	return nil
}

func kindOf(object map[string]any) string {
	switch t := object["type"].(type) {
	case string:
		return t
	case []any:
		var kinds []string
		for _, one := range t {
			kinds = append(kinds, fmt.Sprint(one))
		}
		return strings.Join(kinds, " or ")
	}
	return "any"
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
