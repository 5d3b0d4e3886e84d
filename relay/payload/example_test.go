package payload_test

import (
	"fmt"
	"net/url"

	"edgerelay/relay/payload"
)

func ExampleCompile() {
	definition, err := payload.Compile(payload.Spec{
		Type: payload.JSON,
		Body: []byte(`{"giver": "{{ data.giver.name }}", "text": "{{ data.points }} points", "amount": "{{ data.amount }}"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	in := payload.Input{Data: []byte(`{"giver": {"name": "Ann"}, "points": 25, "amount": 12345678901234567890.10}`)}
	body, err := definition.Append(nil, &in)
	fmt.Println(string(body), err)
	// Output: {"giver":"Ann","text":"25 points","amount":12345678901234567890.10} <nil>
}

func ExampleCompile_errors() {
	_, err := payload.Compile(payload.Spec{Body: []byte(`{"giver": {"name": "{{ dat.giver }}"}, "points": "{{ data.points + }}"}`)})
	fmt.Println(err)
	// Output:
	// body.giver.name: 1:4: unknown name dat
	// body.points: 1:17: unexpected token EOF
}

func ExampleCompileTemplate() {
	template, err := payload.CompileTemplate("https://crm.example/{{ tenant }}/hooks?p={{ program }}")
	if err != nil {
		fmt.Println(err)
		return
	}
	in := payload.Input{Tenant: []byte("acme"), Program: []byte("summer 26")}
	target, err := template.Append(nil, &in, func(dst []byte, s string) []byte { return append(dst, url.PathEscape(s)...) })
	fmt.Println(string(target), err)
	// Output: https://crm.example/acme/hooks?p=summer%2026 <nil>
}

func ExampleCompileFilter() {
	filter, err := payload.CompileFilter(`data.points >= 10 and type startsWith "recognition."`)
	if err != nil {
		fmt.Println(err)
		return
	}
	var in payload.Input
	for _, data := range []string{`{"points": 25}`, `{"points": 5}`, `{}`} {
		in.Reset()
		in.Type, in.Data = []byte("recognition.complete"), []byte(data)
		fmt.Println(filter.Match(&in))
	}
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
}
