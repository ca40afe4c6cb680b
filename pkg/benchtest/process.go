package benchtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// Memory reads a line of /proc/<pid>/status, as "VmRSS:" or "VmHWM:", in bytes; 0 when there is none.
func Memory(pid int, line string) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for text := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(text, line); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

// Get gives what a URL answers with, which is to be closed. Anything but 200 is an error.
func Get(ctx context.Context, url string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s: %s", url, answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}

// Metrics reads the metrics at a URL, and gives each of those that have labels: its name and labels up to the closing brace, which is
// left out, and its value.
func Metrics(ctx context.Context, url string, each func(name string, value float64)) error {
	body, err := Get(ctx, url)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		value, _, _ = strings.Cut(value, " ") // what follows is an exemplar
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("metric %q: %w", lines.Text(), err)
		}
		each(name, n)
	}
	return lines.Err()
}
