package payload

import (
	"errors"
	"strings"
	"testing"
)

// eval evaluates text as a lone {{ }} and returns its JSON, or the message of the error.
func eval(t testing.TB, text string, in *Input) string {
	t.Helper()
	prog, err := compileExpression(text, templateVars, position{1, 1})
	if err == nil {
		var got []byte
		if got, err = prog.appendJSON(nil, in); err == nil {
			return string(got)
		}
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: not an *Error: %v", text, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: an error of several lines: %v", text, err)
	}
	return "error: " + e.Msg
}

func TestExpressions(t *testing.T) {
	f := func(expression, want string) {
		t.Helper()
		if got := eval(t, expression, testInput()); got != want {
			t.Errorf("%-40s got %s, want %s", expression, got, want)
		}
	}
	// What is absent is nil, wherever it stands.
	f(`data.a.b.c`, `null`)
	f(`data["a"]["b"]`, `null`)
	f(`data?.a?.b.c`, `null`)
	f(`data.giver?.name`, `"Ann \"A\""`)
	f(`data.points.x`, `null`)
	f(`data.points[0]`, `null`)
	f(`data.text.x.y`, `null`)
	f(`data.text[0]`, `null`)
	f(`data[id]`, `null`)
	f(`data[data.a]`, `null`)
	f(`data.tags["0"]`, `null`)
	f(`data.tags[-3]`, `null`)
	f(`data.tags[5]`, `null`)
	f(`data.tags[-1]`, `"y"`)
	f(`data.a ?? "none"`, `"none"`)
	f(`data.none ?? data.amount`, `12345678901234567890.10`)
	f(`data.a.b ?? data.giver`, `{"name":"Ann \"A\"","email":"ann@example.com"}`)
	f(`data.a > 1`, `false`)
	f(`data.a <= 1`, `false`)
	f(`1 < data.a`, `false`)
	f(`data.a == nil`, `true`)
	f(`data.a == 0`, `false`)
	f(`data.a != 0`, `true`)
	f(`data.a + 1`, `null`)
	f(`2 * data.a - 1`, `null`)
	f(`-data.a`, `null`)
	f(`"x" + data.a`, `"x"`)
	f(`data.a + data.b`, `null`)
	f(`not data.a`, `true`)
	f(`!data.a && !data.flag`, `false`)
	f(`data.a || data.flag`, `true`)
	f(`data.a ? 1 : 2`, `2`)
	f(`if data.a { 1 } else { 2 }`, `2`)
	f(`data.a contains "x"`, `false`)
	f(`data.a matches "x"`, `false`)
	f(`data.a startsWith data.b`, `false`)
	f(`"x" in data.a`, `false`)
	f(`data.a in ["x", nil]`, `true`)
	f(`data.a[1:2]`, `null`)
	f(`len(data.a)`, `0`)
	f(`upper(data.a)`, `""`)
	f(`split(data.a, ",")`, `[""]`)
	f(`trim(data.a) + replace(data.a, "x", "y")`, `""`)
	f(`filter(data.a, .x > 1)`, `[]`)
	f(`map(data.a, .x)`, `[]`)
	f(`any(data.a, .x)`, `false`)
	f(`all(data.items, .missing)`, `false`)
	f(`count(data.items, .missing)`, `0`)
	f(`sum(data.a)`, `0`)
	f(`first(data.a)`, `null`)
	f(`keys(data.a)`, `[]`)
	f(`join(data.a, ",")`, `""`)
	f(`uniq(data.a)`, `[]`)
	f(`let x = data.a; x.y.z`, `null`)

	// Numbers: digits stay while a value is only passed on, and numbers compare and compute.
	f(`data.points`, `25`)
	f(`data.points + 1`, `26`)
	f(`data.points / 2`, `12.5`)
	f(`data.points >= 10 and data.points < 25.5`, `true`)
	f(`data.points % 7`, `4`)
	f(`data.points ** 2`, `625`)
	f(`data.points == 25.0`, `true`)
	f(`-data.points`, `-25`)
	f(`+data.price`, `1.1`)
	f(`[data.price, {"p": data.amount}]`, `[1.10,{"p":12345678901234567890.10}]`)
	f(`data.flag ? data.price : 0`, `1.10`)
	f(`let p = data.price; p`, `1.10`)
	f(`data.price + 0`, `1.1`)
	f(`data.price > 1 && data.price < 1.2`, `true`)
	f(`data.price == 1.1`, `true`)
	f(`1.1 in [data.price]`, `true`)
	f(`data.price in [1.1]`, `true`)
	f(`data.amount > 1`, `true`)
	f(`data.amount == data.amount`, `true`)
	f(`data.big == data.big`, `true`)
	f(`data.big > 9223372036854775807`, `false`) // computed as float64: both are 2^63
	f(`data.big + 1`, `9223372036854776000`)
	f(`string(data.amount)`, `"12345678901234567890.10"`)
	f(`toJSON(data.items[1])`, `"{\"n\":\"b\",\"q\":0,\"p\":0.25}"`)
	f(`fromJSON("[1.10, {\"b\":1, \"a\": 2}]")`, `[1.10,{"b":1,"a":2}]`)
	f(`fromJSON("[1.10]")[0] * 2`, `2.2`)
	f(`int(data.price)`, `1`)
	f(`int("12") + 1`, `13`)
	f(`float(data.price)`, `1.1`)
	f(`round(data.price)`, `1`)
	f(`abs(-data.price)`, `1.1`)
	f(`max(data.price, data.points)`, `25`)
	f(`min([3, data.price])`, `1.1`)
	f(`sum(data.items, .p * .q)`, `3`)
	f(`sum(data.items, .p)`, `1.75`)
	f(`sum([data.price, data.price])`, `2.2`)
	f(`mean(data.items | map(.p))`, `0.875`)
	f(`sort([data.price, 3, 2])`, `[1.1,2,3]`)
	f(`9223372036854775807 + data.zeta`, `9223372036854776000`) // not a wrap to the negative side
	f(`-9223372036854775807 - 2 * data.zeta`, `-9223372036854776000`)
	f(`9223372036854775807 * (data.zeta + 1)`, `18446744073709552000`)
	f(`9223372036854775806 + data.zeta`, `9223372036854775807`)
	f(`1e21 + data.zeta`, `1e+21`)
	f(`data.zeta / 10000000`, `1e-7`)
	f(`data.tags[data.zeta]`, `"y"`)
	f(`data.tags[data.zeta * 1.0]`, `"y"`)
	f(`1..data.zeta + 2`, `[1,2,3]`)

	// Objects and arrays of the data keep their JSON; parts and new ones are written anew.
	f(`data.alpha`, `[1,2.50,{"b":1,"a":2}]`)
	f(`data.alpha[1:]`, `[2.50,{"b":1,"a":2}]`)
	f(`data.alpha[:1]`, `[1]`)
	f(`data.alpha[-1:]`, `[{"b":1,"a":2}]`)
	f(`reverse(data.alpha)`, `[{"b":1,"a":2},2.50,1]`)
	f(`reverse(data.alpha) != data.alpha ? data.alpha : 0`, `[1,2.50,{"b":1,"a":2}]`)
	f(`concat(data.alpha, [data.giver])`, `[1,2.50,{"b":1,"a":2},{"name":"Ann \"A\"","email":"ann@example.com"}]`)
	f(`filter(data.items, .q > 0)`, `[{"n":"a","q":2,"p":1.5}]`)
	f(`map(data.items, {{"name": .n, "i": #index}})`, `[{"i":0,"name":"a"},{"i":1,"name":"b"}]`)
	f(`sortBy(data.items, .p)`, `[{"n":"b","q":0,"p":0.25},{"n":"a","q":2,"p":1.5}]`)
	f(`sortBy(data.items, .n, "desc") | map(.n)`, `["b","a"]`)
	f(`groupBy(data.items, .q > 0)`, `{"false":[{"n":"b","q":0,"p":0.25}],"true":[{"n":"a","q":2,"p":1.5}]}`)
	f(`groupBy(data.items, .q)[2][0].n`, `"a"`)
	f(`find(data.items, .n == "b").p`, `0.25`)
	f(`findIndex(data.items, .n == "b")`, `1`)
	f(`reduce(data.items, #acc + .p, 0)`, `1.75`)
	f(`keys(data.items[0])`, `["n","p","q"]`)
	f(`values(data.items[0])`, `["a",1.5,2]`)
	f(`toPairs({"b": 1, "a": 2})`, `[["a",2],["b",1]]`)
	f(`fromPairs(toPairs(data.alpha[2]))`, `{"a":2,"b":1}`)
	f(`get(data.giver, "name")`, `"Ann \"A\""`)
	f(`"name" in data.giver`, `true`)
	f(`"nope" in data.giver`, `false`)
	f(`data.alpha[2] == {"a": 2.0, "b": 1}`, `true`)
	f(`data.alpha == [1, 2.5, {"a": 2, "b": 1}]`, `true`)
	f(`data.alpha == [1, 2.5, {"a": 2, "b": 3}]`, `false`)
	f(`data.alpha != data.tags`, `true`)
	f(`uniq([1, 2, 1, data.zeta])`, `[1,2]`)
	f(`flatten([data.tags, [data.tags]])`, `["x","y","x","y"]`)
	f(`take(data.tags, 1)`, `["x"]`)
	f(`join(data.tags, "-") + join([1, data.price])`, `"x-y11.10"`)
	f(`split("a,b", ",")[1]`, `"b"`)
	f(`"x" in data.tags && "z" not in data.tags`, `true`)

	// Texts.
	f(`data.text[1:2]`, `"b"`)
	f(`"äöü"[1:] + "äöü"[:-2]`, `"öüä"`)
	f(`len("äöü")`, `3`)
	f(`upper(type)`, `"RECOGNITION.COMPLETE"`)
	f(`type == "recognition.complete"`, `true`)
	f(`type startsWith "recognition." && type matches "^[a-z.]+$"`, `true`)
	f(`data.giver.name contains "Ann"`, `true`)
	f(`replace("aaa", "a", "bb", 2)`, `"bbbba"`)
	f(`replace("ab", "", "-")`, `"-a-b-"`)
	f(`repeat("ab", 2)`, `"abab"`)
	f("\"a\" + `b` + 'c'", `"abc"`)

	// Times.
	f(`date(time).Year()`, `2024`)
	f(`date(time)`, `"2024-12-14T15:29:18.7Z"`)
	f(`(date(time) - date("2024-12-14")).Hours() > 15`, `true`)
	f(`date(time) > date("2024-01-01")`, `true`)
	f(`date(time) + duration("1h")`, `"2024-12-14T16:29:18.7Z"`)
	f(`string(duration("90m"))`, `"1h30m0s"`)
	f(`date(time).Format("02.01.2006")`, `"14.12.2024"`)

	// Mistakes that show only at run time.
	f(`data.giver.name >= 10`, `error: invalid operation: string >= int`)
	f(`data.giver.name ? 1 : 2`, `error: expected true or false, got a string`)
	f(`data.points && true`, `error: expected true or false, got a number`)
	f(`data.points.x()`, `error: cannot fetch x from int`)
	f(`data.giver.x()`, `error: invalid operation: cannot call nil`)
	f(`fromJSON("[")`, `error: fromJSON: unexpected end of JSON at byte 1`)
	f(`data.points[1:]`, `error: cannot take a part of a number`)
	f(`keys(data.tags)`, `error: keys wants an object, got an array`)
	f(`1 % (data.zeta - 1)`, `error: runtime error: integer divide by zero`)
	f(`{"b": {"c": [data.nope / 1]}}`, `{"b":{"c":[null]}}`)
}

func TestNumbersSurvive(t *testing.T) {
	for _, n := range []string{"0", "-0", "1", "-1", "0.0", "1.0", "0.1", "1.10", "1e5", "1E5", "1e+5", "1e-7", "1e-07", "123456789.123456789",
		"9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "12345678901234567890.10", "1e400", "-1e400",
		"1e-400", "0.30000000000000004", "100000000000000000000", "1e21", "1e+21", "5e-324", strings.Repeat("9", 400)} {
		in := func() *Input { return &Input{Data: []byte(`{"n": [ ` + n + ` ]}`)} }
		for _, expression := range []string{`data.n[0]`, `data.n[-1]`, `data["n"][0] ?? 1`, `first(data.n)`, `find(data.n, true)`, `filter(data.n, true)[0]`,
			`[data.n[0]][0]`, `fromJSON(toJSON(data.n))[0]`, `({"x": data.n}).x[0]`, `reduce(data.n, #acc, data.n[0])`, `sortBy(data.n, #)[0]`} {
			if got := eval(t, expression, in()); got != n {
				t.Errorf("%s: got %s, want %s", expression, got, n)
			}
		}
		text, err := CompileTemplate("<{{ data.n[0] }}|{{ data.n[0] ?? 0 }}|{{ string(data.n[-1]) }}>")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := text.Append(nil, in(), nil); err != nil || string(got) != "<"+n+"|"+n+"|"+n+">" {
			t.Errorf("%s in a text: %s, %v", n, got, err)
		}
	}
}

func TestLongWholeNumbersStayDifferent(t *testing.T) {
	in := &Input{Data: []byte(`{"a":12345678901234567890,"b":12345678901234567891,"c":1.0,"d":1.00,"l":[12345678901234567890],"min":-9223372036854775808,"m":-1}`)}
	f := func(expression, want string) {
		t.Helper()
		if got := eval(t, expression, in); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
	f(`data.a == data.b`, `false`)
	f(`data.a == data.l[0]`, `true`)
	f(`data.a in data.l`, `true`)
	f(`data.b in data.l`, `false`)
	f(`data.c == data.d`, `true`)
	f(`data.min * data.m`, `9223372036854776000`)
	f(`data.m * data.min`, `9223372036854776000`)
	f(`-data.min`, `9223372036854776000`)
	f(`data.min - data.m`, `-9223372036854775807`)
	f(`data.m * 0`, `0`)
}

// Of several members with the same name the last counts, whichever way it is asked.
func TestDuplicateMembers(t *testing.T) {
	in := &Input{Data: []byte(`{"a":1,"\u0061":{"b":2,"b":3},"c":"x"}`)}
	for _, expression := range []string{`data.a.b`, `data["a"].b`, `(data ?? 0).a.b`, `get(data, "a").b`} {
		if got := eval(t, expression, in); got != "3" {
			t.Errorf("%s: got %s", expression, got)
		}
	}
}

// Nothing in an expression changes the data for the next one.
func TestExpressionsDoNotChangeData(t *testing.T) {
	in := testInput()
	for _, expression := range []string{`sort(data.tags, "desc")`, `reverse(data.tags)`, `sortBy(data.items, .p)`, `concat(data.tags, ["z"])`, `uniq(data.tags)`,
		`flatten(data.alpha)`, `fromPairs(toPairs(data.giver))`, `map(data.items, {"x": #})`} {
		eval(t, expression, in)
	}
	if got := eval(t, `data.items == (data ?? 0).items && data.tags == ["x","y"] && data.items[0].n == "a"`, in); got != "true" {
		t.Errorf("the data have changed: %s", got)
	}
	if got := string(appendCompact(nil, []byte(testData))); eval(t, `data ?? 0`, in) != got {
		t.Errorf("the data have changed: %s", eval(t, `data ?? 0`, in))
	}
}

// An expression that does too much is stopped, by what it does and not by the clock.
func TestBudget(t *testing.T) {
	big := &Input{Data: []byte(`{"l":[` + strings.Repeat("1,", 9999) + `1],"s":"` + strings.Repeat("s", 100000) + `"}`)}
	const work, memory = "error: the expression does too much work", "error: memory budget exceeded"
	f := func(expression, want string) {
		t.Helper()
		if got := eval(t, expression, big); got != want {
			t.Errorf("%s: got %.100s, want %s", expression, got, want)
		}
	}
	f(`len(data.l)`, `10000`)
	f(`count(data.l, # == 1)`, `10000`)
	f(`all(data.l, all(data.l, all(data.l, true)))`, work)
	f(`let r = 1..1000; all(r, all(r, all(r, true)))`, work)
	f(`map(1..100000000, #)`, memory)
	f(`repeat("aaaaaaaaaa", 1000000000)`, work)
	f(`repeat(data.s, 1000)`, work)
	f(`replace(data.s, "s", data.s)`, work)
	f(`let a = data.s + data.s; let b = a + a; let c = b + b; let d = c + c; let e = d + d; let g = e + e; let h = g + g; let i = h + h; len(i)`, work)
	f(`join(map(1..1000, data.s), "")`, work)
	f(`join(1..10000, data.s)`, work)
	f(`map(data.l, data.l == data.l)`, work)
	f(`uniq(1..100000)`, work)
	f(`none(1..100000, data.s contains "x")`, work)
	f(`none(1..100000, # + 1 in data.l)`, work)
	f(`all(1..100000, upper(data.s) != "")`, work)
	f(`len(map(1..10000, keys({"a": data.l})))`, `10000`)

	long := strings.Repeat("1+", maxExpression/2) + "1"
	if _, err := CompileFilter(long); err == nil || !strings.Contains(err.Error(), "the expression has 16385 bytes") {
		t.Errorf("long: %v", err)
	}
	for _, deep := range []string{strings.Repeat("(", 16000), strings.Repeat("[", 16000), strings.Repeat("!", 16000) + "true", strings.Repeat("{a:", 5000)} {
		if _, err := CompileFilter(deep); err == nil {
			t.Errorf("%.10s… compiles", deep)
		}
	}
}

func TestFilters(t *testing.T) {
	f := func(filter string, want bool) {
		t.Helper()
		x, err := CompileFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			return
		}
		if x.String() != filter {
			t.Errorf("String: %q", x.String())
		}
		if got, err := x.Match(testInput()); got != want || err != nil {
			t.Errorf("%s: got %v, %v", filter, got, err)
		}
	}
	f(`data.points >= 10`, true)
	f(`data.points >= 10 and tenant == "acme"`, true)
	f(`data.absent >= 10`, false)
	f(`not (data.absent >= 10)`, true)
	f(`data.absent.x.y == "z"`, false)
	f(`data.flag`, true)
	f(`data.none`, false)
	f(`data.a.b.c`, false)
	f(`program in ["summer", "winter"]`, true)
	f(`type matches "^recognition\\."`, true)
	f(`any(data.items, .q > 1)`, true)
	f(`true`, true)
	f(`data.big > 1e18`, true)
	f("data.points >= 10\n  && id == 'we_1'", true)

	if x, err := CompileFilter(`data.points`); err != nil {
		t.Error(err)
	} else if _, err := x.Match(testInput()); err == nil || err.Error() != "1:1: a filter must be true or false, this is a number" {
		t.Errorf("number: %v", err)
	}
	if x, err := CompileFilter("id != '' &&\n data.giver.name > 1"); err != nil {
		t.Error(err)
	} else if _, err := x.Match(testInput()); err == nil || err.Error() != "2:18: invalid operation: string > int" {
		t.Errorf("at run time: %v", err)
	}
	if x, err := CompileFilter(`data.points > 1`); err != nil {
		t.Error(err)
	} else if _, err := x.Match(&Input{Data: []byte(`{`)}); err == nil {
		t.Error("damaged data match")
	}
}

func TestFilterErrors(t *testing.T) {
	f := func(filter, want string) {
		t.Helper()
		_, err := CompileFilter(filter)
		var e *Error
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%q: got %v, want %s", filter, err, want)
		}
	}
	f(``, `1:1: unexpected token EOF`)
	f(`data.points >=`, `1:14: unexpected token EOF`)
	f("data.points >= 10 &&\n   dat.x", `2:4: unknown name dat`)
	f(`webhook == "x"`, `1:1: unknown name webhook`)
	f(`attempt > 1`, `1:1: unknown name attempt`)
	f(`body.x`, `1:1: unknown name body`)
	f(`"text"`, `1:1: expected bool, but got string`)
	f(`1 + 1`, `1:1: expected bool, but got int`)
	f(`now() > date(time)`, `1:1: unknown name now`)
	f(`$env["id"] == "x"`, `1:1: $env is not available`)
	f(`foo(1)`, `1:1: unknown name foo`)
	f(`type matches "["`, "1:6: error parsing regexp: missing closing ]: `[`")
	f(`id == "ä" && x`, `1:14: unknown name x`)
	f(`id == 1`, `1:4: invalid operation: == (mismatched types string and int)`)
	f(`all(data.l, #x)`, `1:13: unknown pointer #x`)
	f(`let data = 1; true`, `1:5: cannot redeclare data`)
}

func TestTemplates(t *testing.T) {
	escape := func(dst []byte, s string) []byte { return append(append(append(dst, '<'), s...), '>') }
	tests := map[string]struct{ text, want string }{
		"constant":               {"https://x/?a={b}", "https://x/?a={b}"},
		"empty":                  {"", ""},
		"end braces alone":       {"a }} b", "a }} b"},
		"values are escaped":     {"https://x/{{ tenant }}/?p={{ program }}&n={{ data.points + 1 }}", "https://x/<acme>/?p=<summer>&n=<26>"},
		"path of the data":       {"{{ data.giver.name }}", `<Ann "A">`},
		"without blanks":         {"{{id}}{{type}}", "<we_1><recognition.complete>"},
		"braces in quotes":       {"{{ \"}}\" }}{{ '}}' }}{{ `}}` }}{{ \"\\\"}}\" }}", "<}}><}}><}}><\"}}>"},
		"objects":                {"{{ {'a': {'b': 1}} }}", `<{"a":{"b":1}}>`},
		"a comment":              {"{{ /* }} \" */ 1 }}", "<1>"},
		"escaped braces":         {`{{ "{{" }} x {{ "}}" }}`, "<{{> x <}}>"},
		"an array":               {"{{ data.tags }}", `<["x","y"]>`},
		"line ends":              {"a\n{{\n 1 +\n 1\n}}\n", "a\n<2>\n"},
		"single brace before":    {"{ {{ 1 }} }", "{ <1> }"},
		"three braces: object":   {"{{{}}}", "<{}>"},
		"a conditional in words": {`{{ data.flag ? "yes" : "no" }}`, "<yes>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			x, err := CompileTemplate(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Append([]byte("> "), testInput(), escape)
			if err != nil || string(got) != "> "+tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
			constant, ok := x.Constant()
			if ok == strings.Contains(tt.text, "{{") || ok && constant != tt.text || x.String() != tt.text {
				t.Errorf("Constant %q, %v; String %q", constant, ok, x.String())
			}
		})
	}
	for text, want := range map[string]string{
		"a {{ x":          "1:3: {{ without }}",
		"a\n {{ 'x }} ":   "2:2: {{ without }}",
		"ü {{ dat }}":     "1:6: unknown name dat",
		"{{ id }}{{}}":    "1:9: nothing between {{ and }}",
		"{{ id | up() }}": "1:9: unknown name up",
	} {
		if _, err := CompileTemplate(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	x, _ := CompileTemplate("a {{ data.giver.name - 1 }}")
	if got, err := x.Append([]byte("x"), testInput(), nil); string(got) != "x" || err == nil || err.Error() != "1:22: invalid operation: string - int" {
		t.Errorf("at run time: %q, %v", got, err)
	}
}
