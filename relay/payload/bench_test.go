package payload

import "testing"

// What the hot path must not cost: passing the envelope on, and copying values out of the data.
func TestAllocations(t *testing.T) {
	dst := make([]byte, 0, 4096)
	in := testInput()
	escape := func(dst []byte, s string) []byte { return append(dst, s...) }
	url, err := CompileTemplate("https://example.com/{{ tenant }}/?p={{ program }}&n={{ data.points }}")
	if err != nil {
		t.Fatal(err)
	}
	pass := mustCompile(t, Spec{})
	typical := mustCompile(t, Spec{Body: []byte(typicalBody)})
	form := mustCompile(t, Spec{Type: Form, Body: []byte(typicalBody)})
	for name, f := range map[string]func() error{
		"pass-through":       func() (err error) { dst, err = pass.Append(dst[:0], in); return err },
		"typical definition": func() (err error) { dst, err = typical.Append(dst[:0], in); return err },
		"URL":                func() (err error) { dst, err = url.Append(dst[:0], in, escape); return err },
		"form": func() (err error) { // the growing name, and what has escapes in it
			dst, err = form.Append(dst[:0], in)
			return err
		},
	} {
		limit := 0.0
		if name == "form" {
			limit = 4
		}
		n := testing.AllocsPerRun(200, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		})
		if n > limit {
			t.Errorf("%s: %v allocations, the budget is %v", name, n, limit)
		}
	}
}

const typicalBody = `{"giver": "{{ data.giver.name }}", "points": "{{ data.points }}", "text": "{{ data.giver.name }} got {{ data.points }} points", "id": "{{ id }}", "v": 1}`

func BenchmarkAppend(b *testing.B) {
	for _, bm := range []struct {
		name string
		spec Spec
	}{
		{"pass-through", Spec{}},
		{"typical", Spec{Body: []byte(typicalBody)}},
		{"expressions", Spec{Body: []byte(`{"total": "{{ sum(data.items, .p * .q) }}", "double": "{{ data.points * 2 }}"}`)}},
		{"xml", Spec{Type: XML, Body: []byte(typicalBody)}},
		{"form", Spec{Type: Form, Body: []byte(typicalBody)}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			d := mustCompile(b, bm.spec)
			in, dst := testInput(), make([]byte, 0, 4096)
			event := *in
			b.ReportAllocs()
			for b.Loop() {
				in.Reset()
				in.ID, in.Type, in.Time, in.Tenant, in.Program, in.Data, in.Envelope = event.ID, event.Type, event.Time, event.Tenant, event.Program, event.Data, event.Envelope
				var err error
				if dst, err = d.Append(dst[:0], in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{`data.points >= 10`, `data.points >= 10 and type == "recognition.complete" and data.flag`, `any(data.items, .q > 1)`} {
		b.Run(text, func(b *testing.B) {
			f, err := CompileFilter(text)
			if err != nil {
				b.Fatal(err)
			}
			in := testInput()
			event := *in
			b.ReportAllocs()
			for b.Loop() {
				in.Reset()
				in.Type, in.Data = event.Type, event.Data
				if ok, err := f.Match(in); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
