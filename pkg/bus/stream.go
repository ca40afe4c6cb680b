package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stream holds the events of all services.
const Stream = "EVENTS"

const (
	// retention is how long the stream keeps an event. Postgres keeps the truth; this is how far behind a consumer
	// may fall before it misses something.
	retention = 30 * 24 * time.Hour
	// duplicateWindow is how long the stream knows the ids it has seen. It saves consumers most repetitions;
	// their inbox catches the rest.
	duplicateWindow = 2 * time.Minute
)

// EnsureStream creates the stream, or brings the settings of the existing one up to date; it never deletes
// anything. Replicas is the number of servers that hold a copy: 1, or 3 or 5 on a cluster.
func EnsureStream(ctx context.Context, js jetstream.JetStream, replicas int) error {
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:        Stream,
		Description: "What happened, told by each service's outbox.",
		Subjects:    []string{"evt.>"},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		MaxAge:      retention,
		Duplicates:  duplicateWindow,
		Replicas:    replicas,

		AllowAtomicPublish: true, // an outbox hands in many at once; servers before 2.12 do not know it
	})
	if err != nil {
		return fmt.Errorf("ensuring stream %s: %w", Stream, err)
	}
	return nil
}
