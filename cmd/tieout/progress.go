package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far a long command is: on a terminal in one line that is written anew, elsewhere by a line
// every five seconds.
type progress struct {
	w     io.Writer
	tty   bool
	every time.Duration
	last  time.Time // when something was shown, or should have been
	shown bool
}

func newProgress(w io.Writer) *progress {
	if isTerminal(w) {
		return &progress{w: w, tty: true, every: 200 * time.Millisecond}
	}
	return &progress{w: w, every: 5 * time.Second, last: time.Now()}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// eraseLine takes the cursor to the line's beginning and empties it.
const eraseLine = "\r\x1b[K"

// show shows how far things are, unless it did so just now.
func (p *progress) show(text string) {
	now := time.Now()
	if now.Sub(p.last) < p.every*9/10 {
		return
	}
	p.last = now
	if !p.tty {
		fmt.Fprintln(p.w, text)
		return
	}
	p.shown = true
	fmt.Fprint(p.w, eraseLine+text)
}

// upload shows how much of a file of that size was sent.
func (p *progress) upload(size int64) func(sent int64) {
	megabytes := func(n int64) float64 { return float64(n) / 1e6 }
	return func(sent int64) {
		text := fmt.Sprintf("%.1f of %.1f MB uploaded", megabytes(sent), megabytes(size))
		if p.tty {
			text = progressBar(sent, max(sent, size)) + text
		}
		p.show(text)
	}
}

// clear makes room for a line that stays.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, eraseLine)
		p.shown = false
	}
}

// barWidth is how many characters the bar of a terminal has.
const barWidth = 30

// progressBar is a bar that is as full as past is of all, which is more than zero.
func progressBar(past, all int64) string {
	full := int(past * barWidth / all)
	return "[" + strings.Repeat("#", full) + strings.Repeat(" ", barWidth-full) + "] "
}

// repeat does something now and again until the function that it gives is called, which waits for the last time.
func repeat(every time.Duration, do func()) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				do()
			}
		}
	}()
	return func() { close(done); <-stopped }
}
