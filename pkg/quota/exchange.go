package quota

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/periodic"
)

// tellEvery is how often replicas tell each other what they are asked for.
const tellEvery = time.Second

// subjectPrefix begins the subject that the replicas of a service speak on; the service's name follows.
const subjectPrefix = "tieout.quota."

// Exchange shares quotas with the other replicas of a service.
type Exchange struct {
	Quotas *Quotas
	NATS   *nats.Conn
	// Service is whose replicas share: all processes that run the same.
	Service string
	Log     *slog.Logger
}

// Run tells and hears until ctx ends.
func (x Exchange) Run(ctx context.Context) error {
	self, subject, asked := uuid.NewString(), subjectPrefix+x.Service, periodic.NewBell()
	listening, err := x.NATS.Subscribe(subject, func(m *nats.Msg) {
		var r report
		if err := json.Unmarshal(m.Data, &r); err != nil || r.Replica == "" || r.Replica == self {
			return
		}
		x.Quotas.hear(r)
		if r.Hello {
			asked.Ring()
		}
	})
	if err != nil {
		return fmt.Errorf("listening to %s: %w", subject, err)
	}
	defer listening.Unsubscribe() //nolint:errcheck // a connection that is closing ends it too
	tell := func(r report) {
		r.Replica = self
		payload, err := json.Marshal(r)
		if err == nil {
			err = x.NATS.Publish(subject, payload)
		}
		if err != nil {
			x.Log.Debug("nobody is told what is asked for", slog.Any("error", err))
		}
	}
	tell(report{Hello: true})
	defer func() { tell(report{Gone: true}) }()
	ticker := time.NewTicker(tellEvery)
	defer ticker.Stop()
	var last []demand
	for {
		select {
		case <-ticker.C:
			last = x.Quotas.tick(x.NATS.IsConnected())
			if x.NATS.IsConnected() {
				tell(report{Demand: last})
			}
		case <-asked:
			tell(report{Demand: last})
		case <-ctx.Done():
			return nil
		}
	}
}
