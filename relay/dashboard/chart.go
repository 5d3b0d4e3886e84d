package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// series is what a webhook, or a tenant, did in equal steps of time, oldest first.
type series struct {
	Start     time.Time `json:"start"`
	Step      int       `json:"step_seconds"`
	Delivered []int64   `json:"delivered"`
	Failed    []int64   `json:"failed"`
	Latency   []float64 `json:"mean_micros"`
}

// chart is a drawing that the server makes: bars of what was delivered and what failed, or a line.
type chart struct {
	Title  string
	Total  string
	Label  string // says in words what is drawn
	Bars   []bar
	Line   string
	Area   string
	From   time.Time
	Until  time.Time
	Top    string
	Height int
	Width  int
}

type bar struct {
	X, W   float64
	OkY    float64
	OkH    float64
	BadY   float64
	BadH   float64
	Title  string
	Failed bool
}

const chartWidth, chartHeight = 560, 120

// charts asks for the series of a webhook, or of the whole tenant, and draws them; nil when there is nothing to show.
func (q *request) charts(webhook string) (deliveries, latency *chart, err error) {
	query := url.Values{}
	if webhook != "" {
		query.Set("webhook", webhook)
	}
	if q.URL.Query().Get("span") == "day" {
		query.Set("hours", "24")
	}
	var s series
	if err := q.api.get("/api/v1/stats/series", query, &s); err != nil {
		if is(err, http.StatusNotFound) {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	return s.bars(), s.line(), nil
}

func (s *series) end() time.Time {
	return s.Start.Add(time.Duration(s.Step*len(s.Delivered)) * time.Second)
}

func (s *series) bars() *chart {
	var most, delivered, failed int64
	for i := range s.Delivered {
		most = max(most, s.Delivered[i]+s.Failed[i])
		delivered += s.Delivered[i]
		failed += s.Failed[i]
	}
	if most == 0 {
		return nil
	}
	c := &chart{Title: "Attempts", Total: count(delivered) + " delivered, " + count(failed) + " failed", From: s.Start, Until: s.end(), Top: count(most),
		Width: chartWidth, Height: chartHeight}
	c.Label = fmt.Sprintf("Attempts over time: %s, at most %s in one step.", c.Total, c.Top)
	step := float64(chartWidth) / float64(len(s.Delivered))
	for i := range s.Delivered {
		all := s.Delivered[i] + s.Failed[i]
		if all == 0 {
			continue
		}
		scale := float64(chartHeight) / float64(most)
		b := bar{X: float64(i)*step + step*.12, W: step * .76, OkH: float64(s.Delivered[i]) * scale, BadH: float64(s.Failed[i]) * scale, Failed: s.Failed[i] > 0}
		if b.BadH > 0 {
			b.BadH = max(b.BadH, 2)
		}
		if b.OkH > 0 {
			b.OkH = min(max(b.OkH, 1.5), chartHeight-b.BadH)
		}
		b.OkY = chartHeight - b.OkH
		b.BadY = b.OkY - b.BadH
		at := s.Start.Add(time.Duration(i*s.Step) * time.Second).UTC()
		b.Title = fmt.Sprintf("%s UTC: %s delivered, %s failed", at.Format("2 Jan 15:04"), count(s.Delivered[i]), count(s.Failed[i]))
		c.Bars = append(c.Bars, b)
	}
	return c
}

func (s *series) line() *chart {
	var most, last float64
	for _, v := range s.Latency {
		most = max(most, v)
		if v > 0 {
			last = v
		}
	}
	if most == 0 {
		return nil
	}
	c := &chart{Title: "Time of an attempt", Total: millis(last), From: s.Start, Until: s.end(), Top: millis(most), Width: chartWidth, Height: chartHeight}
	c.Label = fmt.Sprintf("Mean time of an attempt: now %s, at most %s.", c.Total, c.Top)
	var line, area strings.Builder
	step := float64(chartWidth) / float64(len(s.Latency))
	for i, v := range s.Latency {
		if v == 0 {
			continue
		}
		x, y := float64(i)*step, chartHeight-v/most*(chartHeight-2)
		if i > 0 && s.Latency[i-1] > 0 {
			fmt.Fprintf(&line, "V%.1fH%.1f", y, x+step)
		} else {
			fmt.Fprintf(&line, "M%.1f %.1fH%.1f", x, y, x+step)
		}
		fmt.Fprintf(&area, "M%.1f %dV%.1fH%.1fV%d", x, chartHeight, y, x+step, chartHeight)
	}
	c.Line, c.Area = line.String(), area.String()
	return c
}
