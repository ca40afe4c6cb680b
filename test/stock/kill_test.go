package stock

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/inventory/stock"
	"github.com/tieout/tieout/test/systemtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	lasts = flag.Duration("stock.for", 3*time.Second, "how long the clients go on, and longer until the service was killed twice")
	seed  = flag.Uint64("stock.seed", 1, "what the clients and the killer throw their dice with")
)

const (
	clients = 64
	pieces  = 1000
	mug     = "MUG"
	// steps are what a client does in a round.
	steps = 16
	// checkLimit bounds the search for an order of a round's operations, which takes some hundredths of a second.
	checkLimit = time.Minute
)

// TestStock_OneSKUThatAllWantWhileItsServiceIsKilled has clients who together want more of a SKU than there is, and kills
// the service's process with SIGKILL at random moments. All along no piece may be promised twice, or be lost; in the end
// every answer must be known, and be that of one who does one thing after the other.
func TestStock_OneSKUThatAllWantWhileItsServiceIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts processes")
	}
	t.Parallel()
	w := systemtest.NewWorld(t)
	r := &run{t: t, db: w.Pool["inventory"], split: w.SplitOf(t, systemtest.Build(t), t.Output()), began: time.Now(), least: pieces}
	r.split.Start(t, "inventory")
	t.Cleanup(func() { r.split.Kill(t, "inventory") })
	_, err := inventoryv1.NewInventoryServiceClient(r.split.Dial(t, "inventory")).ReceiveStock(t.Context(),
		&inventoryv1.ReceiveStockRequest{IdempotencyKey: "receive-all", Lines: []*inventoryv1.StockLine{{Sku: mug, Quantity: pieces}}}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*client, clients)
	for i := range all {
		all[i] = &client{
			run: r, name: i, dice: rand.New(rand.NewPCG(*seed, uint64(i))),
			stub: inventoryv1.NewInventoryServiceClient(r.split.Dial(t, "inventory")),
		}
	}
	killing, stop := context.WithCancel(t.Context())
	defer stop()
	killed := make(chan struct{})
	go func() { defer close(killed); r.kill(killing) }()
	var rounds []round
	for time.Since(r.began) < *lasts || r.kills.Load() < 2 {
		rounds = append(rounds, r.round(all))
		if t.Failed() {
			break
		}
	}
	took := time.Since(r.began)
	stop()
	<-killed

	verdict := r.check(rounds)
	t.Logf("%s: %d clients, %d operations (%d refused), %d sent again, %d kills, %d samples, at least %d available: %s",
		took.Round(time.Second), clients, r.answered.Load(), r.refused.Load(), r.resent.Load(), r.kills.Load(), r.samples, r.least, verdict)
	if r.least != 0 || r.refused.Load() == 0 {
		t.Errorf("at least %d were available and %d requests were refused: the clients did not want all there was", r.least, r.refused.Load())
	}
	r.wantBooks(all)
	w.CheckStream(t)
}

// run is one run of the test.
type run struct {
	t     *testing.T
	split *systemtest.Split
	db    *pgxpool.Pool
	began time.Time

	answered, refused, resent, kills atomic.Int64
	// Of the sampler.
	samples int
	least   int64
}

// kill ends the service's process at random moments, and starts it again, until ctx ends. The next kill is drawn from when
// the process answers again, so that each finds it at work, unless it comes while it starts: one in four does.
func (r *run) kill(ctx context.Context) {
	dice := rand.New(rand.NewPCG(*seed, clients))
	for {
		if dice.IntN(4) > 0 {
			r.awaitAnswer(ctx)
		}
		select {
		case <-time.After(time.Duration(dice.Int64N(int64(1500 * time.Millisecond)))):
		case <-ctx.Done():
			return
		}
		r.split.Kill(r.t, "inventory")
		r.kills.Add(1)
		r.split.Start(r.t, "inventory")
	}
}

// awaitAnswer waits until a client has got another answer.
func (r *run) awaitAnswer(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for known := r.answered.Load(); r.answered.Load() == known; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// round has every client do its steps while the level is read all the time, and gives what was seen. The last to be read
// is the level after it.
func (r *run) round(all []*client) round {
	before := r.level(r.t.Context())
	sampling, stop := context.WithCancel(r.t.Context())
	defer stop()
	sampled := make(chan []porcupine.Operation)
	go func() { sampled <- r.sample(sampling) }()
	var working sync.WaitGroup
	for _, c := range all {
		working.Go(func() { c.work(r.t.Context()) })
	}
	working.Wait()
	stop()
	history := <-sampled
	for _, c := range all {
		history = append(history, c.log...)
		c.log = nil
	}
	last := r.read()
	return round{before: before, after: last.Output.(told).seen, history: append(history, last)}
}

// sample reads the level every few milliseconds until ctx ends.
func (r *run) sample(ctx context.Context) (log []porcupine.Operation) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		log = append(log, r.read())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return log
		}
	}
}

// read takes a sample of the level.
func (r *run) read() porcupine.Operation {
	called := time.Since(r.began)
	now := r.level(r.t.Context())
	r.samples++
	r.least = min(r.least, now.level.Available)
	if l := now.level; l.Available < 0 || l.Reserved < 0 || l.Available+l.Reserved != pieces {
		r.t.Errorf("%d are available and %d reserved, of %d", l.Available, l.Reserved, pieces)
	}
	return porcupine.Operation{
		ClientId: clients, Input: asked{read: true}, Call: called.Nanoseconds(),
		Output: told{seen: now}, Return: time.Since(r.began).Nanoseconds(),
	}
}

// level reads the level where it is decided upon, so that it is neither cached nor away while the service is.
func (r *run) level(ctx context.Context) (now seen) {
	l := &now.level
	err := r.db.QueryRow(ctx, `
SELECT sku, available, reserved, shipped, adjusted, (SELECT max(id) FROM stock_event) FROM stock_level WHERE sku = $1`, mug).
		Scan(&l.SKU, &l.Available, &l.Reserved, &l.Shipped, &l.Adjusted, &now.event)
	if err != nil {
		r.t.Errorf("reading the level: %v", err)
	}
	return now
}

// wantBooks wants an event for every answer that was no refusal, the level to be their fold and what the clients hold, and
// no invariant violated.
func (r *run) wantBooks(all []*client) {
	fold, want := stock.Level{}, map[stock.EventType]int64{stock.Received: 1}
	got := map[stock.EventType]int64{}
	for _, e := range pgtest.Rows[stock.Event](r.t, r.db, `SELECT sku, type, quantity FROM stock_event ORDER BY id`) {
		after, err := fold.Apply(e)
		if err != nil {
			r.t.Fatalf("the history: %v", err)
		}
		fold, got[e.Type] = after, got[e.Type]+1
	}
	held := int64(0)
	for _, c := range all {
		want[stock.Reserved] += c.reserved
		want[stock.Released] += c.released
		for _, h := range c.held {
			held += h.quantity
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("events by type (-answers +events):\n%s", diff)
	}
	if diff := cmp.Diff(fold, r.level(r.t.Context()).level); diff != "" {
		r.t.Errorf("level (-events +projection):\n%s", diff)
	}
	if fold.Reserved != held {
		r.t.Errorf("%d are reserved, and the clients hold %d", fold.Reserved, held)
	}
	for _, v := range pgtest.Violations(r.t, r.db) {
		r.t.Error(v)
	}
}
