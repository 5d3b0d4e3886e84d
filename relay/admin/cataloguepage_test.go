package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCataloguePage(t *testing.T) {
	if rec := newBed(t, withFakes).do("GET", "/event-types", ""); rec.Code != 404 {
		t.Errorf("the page is there although nobody asked for it: %d", rec.Code)
	}
	b := newBed(t, func(o *Options) {
		o.PublicCatalogue = true
		o.EventTypes = func() []EventType {
			return append(fakeEventTypes(), EventType{Name: "thanks", Scope: "global", Description: `<script>alert(1)</script>`, Validated: true, Example: json.RawMessage(`{"giver":{"name":"</pre><b>"}}`),
				Schema: json.RawMessage(`{"type":"object","required":["giver"],"properties":{"giver":{"$ref":"#/$defs/person"},"tags":{"type":"array","items":{"type":"string","enum":["a","b"]}},"self":{"$ref":"#"}},
					"$defs":{"person":{"type":"object","description":"Who gave.","properties":{"name":{"type":["string","null"],"minLength":1}}}}}`)})
		}
	})
	rec := b.do("GET", "/event-types", "")
	page := rec.Body.String()
	if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") || !strings.Contains(rec.Header().Get("Content-Security-Policy"), "style-src 'sha256-") {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	for _, want := range []string{`id="order.paid"`, "It is on its way.", "<code>data.giver</code> *", "Who gave.", "<code>data.giver.name</code>", "string or null", "<code>data.tags[]</code>",
		`one of &#34;a&#34;, &#34;b&#34;`, "&lt;script&gt;", "are refused", "Only for webhooks without a program", `&#34;type&#34;: &#34;thanks&#34;`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	for _, not := range []string{"<script", "</pre><b>", "zeta", "secret", "http://", "https://"} {
		if strings.Contains(page, not) {
			t.Errorf("%q is in the page", not)
		}
	}
}

// FuzzSchemaTable: whatever the schema, the table is bounded and made.
func FuzzSchemaTable(f *testing.F) {
	f.Add([]byte(`{"properties":{"a":{"$ref":"#"},"b":{"items":{"$ref":"#/properties/b"}}}}`))
	f.Add([]byte(`{"$ref":"#/a","a":{"$ref":"#/b"},"b":{"$ref":"#/a"}}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		if p := newTypePage(EventType{Name: "x", Schema: schema}); len(p.Members) > maxMembers {
			t.Errorf("%d members", len(p.Members))
		}
	})
}
