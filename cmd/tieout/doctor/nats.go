package doctor

import (
	"context"
	"errors"
	"fmt"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
)

func nats(ctx context.Context, url string) []Check {
	c := Check{Name: "nats", Status: OK}
	fail := func(err error, remedy string) []Check {
		c.Status, c.Detail, c.Remedy = Fail, oneLine(err), remedy
		return []Check{c}
	}
	conn, err := natsgo.Connect(url, natsgo.Name("tieout doctor"), natsgo.Timeout(limit/2))
	if err != nil {
		return fail(err, "start NATS, or correct nats.url")
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fail(err, "see the NATS server's log")
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return fail(err, "start the NATS server with JetStream (-js)")
	}
	c.Detail = "version " + conn.ConnectedServerVersion() + " with JetStream at " + conn.ConnectedAddr()
	return []Check{c, stream(ctx, js)}
}

func stream(ctx context.Context, js jetstream.JetStream) Check {
	c := Check{Name: "stream " + bus.Stream, Status: OK}
	s, err := js.Stream(ctx, bus.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		c.Status, c.Detail, c.Remedy = Warn, "does not exist", "the first service that starts makes it"
		return c
	}
	if err != nil {
		c.Status, c.Detail, c.Remedy = Fail, oneLine(err), "see the NATS server's log"
		return c
	}
	info := s.CachedInfo()
	c.Detail = fmt.Sprintf("%d events, %d replicas", info.State.Msgs, max(1, info.Config.Replicas))
	if info.Config.Storage != jetstream.FileStorage {
		c.Status, c.Remedy = Fail, "it is kept in memory: recreate it, the services publish its events again"
	}
	return c
}
