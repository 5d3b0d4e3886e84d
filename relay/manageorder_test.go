package relay

import (
	"encoding/json"
	"testing"
)

// What a patch does not name keeps its order, and what it names in full gets the order that it gives.
func TestMergedKeepsOrder(t *testing.T) {
	for _, c := range []struct{ name, body, patch, want string }{
		{"another key changes", `{"p":{"z":1,"a":{"y":[{"k":1,"b":2}],"x":1.50}}}`, `{"q":true}`, `{"z":1,"a":{"y":[{"k":1,"b":2}],"x":1.50}}`},
		{"one member changes", `{"p":{"z":1,"m":2,"a":3}}`, `{"p":{"m":{"d":1,"c":2}}}`, `{"z":1,"m":{"d":1,"c":2},"a":3}`},
		{"one goes, one comes", `{"p":{"z":1,"m":2,"a":3}}`, `{"p":{"m":null,"b":4}}`, `{"z":1,"a":3,"b":4}`},
		{"all in another order", `{"p":{"z":1,"m":2}}`, `{"p":{"m":1,"z":2}}`, `{"m":1,"z":2}`},
		{"a new object", `{"p":"text"}`, `{"p":{"z":1,"a":2,"m":"b"}}`, `{"z":1,"a":2,"m":"b"}`},
		{"a list", `{"p":[{"z":1,"a":2},{"b":1}]}`, `{"p":[{"z":1,"a":2},{"d":1,"c":2}]}`, `[{"z":1,"a":2},{"d":1,"c":2}]`},
	} {
		var body, patch map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.body), &body); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.patch), &patch); err != nil {
			t.Fatal(err)
		}
		got, err := merged(body, patch, nil)
		if err != nil || string(got["p"]) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got["p"], err, c.want)
		}
	}
}
