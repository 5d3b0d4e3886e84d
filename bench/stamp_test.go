package bench

import (
	"strings"
	"testing"
)

func TestStampIsFoundInEveryShape(t *testing.T) {
	want := stamp{stream: 0xbeef, number: 4_000_000_000, micros: 1_767_225_600_123_456}
	text := make([]byte, stampSize)
	want.put(text)
	for _, tt := range []struct{ name, body string }{
		{"alone", string(text)},
		{"JSON", `{"id":"we_1","data":{"ref":"` + string(text) + `"}}`},
		{"XML", "<a>" + string(text) + "</a>"},
		{"form", "ref=" + string(text) + "&x=1"},
		{"after a false start", "b1_ b1_zzzz_00000000_00000000000000 " + string(text)},
	} {
		if got, ok := findStamp([]byte(tt.body)); !ok || got != want {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
	for _, body := range []string{"", "b1_", string(text[:stampSize-1]), strings.Replace(string(text), "_", "-", 2), strings.ToUpper(string(text))} {
		if got, ok := findStamp([]byte(body)); ok {
			t.Errorf("%q: found %+v", body, got)
		}
	}
}

func FuzzFindStamp(f *testing.F) {
	f.Add([]byte("b1_0000_00000000_00000000000000"))
	f.Add([]byte("b1_b1_0000_0000"))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, ok := findStamp(body)
		if !ok {
			return
		}
		text := make([]byte, stampSize)
		s.put(text)
		if !strings.Contains(string(body), string(text)) {
			t.Errorf("%q: found %q, which is not in it", body, text)
		}
	})
}
