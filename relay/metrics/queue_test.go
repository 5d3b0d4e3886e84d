package metrics

import (
	"testing"
	"time"
)

func TestAgeOf(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	c := &queueCollector{now: func() time.Time { return now }}
	for _, tt := range []struct {
		name   string
		oldest time.Time
		want   float64
	}{
		{"nothing pending", time.Time{}, 0},
		{"90 seconds old", now.Add(-90 * time.Second), 90},
		{"accepted by a clock that ran ahead", now.Add(time.Minute), 0},
	} {
		if got := c.ageOf(tt.oldest); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
