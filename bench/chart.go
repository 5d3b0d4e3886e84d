package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// line is one line of a chart.
type line struct {
	name   string
	points [][2]float64
}

// chart is a line chart as an SVG element. The colours are those of the page's style sheet, so that it works in light and dark.
type chart struct {
	title, xName, yName string
	lines               []line
	xTicks              []tick // nil = chosen
	logY                bool
}

type tick struct {
	at   float64
	text string
}

const (
	chartWidth, chartHeight = 640.0, 260.0
	chartLeft, chartRight   = 64.0, 12.0
	chartTop, chartBottom   = 28.0, 40.0
	chartInnerWidth         = chartWidth - chartLeft - chartRight
	chartInnerHeight        = chartHeight - chartTop - chartBottom
	chartTextSize           = 11
	legendColumns           = 3
	legendRow, legendEntry  = 14.0, chartInnerWidth / legendColumns
)

// svg returns the element, or nothing for a chart without points.
func (c chart) svg() string {
	minX, maxX, minY, maxY := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, l := range c.lines {
		for _, p := range l.points {
			minX, maxX = min(minX, p[0]), max(maxX, p[0])
			minY, maxY = min(minY, p[1]), max(maxY, p[1])
		}
	}
	if math.IsInf(minX, 1) {
		return ""
	}
	if maxX == minX {
		maxX = minX + 1
	}
	x := func(v float64) float64 { return chartLeft + (v-minX)/(maxX-minX)*chartInnerWidth }
	yTicks, y := c.yScale(minY, maxY)
	var b strings.Builder
	legend := legendRow * float64((len(c.lines)+legendColumns-1)/legendColumns)
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s" font-size="%d"><text x="4" y="14" class="t">%s</text>`,
		chartWidth, chartHeight+legend, html.EscapeString(c.title), chartTextSize, html.EscapeString(c.title))
	for _, t := range yTicks {
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="g"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`,
			chartLeft, chartWidth-chartRight, y(t.at), y(t.at), chartLeft-6, y(t.at)+4, html.EscapeString(t.text))
	}
	xTicks := c.xTicks
	if xTicks == nil {
		xTicks = ticks(minX, maxX)
	}
	for _, t := range xTicks {
		if t.at >= minX && t.at <= maxX {
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(t.at), chartHeight-chartBottom+16, html.EscapeString(t.text))
		}
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="end">%s</text><text x="%g" y="%g" text-anchor="end">%s</text>`,
		chartWidth-chartRight, chartHeight-8, html.EscapeString(c.xName), chartWidth-chartRight, 14.0, html.EscapeString(c.yName))
	for i, l := range c.lines {
		fmt.Fprintf(&b, `<polyline class="l c%d" points="`, i%8)
		for _, p := range l.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p[0]), y(p[1]))
		}
		lx, ly := chartLeft+float64(i%legendColumns)*legendEntry, chartHeight+legendRow*float64(i/legendColumns)
		fmt.Fprintf(&b, `"/><rect x="%g" y="%g" width="10" height="3" class="f c%d"/><text x="%g" y="%g">%s</text>`, lx, ly, i%8, lx+14, ly+5, html.EscapeString(l.name))
	}
	b.WriteString("</svg>")
	return b.String()
}

// yScale chooses the ticks of the y axis and how values become coordinates.
func (c chart) yScale(lowest, highest float64) ([]tick, func(float64) float64) {
	bottom := chartHeight - chartBottom
	if !c.logY {
		list := ticks(0, max(highest, 1e-9))
		top := max(highest, list[len(list)-1].at)
		return list, func(v float64) float64 { return bottom - v/top*chartInnerHeight }
	}
	low := math.Floor(math.Log10(max(lowest, 1e-3)))
	high := max(math.Ceil(math.Log10(max(highest, 1e-3))), low+1)
	var list []tick
	for e := low; e <= high; e++ {
		list = append(list, tick{math.Pow(10, e), fmt.Sprintf("%g", math.Pow(10, e))})
	}
	return list, func(v float64) float64 {
		return bottom - (math.Log10(max(v, math.Pow(10, low)))-low)/(high-low)*chartInnerHeight
	}
}

// ticks chooses four to eight round numbers from low to high.
func ticks(low, high float64) (list []tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/2)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= 8 {
			step *= f
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high+step*1e-9; v += step {
		list = append(list, tick{v, shortNumber(v)})
	}
	return list
}

func shortNumber(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", math.Round(v/1e4)/100)
	case v >= 1e4:
		return fmt.Sprintf("%gk", math.Round(v/100)/10)
	}
	return fmt.Sprintf("%g", math.Round(v*100)/100)
}
