package service_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/waittest"
)

// A process that was started before NATS has its stream once NATS is there, and again after it was deleted.
func TestProcess_KeepsTheEventStream(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()

	var js jetstream.JetStream
	cfg := quietConfig()
	cfg.NATS.URL = "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p := mustStart(t, cfg, inventoryService(answer, func(env *service.Env) error {
		js = env.JetStream
		return nil
	}))
	defer stop(t, p)
	nats, err := local.Start(local.Options{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer nats.Shutdown()
	there := func() bool {
		_, err := js.Stream(t.Context(), bus.Stream)
		return err == nil
	}
	waittest.Until(t, "the stream was made", there)
	if err := js.DeleteStream(t.Context(), bus.Stream); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the stream was made again", there)
}
