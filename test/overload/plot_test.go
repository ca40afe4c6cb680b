package overload

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// What the plot is drawn with, in pixels.
const (
	plotWidth, plotHeight = 860, 330
	panelTop, panelBottom = 64.0, 270.0
	leftPanel, rightPanel = 60.0, 500.0
	panelWidth            = 330.0
)

// slowest is the upper end of the scale of answers, which begins at 1 ms and is logarithmic.
const slowest = 10 * time.Second

// plot draws what ends a second, and how long answers take, by load.
func (r *report) plot() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#24292f">`+"\n",
		plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="6" fill="#ffffff" stroke="#d0d7de"/>`+"\n", plotWidth, plotHeight)
	r.plotGoodput(&b)
	r.plotAnswers(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

// text writes at a place; anchor is start, middle or end.
func text(b *strings.Builder, x, y float64, anchor, style, format string, args ...any) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, fmt.Sprintf(format, args...))
}

// line draws across a panel at a height.
func line(b *strings.Builder, left, y float64, style string) {
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" %s/>`+"\n", left, left+panelWidth, y, y, style)
}

const (
	bold = `font-size="14" font-weight="600"`
	pale = `fill="#57606a"`
	grid = `stroke="#eaeef2"`
)

// middle is where the column of a phase is.
func (r *report) middle(left float64, phase int) float64 {
	return left + (float64(phase)+0.5)*panelWidth/float64(len(r.phases))
}

func (r *report) plotGoodput(b *strings.Builder) {
	text(b, leftPanel, 28, "start", bold, "Orders that end a second")
	text(b, leftPanel, 46, "start", pale, "by load, in multiples of the capacity of %.0f", r.capacity)
	most := r.capacity * 1.25
	height := func(n float64) float64 { return panelBottom - (panelBottom-panelTop)*min(n, most)/most }
	for part := 0.25; part <= 1; part += 0.25 {
		line(b, leftPanel, height(part*r.capacity), grid)
		text(b, leftPanel-6, height(part*r.capacity)+4, "end", pale, "%.0f", part*r.capacity)
	}
	width := 0.6 * panelWidth / float64(len(r.phases))
	for i, p := range r.phases {
		x, y := r.middle(leftPanel, i), height(p.goodput)
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" fill="#2f81f7"/>`+"\n", x-width/2, y, width, panelBottom-y)
		text(b, x, y-5, "middle", "", "%.0f %%", 100*p.goodput/r.capacity)
		text(b, x, panelBottom+18, "middle", "", "%g×", p.load)
	}
	line(b, leftPanel, height(r.capacity), `stroke="#cf222e" stroke-dasharray="5 4"`)
	line(b, leftPanel, panelBottom, `stroke="#57606a"`)
}

func (r *report) plotAnswers(b *strings.Builder) {
	text(b, rightPanel, 28, "start", bold, "Answers to new orders")
	text(b, rightPanel, 46, "start", pale, "from when they were to be sent, by load")
	height := func(d time.Duration) float64 {
		return panelBottom - (panelBottom-panelTop)*math.Log10(max(1, float64(d.Microseconds())/1000))/math.Log10(float64(slowest.Milliseconds()))
	}
	for d := time.Millisecond; d <= slowest; d *= 10 {
		line(b, rightPanel, height(d), grid)
		text(b, rightPanel-6, height(d)+4, "end", pale, "%v", d)
	}
	line(b, rightPanel, panelBottom, `stroke="#57606a"`)
	for i, p := range r.phases {
		text(b, r.middle(rightPanel, i), panelBottom+18, "middle", "", "%g×", p.load)
	}
	for n, series := range []struct {
		name, colour string
		of           func(a *answers) time.Duration
	}{
		{"accepted, p50", "#2f81f7", func(a *answers) time.Duration { return quantile(a.done, 50) }},
		{"accepted, p99", "#0a3069", func(a *answers) time.Duration { return quantile(a.done, 99) }},
		{"refused, p99", "#cf222e", func(a *answers) time.Duration { return quantile(a.refused, 99) }},
	} {
		var points []string
		for i, p := range r.phases {
			if d := series.of(p.answers["new"]); d > 0 {
				x, y := r.middle(rightPanel, i), height(d)
				points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
				fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, series.colour)
			}
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), series.colour)
		x := rightPanel + float64(n)*112
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x+4, panelBottom+40, series.colour)
		text(b, x+13, panelBottom+44, "start", "", "%s", series.name)
	}
}
