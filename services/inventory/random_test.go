package inventory

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/inventory/stock"
)

// fragile is a replica whose COMMITs are lost as the switch says.
func (b bundle) fragile(t *testing.T) (bundle, *pgtest.FaultySwitch) {
	t.Helper()
	s := b.service(b.db.Config().ConnString())
	run, faults := s.Run, &pgtest.FaultySwitch{}
	s.Run = func(ctx context.Context, env *service.Env) error {
		env.Pool, faults = pgtest.Faulty(t, env.Pool)
		return run(ctx, env)
	}
	p := servicetest.Start(t, s)
	b.InventoryServiceClient = inventoryv1.NewInventoryServiceClient(servicetest.Dial(t, p, "orchestrator"))
	return b, faults
}

// life is one SKU under random commands, and what a naive reader makes of them.
type life struct {
	*rapid.T
	b      bundle
	faults *pgtest.FaultySwitch
	sku    string
	asked  int
	level  stock.Level
	held   []holding
	sent   []func() (proto.Message, error) // all that was asked, to be asked again
	given  []proto.Message
	errs   []error
}

// ask sends something, loses a COMMIT on the way or not, and keeps the answer. What is not known is asked again.
func (l *life) ask(send func() (proto.Message, error)) (proto.Message, error) {
	switch rapid.IntRange(0, 11).Draw(l.T, "crash") {
	case 0:
		l.faults.SetOnce(pgtest.NotApplied)
	case 1:
		l.faults.SetOnce(pgtest.Applied)
	}
	for {
		answer, err := send()
		if refusal, _ := rpcerr.FromError(err); err == nil || refusal != nil && refusal.Definite() {
			l.sent, l.given, l.errs = append(l.sent, send), append(l.given, answer), append(l.errs, err)
			return answer, err
		}
		if l.b.db.Ping(context.Background()) != nil {
			l.Fatal(err)
		}
	}
}

// expect says what a command should have done.
func (l *life) expect(typ stock.EventType, quantity int64, err error) bool {
	after, impossible := l.level.Apply(stock.Event{SKU: l.sku, Type: typ, Quantity: quantity})
	if (err == nil) != (impossible == nil) {
		l.Fatalf("%s %d at %+v: got error %v, want %v", typ, quantity, l.level, err, impossible)
	}
	l.level = after
	return err == nil
}

func (l *life) step(ctx context.Context) {
	l.asked++
	key := fmt.Sprintf("random/%s/%d", l.sku, l.asked)
	n := rapid.Int32Range(1, 6).Draw(l.T, "quantity")
	switch rapid.IntRange(0, 7).Draw(l.T, "command") {
	case 0:
		_, err := l.ask(func() (proto.Message, error) {
			return l.b.ReceiveStock(ctx, &inventoryv1.ReceiveStockRequest{IdempotencyKey: key, Lines: []*inventoryv1.StockLine{line(l.sku, n)}})
		})
		l.expect(stock.Received, int64(n), err)
	case 1:
		by := n * rapid.SampledFrom([]int32{-1, 1}).Draw(l.T, "sign")
		_, err := l.ask(func() (proto.Message, error) {
			return l.b.AdjustStock(ctx, &inventoryv1.AdjustStockRequest{IdempotencyKey: key, Sku: l.sku, Quantity: by, Reason: "counted"})
		})
		l.expect(stock.Adjusted, int64(by), err)
	case 2, 3:
		request := toReserve(key, line(l.sku, n))
		request.Ttl = durationpb.New(time.Hour)
		answer, err := l.ask(func() (proto.Message, error) { return l.b.Reserve(ctx, request) })
		if l.expect(stock.Reserved, int64(n), err) {
			id := answer.(*inventoryv1.ReserveResponse).GetReservation().GetReservationId()
			l.held = append(l.held, holding{key, id, stock.Event{Quantity: int64(n)}})
		}
	case 4:
		l.end(stock.Committed, func(h holding) (proto.Message, error) {
			return l.b.Commit(ctx, &inventoryv1.CommitRequest{IdempotencyKey: h.key + "/commit", ReservationId: h.id})
		})
	case 5:
		l.end(stock.Released, func(h holding) (proto.Message, error) {
			return l.b.Release(ctx, &inventoryv1.ReleaseRequest{IdempotencyKey: h.key})
		})
	case 6:
		l.expire(ctx)
	case 7: // asked again, whenever: the same answer, and nothing more
		if len(l.sent) > 0 {
			l.replay(rapid.IntRange(0, len(l.sent)-1).Draw(l.T, "which"))
		}
	}
}

// end ends the reservation that was made last.
func (l *life) end(by stock.EventType, send func(holding) (proto.Message, error)) {
	if len(l.held) == 0 {
		return
	}
	last := l.held[len(l.held)-1]
	l.held = l.held[:len(l.held)-1]
	_, err := l.ask(func() (proto.Message, error) { return send(last) })
	l.expect(by, last.event.Quantity, err)
}

// expire lets the time of all reservations pass.
func (l *life) expire(ctx context.Context) {
	_, err := l.b.db.Exec(ctx, `UPDATE reservation SET expires_at = now() WHERE expires_at IS NOT NULL AND skus = ARRAY[$1]`, l.sku)
	if err == nil {
		_, err = l.b.duties(l.b.db).expireOnce(ctx)
	}
	for _, h := range l.held {
		l.expect(stock.Expired, h.event.Quantity, err)
	}
	l.held = nil
}

func (l *life) replay(i int) {
	answer, err := l.sent[i]()
	refusal, _ := rpcerr.FromError(err)
	if refusal != nil && refusal.Reason == rpcerr.StepTombstoned { // it was undone since
		return
	}
	if (err == nil) != (l.errs[i] == nil) || err == nil && !proto.Equal(answer, l.given[i]) {
		l.Fatalf("asked again: %v, %v (-first +again):\n%s", err, l.errs[i], cmp.Diff(l.given[i], answer, protocmp.Transform()))
	}
}

// Commands, lost COMMITs and replays in any order: every piece is in one place, and the one that it should be in.
func TestStock_KeepsEveryPieceWhateverHappens(t *testing.T) {
	t.Parallel()
	b, faults := setup(t, line("mug", 1)).fragile(t)
	var lives atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		l := &life{T: rt, b: b, faults: faults, sku: fmt.Sprintf("sku-%d", lives.Add(1))}
		faults.Set(pgtest.Healthy)
		if _, err := b.PutItem(t.Context(), &inventoryv1.PutItemRequest{IdempotencyKey: "item/" + l.sku, Sku: l.sku}); err != nil {
			rt.Fatal(err)
		}
		l.level.SKU = l.sku
		for range rapid.IntRange(1, 8).Draw(rt, "commands") {
			l.step(t.Context())
		}
		answer, err := b.GetStock(t.Context(), &inventoryv1.GetStockRequest{Sku: l.sku})
		s := answer.GetStock()
		got := stock.Level{SKU: l.sku, Available: s.GetAvailable(), Reserved: s.GetReserved(), Shipped: s.GetShipped(), Adjusted: s.GetAdjusted()}
		if diff := cmp.Diff(l.level, got); diff != "" || err != nil {
			rt.Fatalf("level: %v (-want +got):\n%s", err, diff)
		}
	})
}

// stored is how many rows of each kind there are. Those of keys are not among them: refusals are kept.
func (b bundle) stored(t *testing.T) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	for _, table := range []string{"stock_event", "stock_level", "reservation", "item", "operator_action", "outbox"} {
		counts[table] = pgtest.Column[int64](t, b.db, `SELECT count(*) FROM `+table)[0]
	}
	return counts
}

func TestStock_BadInputChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, line("mug", 10))
	gone := b.mustReserve(t, "saga/sag_9/reserve", line("mug", 1)).GetReservationId()
	if _, err := b.release(t, "saga/sag_9/reserve"); err != nil {
		t.Fatal(err)
	}
	reserve := func(lines ...*inventoryv1.StockLine) func() error {
		return func() error { _, err := b.Reserve(t.Context(), toReserve(key, lines...)); return err }
	}
	receive := func(lines ...*inventoryv1.StockLine) func() error {
		return func() error {
			_, err := b.ReceiveStock(t.Context(), &inventoryv1.ReceiveStockRequest{IdempotencyKey: "receipt-bad", Lines: lines})
			return err
		}
	}
	adjust := func(sku string, by int32) func() error {
		return func() error { _, err := b.adjust(t.Context(), "adjust-bad", sku, by); return err }
	}
	many := make([]*inventoryv1.StockLine, 10_000)
	for i := range many {
		many[i] = line("mug", 1)
	}
	before := b.stored(t)
	for name, c := range map[string]struct {
		call   func() error
		reason rpcerr.Reason
		fields []string
	}{
		"receive 10,000 lines":  {receive(many...), rpcerr.RequestInvalid, []string{"lines"}},
		"receive nothing":       {receive(line("mug", 0)), rpcerr.RequestInvalid, []string{"lines[0].quantity"}},
		"receive less":          {receive(line("mug", 1), line("mug", -1)), rpcerr.RequestInvalid, []string{"lines[1].quantity"}},
		"reserve 10,000 lines":  {reserve(many...), rpcerr.RequestInvalid, []string{"lines"}},
		"reserve nothing":       {reserve(line("mug", 0)), rpcerr.RequestInvalid, []string{"lines[0].quantity"}},
		"reserve less":          {reserve(line("mug", -2)), rpcerr.RequestInvalid, []string{"lines[0].quantity"}},
		"adjust by nothing":     {adjust("mug", 0), rpcerr.RequestInvalid, []string{"quantity"}},
		"adjust an unknown SKU": {adjust("jug", 1), rpcerr.SKUUnknown, []string{"sku"}},
		"read an unknown SKU": {func() error {
			_, err := b.BatchGetStock(t.Context(), &inventoryv1.BatchGetStockRequest{Skus: []string{"mug", "jug"}})
			return err
		}, rpcerr.SKUUnknown, []string{"skus[1]"}},
		"commit after release": {func() error { _, err := b.commit(t, commitKey, gone); return err }, rpcerr.ReservationNotHeld, nil},
		"commit of nobody's":   {func() error { _, err := b.commit(t, "saga/sag_8/commit", "res_1"); return err }, rpcerr.NotFound, []string{"reservation_id"}},
		"reserve an unknown SKU": {func() error {
			_, err := b.Reserve(t.Context(), toReserve("saga/sag_7/reserve", line("jug", 1)))
			return err
		}, rpcerr.SKUUnknown, []string{"lines[0].sku"}},
	} {
		t.Run(name, func(t *testing.T) { rpcerrtest.Want(t, c.call(), c.reason, c.fields...) })
	}
	if got, err := b.release(t, "saga/sag_6/reserve"); got != nil || err != nil {
		t.Errorf("release of what was never reserved: got %v, %v, want nothing", got, err)
	}
	b.wantLevels(t, stock.Level{SKU: "mug", Available: 10})
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
}
