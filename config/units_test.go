package config

import (
	"fmt"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "512KB": 512_000, "1MiB": 1 << 20, "10GiB": 10 << 30, "1.5KiB": 1536, "2 MB": 2_000_000, "64kB": 64_000, "7B": 7, "1TiB": 1 << 40,
		"9223372036854775807": 1<<63 - 1,
	} {
		var got Size
		if err := got.parseText(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5", "1e3", "KiB", "0x10", "9223372036854775808", "9999999TiB", "1 2", "10G", "NaN", "Inf", "+1", "1..2KB"} {
		var got Size
		if err := got.parseText(text); err == nil {
			t.Errorf("%q is accepted as %d", text, got)
		}
	}
	for size, want := range map[Size]string{0: "0", 1: "1", 1 << 20: "1MiB", 1536: "1536", 10 << 30: "10GiB", 512_000: "500KiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d prints as %s, want %s", int64(size), got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5s": 5 * time.Second, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "30d": 30 * day, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "1.5h": 90 * time.Minute,
	} {
		var got Duration
		if err := got.parseText(text); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
		var again Duration
		if err := again.parseText(got.String()); err != nil || again != got {
			t.Errorf("%q prints as %q, which is %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "5", "-5s", "+5s", "5 s", "d", "1d-1s", "1d+1s", "1d1d", "999999999d", "1e3s", "s", "5x", "NaNd"} {
		var got Duration
		if err := got.parseText(text); err == nil {
			t.Errorf("%q is accepted as %v", text, got)
		}
	}
	if got := Duration(2 * time.Hour).String(); got != "2h" {
		t.Errorf("two hours print as %s", got)
	}
}

func TestDelays(t *testing.T) {
	three, none := 3, 0
	second, hour := Duration(time.Second), Duration(time.Hour)
	for _, tt := range []struct {
		name string
		give Retry
		want string
	}{
		{"schedule", Retry{Schedule: []Duration{second, hour}}, "[1s 1h0m0s]"},
		{"empty schedule", Retry{}, "[]"},
		{"growing, all defaults", Retry{Initial: second}, "[1s 2s 4s 8s 16s]"},
		{"number", Retry{Initial: second, Multiplier: 10, MaxRetries: &three}, "[1s 10s 1m40s]"},
		{"no retries", Retry{Initial: second, MaxRetries: &none}, "[]"},
		{"longest wait", Retry{Initial: second, Multiplier: 3, MaxInterval: 4 * second, MaxRetries: &three}, "[1s 3s 4s]"},
		{"age", Retry{Initial: second, MaxAge: 10 * second}, "[1s 2s 4s]"},
		{"age and number", Retry{Initial: second, MaxAge: hour, MaxRetries: &three}, "[1s 2s 4s]"},
		{"constant", Retry{Initial: second, Multiplier: 1, MaxRetries: &three}, "[1s 1s 1s]"},
	} {
		if got := fmt.Sprint(tt.give.Delays()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	huge := Retry{Initial: Duration(30 * 24 * time.Hour), Multiplier: 100, MaxInterval: Duration(30 * 24 * time.Hour), MaxAge: Duration(90 * 24 * time.Hour)}
	if got := len(huge.Delays()); got != 3 {
		t.Errorf("three months of months are %d waits", got)
	}
}
