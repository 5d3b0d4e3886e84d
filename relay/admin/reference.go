package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
)

//go:embed reference.html
var referenceHTML string

//go:embed reference.css
var referenceCSS string

var referenceTemplate = template.Must(template.New("reference").Parse(referenceHTML))

// referencePolicy allows the page's own style sheet, by its hash, and nothing else.
var referencePolicy = func() string {
	sum := sha256.Sum256([]byte(referenceCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

func (s *Server) serveDocument(w http.ResponseWriter, _ *http.Request) {
	s.describe()
	w.Header().Set("Content-Type", "application/json")
	w.Write(s.document)
}

func (s *Server) serveReference(w http.ResponseWriter, _ *http.Request) {
	s.describe()
	w.Header().Set("Content-Security-Policy", referencePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(s.reference)
}

// apiDocument is as much of an OpenAPI document as the page shows.
type apiDocument struct {
	Info struct{ Title, Version, Description string }
	Tags []struct{ Name, Description string }

	Paths      map[string]map[string]*apiOperation
	Components struct{ Schemas map[string]*apiSchema }
}

type apiOperation struct {
	ID          string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Role        string `json:"x-role"`
	Scope       string `json:"x-scope"`
	Programs    bool   `json:"x-program-tokens"`
	Parameters  []struct {
		Name, In, Description string
		Required              bool
		Schema                *apiSchema
	}
	RequestBody *apiContent
	Responses   map[string]*apiContent
}

type apiContent struct {
	Description string
	Content     map[string]struct {
		Schema   *apiSchema
		Examples map[string]struct{ Value json.RawMessage }
	}
}

type apiSchema struct {
	Ref         string `json:"$ref"`
	Type        any
	Format      string
	Description string
	Enum        []any
	Items       *apiSchema
	Properties  map[string]*apiSchema
	Required    []string
	Default     any
	Minimum     *float64
	Maximum     *float64
	AnyOf       []*apiSchema
	OneOf       []*apiSchema
}

// Reference is the name of the schema that s stands for, "" if it is written out.
func (s *apiSchema) Reference() string { return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:] }

// Kind says in words what a value is.
func (s *apiSchema) Kind() string {
	switch {
	case s == nil:
		return ""
	case s.Type == nil && len(s.AnyOf)+len(s.OneOf) > 0:
		var kinds []string
		for _, one := range slices.Concat(s.AnyOf, s.OneOf) {
			kinds = append(kinds, one.Kind())
		}
		return strings.Join(slices.Compact(kinds), " or ")
	case s.Type == nil:
		return "anything"
	case s.Items != nil:
		return "list of " + s.Items.Kind()
	}
	kind := strings.Trim(fmt.Sprint(s.Type), "[]")
	if s.Format != "" {
		kind += " (" + s.Format + ")"
	}
	return kind
}

// Link is the schema that s, or its items, refer to.
func (s *apiSchema) Link() string {
	if s.Items != nil {
		return s.Items.Link()
	}
	return s.Reference()
}

// Limits says what else a value must be.
func (s *apiSchema) Limits() string {
	var all []string
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		all = append(all, "one of "+strings.Join(values, ", "))
	}
	if s.Minimum != nil {
		all = append(all, fmt.Sprintf("at least %v", *s.Minimum))
	}
	if s.Maximum != nil {
		all = append(all, fmt.Sprintf("at most %v", *s.Maximum))
	}
	if s.Default != nil {
		all = append(all, fmt.Sprintf("default %v", s.Default))
	}
	return strings.Join(all, "; ")
}

// Needs says whether the member name must be there.
func (s *apiSchema) Needs(name string) bool { return slices.Contains(s.Required, name) }

// referenceOperation is one entry of the page.
type referenceOperation struct {
	Method, Path string
	*apiOperation
	Success string
}

// Text is an example as it is written.
func (referenceOperation) Text(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// referencePage makes the page of the document.
func referencePage(document []byte) ([]byte, error) {
	var d apiDocument
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("write API reference: %w", err)
	}
	type chapter struct {
		Name, Description string
		Operations        []referenceOperation
	}
	var chapters []chapter
	for _, t := range d.Tags {
		c := chapter{Name: t.Name, Description: t.Description}
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			for _, method := range []string{"get", "post", "put", "patch", "delete"} {
				o := d.Paths[path][method]
				if o == nil || !slices.Contains(o.Tags, t.Name) {
					continue
				}
				one := referenceOperation{Method: strings.ToUpper(method), Path: path, apiOperation: o}
				for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
					if one.Success == "" && status < "300" {
						one.Success = status
					}
				}
				c.Operations = append(c.Operations, one)
			}
		}
		chapters = append(chapters, c)
	}
	var b bytes.Buffer
	err := referenceTemplate.Execute(&b, map[string]any{"Info": d.Info, "Chapters": chapters, "Schemas": d.Components.Schemas, "CSS": template.CSS(referenceCSS)})
	if err != nil {
		return nil, fmt.Errorf("write API reference: %w", err)
	}
	return b.Bytes(), nil
}
