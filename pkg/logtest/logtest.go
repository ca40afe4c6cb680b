// Package logtest keeps what goroutines and processes print, for a test to read while they go on.
package logtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// Book is an empty log that is ready to use. It is safe for use by several goroutines.
type Book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *Book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String gives what was written so far.
func (b *Book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Find gives the first line of JSON with that message, or nil.
func (b *Book) Find(message string) map[string]any {
	for line := range strings.Lines(b.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
			return entry
		}
	}
	return nil
}
