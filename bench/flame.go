package main

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// A flame graph's measures, in pixels. What is narrower than flameLeast is left out.
const (
	flameWidth = 1200.0
	flameRow   = 15
	flameLeast = 4.0
)

// frame is a function in a flame graph, called in the same way each time.
type frame struct {
	name   string
	time   int64 // ns, of itself and of what it calls
	called map[string]*frame
}

// flameGraph draws a CPU profile as SVG (Gregg, The Flame Graph, CACM 59/6, 2016): who calls whom, upwards, and by its width how much of
// the time each takes with what it calls. What stands beside something else is in the order of its name, not of time.
func flameGraph(raw []byte, title string) (svg string, err error) {
	p, err := profile.ParseData(raw)
	if err != nil {
		return "", fmt.Errorf("reading profile: %w", err)
	}
	root := &frame{name: "all"}
	for _, s := range p.Sample {
		root.add(stackOf(s), s.Value[len(s.Value)-1])
	}
	if root.time == 0 {
		return "", errors.New("the profile is empty")
	}
	var frames strings.Builder
	rows := root.draw(&frames, 0, 0, flameWidth/float64(root.time), root.time)
	height := rows*flameRow + 30
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="sans-serif" font-size="10">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="6" y="18" font-size="13">%s</text>
<g transform="translate(0 %d)">
%s</g>
</svg>
`, flameWidth, height, html.EscapeString(title), height, frames.String()), nil
}

// stackOf gives the functions of a sample, the outermost first.
func stackOf(s *profile.Sample) (stack []string) {
	for _, at := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(at.Line) {
			name, _, _ := strings.Cut(line.Function.Name, "[go.shape") // the instance of a generic function
			stack = append(stack, name)
		}
	}
	return stack
}

func (f *frame) add(stack []string, time int64) {
	f.time += time
	if len(stack) == 0 {
		return
	}
	if f.called == nil {
		f.called = map[string]*frame{}
	}
	next, there := f.called[stack[0]]
	if !there {
		next = &frame{name: stack[0]}
		f.called[stack[0]] = next
	}
	next.add(stack[1:], time)
}

// draw writes a frame and what it calls, from x on and above so many rows, and gives how many rows there are then.
func (f *frame) draw(to *strings.Builder, x float64, row int, perTime float64, all int64) (rows int) {
	width := float64(f.time) * perTime
	if width < flameLeast {
		return row
	}
	name := f.name[strings.LastIndex(f.name, "/")+1:]
	fmt.Fprintf(to, `<g><title>%s %.1f %%</title><path d="M%.0f %dh%.1fv%dH%.0f" fill="%s"/>`,
		html.EscapeString(f.name), 100*float64(f.time)/float64(all), x, -row*flameRow, width-0.5, 1-flameRow, x, colourOf(f.name))
	if letters := int(width / 5.6); letters >= 4 {
		fmt.Fprintf(to, `<text x="%.0f" y="%d">%s</text>`, x+2, -row*flameRow-4, html.EscapeString(name[:min(letters, len(name))]))
	}
	to.WriteString("</g>\n")
	rows = row + 1
	for _, name := range slices.Sorted(maps.Keys(f.called)) {
		next := f.called[name]
		rows = max(rows, next.draw(to, x, row+1, perTime, all))
		x += float64(next.time) * perTime
	}
	return rows
}

// colourOf tells whose a function is.
func colourOf(function string) string {
	for _, owner := range []struct{ prefix, colour string }{
		{"github.com/tieout/tieout/", "#f6a04d"},
		{"github.com/jackc/", "#8fb8de"},
		{"github.com/nats-io/", "#a5cf8d"},
		{"google.golang.org/", "#d7a9e3"},
		{"go.opentelemetry.io/", "#f2d16b"},
		{"runtime", "#cccccc"},
	} {
		if strings.HasPrefix(function, owner.prefix) {
			return owner.colour
		}
	}
	return "#e6d9c3"
}

// drawFlames makes a flame graph of a profile that is in a file.
func drawFlames(file, title, svg string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	drawn, err := flameGraph(raw, title)
	if err != nil {
		return err
	}
	return os.WriteFile(svg, []byte(drawn), 0o644)
}
