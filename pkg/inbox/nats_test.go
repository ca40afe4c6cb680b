package inbox

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestRun_GoesOnWhenNATSIsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := local.Start(local.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Shutdown)
	b := &bundle{pool: pgtest.Pool(t, Migrations, effects), js: bustest.Connect(t, first)}
	u, err := url.Parse(first.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	b.run(t, record) // before there is a stream
	if err := bus.EnsureStream(t.Context(), b.js, 1); err != nil {
		t.Fatal(err)
	}
	b.publish(t, event("pay_1"))
	b.awaitEffects(t, 1)

	first.Shutdown()
	waittest.Until(t, "nats is gone", func() bool { return !b.js.Conn().IsConnected() })
	second, err := local.Start(local.Options{Dir: dir, Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Shutdown)
	waittest.Until(t, "nats is back", func() bool { return b.js.Conn().IsConnected() })
	b.publish(t, event("pay_2"))
	b.awaitEffects(t, 2)
	b.wantEffects(t, "pay_1", "pay_2")
}
