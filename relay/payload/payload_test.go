package payload

import (
	"errors"
	"strings"
	"testing"
)

const testData = `{"giver": {"name": "Ann \"A\"", "email":"ann@example.com"}, "points": 25, "amount": 12345678901234567890.10,
	"zeta": 1, "alpha": [1, 2.50, {"b":1,"a":2}], "flag": true, "none": null, "empty": "", "text": "<b>&\"ü\n", "price": 1.10,
	"big": 9223372036854775808, "tags": ["x", "y"], "items": [{"n":"a","q":2,"p":1.5},{"n":"b","q":0,"p":0.25}]}`

// testInput is the event of most tests.
func testInput() *Input {
	in := &Input{ID: []byte("we_1"), Type: []byte("recognition.complete"), Time: []byte("2024-12-14T15:29:18.700Z"), Tenant: []byte("acme"),
		Program: []byte("summer"), Data: []byte(testData), Webhook: "feed", Attempt: 2}
	in.Envelope = []byte(`{"id":"we_1","type":"recognition.complete","time":"2024-12-14T15:29:18.700Z","data":` + testData + `}`)
	return in
}

func mustCompile(t testing.TB, s Spec) *Definition {
	t.Helper()
	d, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDefinitions(t *testing.T) {
	tests := map[string]struct{ kind, body, want string }{
		"keys keep their order, spaces go":  {JSON, `{"z": 1, "a" : [true, null, -0.0], "m": {}}`, `{"z":1,"a":[true,null,-0.0],"m":{}}`},
		"numbers of the definition":         {JSON, `[1.00, 1E5, 12345678901234567890.10]`, `[1.00,1E5,12345678901234567890.10]`},
		"lone keeps its type: number":       {JSON, `{"p": "{{ data.points }}"}`, `{"p":25}`},
		"lone keeps its type: string":       {JSON, `"{{ data.giver.name }}"`, `"Ann \"A\""`},
		"lone keeps its type: bool":         {JSON, `"{{ data.flag }}"`, `true`},
		"lone keeps its type: null":         {JSON, `"{{ data.none }}"`, `null`},
		"lone keeps its type: absent":       {JSON, `"{{ data.a.b.c }}"`, `null`},
		"lone keeps every digit":            {JSON, `["{{ data.amount }}","{{data.price}}","{{ data.big }}"]`, `[12345678901234567890.10,1.10,9223372036854775808]`},
		"lone object keeps its order":       {JSON, `"{{ data.giver }}"`, `{"name":"Ann \"A\"","email":"ann@example.com"}`},
		"lone array":                        {JSON, `"{{ data.alpha }}"`, `[1,2.50,{"b":1,"a":2}]`},
		"lone element":                      {JSON, `["{{ data.alpha[2] }}","{{ data.alpha[-1] }}","{{ data.alpha[9] }}"]`, `[{"b":1,"a":2},{"b":1,"a":2},null]`},
		"space outside makes it a text":     {JSON, `" {{ data.points }}"`, `" 25"`},
		"text with values":                  {JSON, `"{{ data.giver.name }} got {{ data.points }}!"`, `"Ann \"A\" got 25!"`},
		"nil in a text is nothing":          {JSON, `"<{{ data.none }}{{ data.nope }}{{ body }}>"`, `"<>"`},
		"objects in a text are JSON":        {JSON, `"v={{ data.alpha }}"`, `"v=[1,2.50,{\"b\":1,\"a\":2}]"`},
		"digits in a text":                  {JSON, `"{{ data.amount }} EUR, {{ data.price }}"`, `"12345678901234567890.10 EUR, 1.10"`},
		"no HTML escaping":                  {JSON, `["{{ data.text }}", "<>&{{ data.text }}"]`, `["<b>&\"ü\n","<>&<b>&\"ü\n"]`},
		"keys are literal":                  {JSON, `{"{{ id }}": "{{ id }}"}`, `{"{{ id }}":"we_1"}`},
		"all variables":                     {JSON, `["{{id}}","{{type}}","{{time}}","{{tenant}}","{{program}}","{{webhook}}","{{attempt}}","{{body}}"]`, `["we_1","recognition.complete","2024-12-14T15:29:18.700Z","acme","summer","feed",2,null]`},
		"a literal brace pair":              {JSON, `"{{ \"{{\" }} and }} and {{ '}}' }}"`, `"{{ and }} and }}"`},
		"objects in expressions":            {JSON, `"{{ {\"b\": {\"c\": data.price}, \"a\": [data.giver]} }}"`, `{"a":[{"name":"Ann \"A\"","email":"ann@example.com"}],"b":{"c":1.10}}`},
		"plain":                             {Plain, `"Hi {{ data.giver.name }}\n{{ data.points * 2 }}"`, "Hi Ann \"A\"\n50"},
		"plain, lone object":                {Plain, `"{{ data.giver }}"`, `{"name":"Ann \"A\"","email":"ann@example.com"}`},
		"plain replaces what is not UTF-8":  {Plain, `"<{{ fromBase64('/w==') }}>"`, "<\uFFFD>"},
		"raw keeps every byte":              {Raw, `"<{{ fromBase64('/wA=') }}>"`, "<\xff\x00>"},
		"JSON replaces what is not UTF-8":   {JSON, `"<{{ fromBase64('/w==') }}>"`, "\"<\uFFFD>\""},
		"form":                              {Form, `{"b": {"x y": "ü&="}, "a": [1, {"c": null}], "p": "{{ data.price }}", "t": "{{ data.tags }}"}`, `b%5Bx+y%5D=%C3%BC%26%3D&a%5B%5D=1&a%5B%5D%5Bc%5D=&p=1.10&t%5B%5D=x&t%5B%5D=y`},
		"form of a lone object":             {Form, `"{{ data.giver }}"`, `name=Ann+%22A%22&email=ann%40example.com`},
		"xml":                               {XML, `{"who": "{{ data.giver.name }}", "tag": "{{ data.tags }}", "no": null, "p": 1.10}`, `<event><who>Ann &quot;A&quot;</who><tag>x</tag><tag>y</tag><no nil="true"/><p>1.10</p></event>`},
		"xml, text":                         {XML, `"a < {{ data.text }}"`, "<event>a &lt; &lt;b&gt;&amp;&quot;ü\n</event>"},
		"xml, array":                        {XML, `[1,[2,3]]`, `<event><item>1</item><item><item>2</item><item>3</item></item></event>`},
		"xml, null":                         {XML, `null`, `<event nil="true"/>`},
		"xml, names":                        {XML, `{"1st": 1, "a b": {"": 2}, "\t\n": 0, "xmlFoo": 3, "Größe": 4, "ns:a": 5, "<\"&": 6}`, `<event><_1st name="1st">1</_1st><a_b name="a b"><_ name="">2</_></a_b><__ name="&#9;&#10;">0</__><_xmlFoo name="xmlFoo">3</_xmlFoo><Größe>4</Größe><ns_a name="ns:a">5</ns_a><___ name="&lt;&quot;&amp;">6</___></event>`},
		"xml, characters that XML has not":  {XML, `"a\u0000b\u0008\ufffe\u000b\t\r\nc\ud800\ud83d\ude00"`, "<event>a\uFFFDb\uFFFD\uFFFD\uFFFD\t&#13;\nc\uFFFD😀</event>"},
		"form, absent object, empty arrays": {Form, `{"a": {}, "b": [], "c": "{{ data.nope }}"}`, `c=`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := mustCompile(t, Spec{Type: tt.kind, Body: []byte(tt.body)})
			want := tt.want
			if tt.kind == XML {
				want = xmlDeclaration + want
			}
			got, err := d.Append([]byte("before "), testInput())
			if err != nil || string(got) != "before "+want {
				t.Errorf("got  %s, %v\nwant %s", got, err, want)
			}
		})
	}
}

func TestWithoutBody(t *testing.T) {
	envelope := `{"id":"we_1", "type":"a.b","time":"t","data":{"x":1.10}}`
	tests := map[string]struct {
		kind   string
		output []byte // of a transform
		want   string
	}{
		"json is passed on byte for byte":     {JSON, nil, envelope},
		"json, output":                        {JSON, []byte(" {} "), " {} "},
		"plain":                               {Plain, nil, envelope},
		"plain, output not UTF-8":             {Plain, []byte("a\xffb"), "a\uFFFDb"},
		"raw, output":                         {Raw, []byte("a\xff\x00"), "a\xff\x00"},
		"xml":                                 {XML, nil, xmlDeclaration + `<r><id>we_1</id><type>a.b</type><time>t</time><data><x>1.10</x></data></r>`},
		"xml, output is JSON":                 {XML, []byte(`[1]`), xmlDeclaration + `<r><item>1</item></r>`},
		"xml, output is text and not UTF-8":   {XML, []byte("a<\xff"), xmlDeclaration + "<r>a&lt;\uFFFD</r>"},
		"xml, output is empty":                {XML, []byte(""), xmlDeclaration + "<r></r>"},
		"form":                                {Form, nil, `id=we_1&type=a.b&time=t&data%5Bx%5D=1.10`},
		"form, output":                        {Form, []byte(`{"a":"b c"}`), `a=b+c`},
		"form, output with an empty name":     {Form, []byte(`{"":{"a":1}}`), `%5Ba%5D=1`},
		"raw, an empty output is still there": {Raw, []byte{}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := Spec{Type: tt.kind}
			if tt.kind == XML {
				s.Root = "r"
			}
			d := mustCompile(t, s)
			got, err := d.Append(nil, &Input{Envelope: []byte(envelope), Body: tt.output})
			if err != nil || string(got) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
			if d.PassThrough() != (tt.kind == JSON) {
				t.Errorf("PassThrough %v", d.PassThrough())
			}
		})
	}
}

func TestContentType(t *testing.T) {
	for kind, want := range map[string]string{"": "application/json", JSON: "application/json", XML: "application/xml; charset=utf-8",
		Plain: "text/plain; charset=utf-8", Form: "application/x-www-form-urlencoded", Raw: "application/octet-stream"} {
		if got := mustCompile(t, Spec{Type: kind}).ContentType(); got != want {
			t.Errorf("%q: %q, want %q", kind, got, want)
		}
	}
}

// A transform's output takes the place of id, type, time and data as far as it has them.
func TestAfterTransform(t *testing.T) {
	const body = `["{{ id }}", "{{ type }}", "{{ time }}", "{{ data.x }}", "{{ body.extra }}", "{{ tenant }}"]`
	tests := map[string]struct{ output, want string }{
		"object with all":         {`{"id":"new","type":"t\u0032","time":"now","data":{"x":1.0},"extra":[1]}`, `["new","t2","now",1.0,[1],"acme"]`},
		"object with some":        {`{"extra":1,"data":[]}`, `["we_1","recognition.complete","2024-12-14T15:29:18.700Z",null,1,"acme"]`},
		"null is not a new value": {`{"id":null,"data":null}`, `["we_1","recognition.complete","2024-12-14T15:29:18.700Z",7,null,"acme"]`},
		"id is a number":          {`{"id":12}`, `["12","recognition.complete","2024-12-14T15:29:18.700Z",7,null,"acme"]`},
		"array":                   {`[1]`, `["we_1","recognition.complete","2024-12-14T15:29:18.700Z",7,null,"acme"]`},
		"text":                    {`hello`, `["we_1","recognition.complete","2024-12-14T15:29:18.700Z",7,null,"acme"]`},
	}
	d := mustCompile(t, Spec{Body: []byte(body)})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := testInput()
			in.Data, in.Body = []byte(`{"x":7}`), []byte(tt.output)
			if got, err := d.Append(nil, in); err != nil || string(got) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	in := testInput()
	in.Body = []byte("not JSON \xff")
	got, err := mustCompile(t, Spec{Body: []byte(`["{{ body }}","{{ len(body) }}","{{ body.x }}"]`)}).Append(nil, in)
	if want := "[\"not JSON \uFFFD\",10,null]"; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// Values that an Input has kept do not outlive the event, or the arrival of a transform's output.
func TestInputForgets(t *testing.T) {
	d := mustCompile(t, Spec{Body: []byte(`["{{ data.x }}","{{ data.x + 1 }}","{{ id + '' }}","{{ webhook + '' }}","{{ attempt + 0 }}"]`)})
	check := func(in *Input, want string) {
		t.Helper()
		if got, err := d.Append(nil, in); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	in := &Input{ID: []byte("a"), Data: []byte(`{"x":1}`), Webhook: "w", Attempt: 1}
	check(in, `[1,2,"a","w",1]`)
	in.Webhook, in.Attempt = "v", 2
	check(in, `[1,2,"a","v",2]`)
	in.Body = []byte(`{"data":{"x":5}}`)
	check(in, `[5,6,"a","v",2]`)
	in.Reset()
	if in.ID != nil || in.Data != nil || in.Body != nil || in.Webhook != "" || in.Attempt != 0 {
		t.Errorf("after Reset: %+v", in)
	}
	in.ID, in.Data = []byte("b"), []byte(`{"x":8}`)
	check(in, `[8,9,"b","",0]`)
}

func TestCompileErrors(t *testing.T) {
	deep := strings.Repeat("[", 129) + strings.Repeat("]", 129)
	tests := map[string]struct {
		spec Spec
		want string
	}{
		"type":                  {Spec{Type: "yaml"}, `type: unknown payload type "yaml": known are json, xml, plain, form, raw`},
		"root without xml":      {Spec{Root: "r"}, `root: only a payload of type xml has a root element`},
		"root is no name":       {Spec{Type: XML, Root: "a b"}, `root: "a b" is not a usable XML element name`},
		"not JSON":              {Spec{Body: []byte("{\n \"a\": tru}")}, `body: 2:7: not valid JSON: neither true, false nor null`},
		"empty":                 {Spec{Body: []byte("")}, `body: 1:1: not valid JSON: unexpected end of JSON`},
		"not UTF-8":             {Spec{Body: []byte("\"a\xff\"")}, `body: 1:3: not valid JSON: invalid UTF-8`},
		"too deep":              {Spec{Body: []byte(deep)}, `body: 1:129: not valid JSON: nested deeper than 128 levels`},
		"unknown name":          {Spec{Body: []byte(`{"giver": {"name": "Hi {{ dat.x }}"}}`)}, `body.giver.name: 1:7: unknown name dat`},
		"in an array":           {Spec{Body: []byte(`{"l": [1, {"a.b": "{{ 1 + }}"}]}`)}, `body.l[1]["a.b"]: 1:7: unexpected token EOF`},
		"second line":           {Spec{Body: []byte(`"a\n  {{ id +\n  foo }}"`)}, `body: 3:3: unknown name foo`},
		"unclosed":              {Spec{Body: []byte(`{"a": "x {{ id }"}`)}, `body.a: 1:3: {{ without }}`},
		"nothing in it":         {Spec{Body: []byte(`{"a": "{{ }}"}`)}, `body.a: 1:1: nothing between {{ and }}`},
		"key twice":             {Spec{Body: []byte(`{"a": 1, "\u0061": 2}`)}, `body.a: this key is there twice`},
		"several":               {Spec{Type: JSON, Root: "x", Body: []byte(`["{{ a }}", "{{ now() }}"]`)}, "root: only a payload of type xml has a root element\nbody[0]: 1:4: unknown name a\nbody[1]: 1:4: unknown name now"},
		"form of an array":      {Spec{Type: Form, Body: []byte(`[1]`)}, `body: a form is made of an object`},
		"form of a text":        {Spec{Type: Form, Body: []byte(`"a {{ data }}"`)}, `body: a form is made of an object, or of one lone {{ }} that gives an object`},
		"plain of an object":    {Spec{Type: Plain, Body: []byte(`{}`)}, `body: the body of a payload of type plain is one string`},
		"raw of a number":       {Spec{Type: Raw, Body: []byte(`1`)}, `body: the body of a payload of type raw is one string`},
		"plain, in the text":    {Spec{Type: Plain, Body: []byte(`"{{ $env }}"`)}, `body: 1:4: $env is not available`},
		"a call of a value":     {Spec{Body: []byte(`"{{ data(1) }}"`)}, `body: 1:4: data is not a function`},
		"type is not callable":  {Spec{Body: []byte(`"{{ type(1) }}"`)}, `body: 1:4: string is not callable`},
		"a function alone":      {Spec{Body: []byte(`"{{ len }}"`)}, `body: 1:4: len is a function, it needs ( )`},
		"wrong type":            {Spec{Body: []byte(`"{{ id + 1 }}"`)}, `body: 1:7: invalid operation: + (mismatched types string and int)`},
		"wrong arguments":       {Spec{Body: []byte(`"{{ upper() }}"`)}, `body: 1:4: not enough arguments to call upper`},
		"a number out of range": {Spec{Body: []byte(`"{{ 99999999999999999999 }}"`)}, `body: 1:24: invalid integer literal: strconv.ParseInt: parsing "99999999999999999999": value out of range`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(tt.spec)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			var one *Error
			if !errors.As(err, &one) || one.Path == "" {
				t.Errorf("no *Error with a path in %#v", err)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	tests := map[string]struct{ kind, body, want string }{
		"wrong types":         {JSON, `{"a": {"b": "x{{ data.giver.name + 1 }}"}}`, `body.a.b: 1:21: invalid operation: string + int`},
		"not finite":          {JSON, `{"a": "{{ data.points / 0 }}"}`, `body.a: 1:3: the result is not a finite number`},
		"form of a number":    {Form, `"{{ data.points }}"`, `a form is made of a JSON object`},
		"xml, deep":           {XML, strings.Repeat("[", 120) + `"{{ data.d }}"` + strings.Repeat("]", 120), `body: nested deeper than 128 levels at byte 128`},
		"deep by computation": {JSON, `"{{ reduce(1..1000, [#acc]) }}"`, `body: 1:3: the value is nested deeper than 128 levels`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := testInput()
			in.Data = []byte(`{"giver":{"name":"x"},"points":1,"d":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`)
			d, err := Compile(Spec{Type: tt.kind, Body: []byte(tt.body)})
			if err == nil {
				var got []byte
				got, err = d.Append([]byte("x"), in)
				if string(got) != "x" {
					t.Errorf("the buffer after an error: %q", got)
				}
			}
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
	in := &Input{Data: []byte(`{"a":`)}
	if _, err := mustCompile(t, Spec{Body: []byte(`"{{ data.a }}"`)}).Append(nil, in); err == nil || !strings.Contains(err.Error(), "event data is not valid JSON") {
		t.Errorf("damaged data: %v", err)
	}
}

// A short event cannot become a body without bounds.
func TestOutputIsBounded(t *testing.T) {
	long := `{"` + strings.Repeat("k", 100_000) + `":[` + strings.Repeat("1,", 1000) + `1]}`
	for _, kind := range []string{XML, Form} {
		got, err := mustCompile(t, Spec{Type: kind}).Append([]byte("x"), &Input{Envelope: []byte(long)})
		if string(got) != "x" || err == nil || err.Error() != "the body would be larger than 16 MiB" {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
	}
	body := `["` + strings.Repeat("{{ data }}", 200) + `"]`
	if _, err := mustCompile(t, Spec{Body: []byte(body)}).Append(nil, &Input{Data: []byte(long)}); err == nil || err.Error() != "body[0]: the body would be larger than 16 MiB" {
		t.Errorf("json: %v", err)
	}
}
