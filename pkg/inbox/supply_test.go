package inbox

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/waittest"
)

// deaf is a way to a server on which nothing is heard while it is locked.
type deaf struct{ sync.RWMutex }

// Dial implements nats.CustomDialer.
func (d *deaf) Dial(network, addr string) (net.Conn, error) {
	conn, err := net.Dial(network, addr)
	return &deafConn{conn, d}, err
}

type deafConn struct {
	net.Conn
	way *deaf
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.way.RLock()
	defer c.way.RUnlock()
	return n, err
}

// lateReceiver makes a receiver of a stream of its own that hears what its server sends on that way.
func (b *bundle) lateReceiver(t *testing.T, way *deaf) *receiver {
	t.Helper()
	server := bustest.Server(t)
	b.js = bustest.Connect(t, server)
	if err := bus.EnsureStream(t.Context(), b.js, 1); err != nil {
		t.Fatal(err)
	}
	late := bustest.Connect(t, server, nats.SetCustomDialer(way))
	r := newReceiver(New(Config{Pool: b.pool}, consumer(record)), late)
	t.Cleanup(r.close)
	arrive(t, r, 0)
	return r
}

func (b *bundle) info(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := b.js.Consumer(t.Context(), bus.Stream, "recon")
	if err != nil {
		t.Fatal(err)
	}
	return c.CachedInfo()
}

// A process that gets no processor for a while hears late of what the server has sent. It comes nevertheless, and no second time.
func TestSupply_BringsWhatWasHeardLate(t *testing.T) {
	t.Parallel()
	way, b := &deaf{}, &bundle{}
	r := b.lateReceiver(t, way)
	way.Lock()
	b.publish(t, numbered(1, maxBatch)...)
	waittest.Until(t, "the server has sent them", func() bool { return b.info(t).NumAckPending == maxBatch })
	way.Unlock()
	arrive(t, r, maxBatch)
	if n := b.info(t).NumRedelivered; n != 0 {
		t.Errorf("%d came again", n)
	}
}

// A process that hangs keeps what was sent to it until ackWait, and nothing else from the others.
func TestSupply_OfOthersGoesOnWhileOneHangs(t *testing.T) {
	t.Parallel()
	way, b := &deaf{}, &bundle{pool: pgtest.Pool(t, outbox.Migrations, Migrations, effects)}
	b.lateReceiver(t, way)
	b.run(t, record)
	waittest.Until(t, "both ask for events", func() bool { return b.info(t).NumWaiting == 2 })
	way.Lock()
	t.Cleanup(way.Unlock)
	b.publish(t, numbered(1, 3*maxBatch)...)
	b.awaitEffects(t, 2*maxBatch)
	if n := b.info(t).NumRedelivered; n != 0 {
		t.Errorf("%d came again before others went on", n)
	}
}

func TestSupply_PutsBackWhatNobodyTook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, numbered(1, 3)...)
	first, second := b.receiver(t, record), b.receiver(t, record)
	arrive(t, first, 3)
	first.close()
	arrive(t, second, 3)
	round(t, second)
	got := b.effects(t)
	slices.Sort(got) // what comes again need not come in its order
	if diff := cmp.Diff(subjects(numbered(1, 3)), got); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}
