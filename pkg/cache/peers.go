package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
)

// What replicas tell each other of changes, on NATS itself and not on a stream: it is lost when nobody listens, and then
// entries live out their time.

// told is the message: which keys changed, and to which versions.
type told struct {
	From     string           `json:"from"`
	Versions map[string]int64 `json:"versions"`
}

// toldAtOnce is how many keys one message names.
const toldAtOnce = 1000

func (c *Cache[V]) subject() string { return "cache." + c.config.Name }

// tell tells the other replicas of changes.
func (c *Cache[V]) tell(changes []Change[V]) {
	for len(changes) > 0 && c.config.NATS != nil {
		n := min(len(changes), toldAtOnce)
		message := told{From: c.self, Versions: make(map[string]int64, n)}
		for _, change := range changes[:n] {
			message.Versions[change.Key] = max(message.Versions[change.Key], change.Version)
		}
		changes = changes[n:]
		raw, err := json.Marshal(message)
		if err == nil {
			err = c.config.NATS.Publish(c.subject(), raw)
		}
		if err != nil {
			c.config.Log.Debug("other replicas are not told", slog.String("cache", c.config.Name), slog.Any("error", err))
		}
	}
}

// Run listens to the other replicas until ctx ends.
func (c *Cache[V]) Run(ctx context.Context) error {
	if c.memory == nil {
		return nil
	}
	defer c.memory.StopAllGoroutines()
	if c.config.NATS != nil {
		listening, err := c.config.NATS.Subscribe(c.subject(), c.hear)
		if err != nil {
			return fmt.Errorf("listening to %s: %w", c.subject(), err)
		}
		defer listening.Unsubscribe() //nolint:errcheck // a connection that is closing ends it too
	}
	<-ctx.Done()
	return nil
}

// hear forgets what another replica has changed.
func (c *Cache[V]) hear(m *nats.Msg) {
	var message told
	if err := json.Unmarshal(m.Data, &message); err != nil {
		c.config.Log.Warn("a message about changes is not understood", slog.String("cache", c.config.Name), slog.Any("error", err))
		return
	}
	if message.From == c.self {
		return
	}
	now := c.config.Now()
	for key, version := range message.Versions {
		c.board.raise(key, version)
		if _, there := c.memory.GetIfPresent(key); !there && c.config.Redis == nil {
			continue // the database does not lag behind: there is nothing to remember
		}
		c.store(key, &entry[V]{version: version, kind: changed, asOf: now})
	}
	c.metrics.forgot(len(message.Versions))
}
