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

// A process that gets no processor for a while hears late of what the server has sent. It comes nevertheless, and no second time.
func TestSupply_BringsWhatWasHeardLate(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	way, b := &deaf{}, &bundle{js: bustest.Connect(t, server)}
	if err := bus.EnsureStream(t.Context(), b.js, 1); err != nil {
		t.Fatal(err)
	}
	late, err := nats.Connect(server.URL(), nats.SetCustomDialer(way))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(late.Close)
	js, err := jetstream.New(late)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(New(Config{}, consumer(record)), js)
	t.Cleanup(r.close)
	arrive(t, r, 0)
	info := func() *jetstream.ConsumerInfo {
		c, err := b.js.Consumer(t.Context(), bus.Stream, "recon")
		if err != nil {
			t.Fatal(err)
		}
		return c.CachedInfo()
	}
	way.Lock()
	b.publish(t, numbered(1, maxBatch)...)
	waittest.Until(t, "the server has sent them", func() bool { return info().NumAckPending == maxBatch })
	way.Unlock()
	arrive(t, r, maxBatch)
	if n := info().NumRedelivered; n != 0 {
		t.Errorf("%d came again", n)
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
