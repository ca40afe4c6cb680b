package systemtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"

	"github.com/tieout/tieout/cmd/tieout/auditing"
	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/waittest"
)

// CheckQuiet checks everything when all orders that were placed are at rest. The connections lead to the processes of the
// system, one to each.
func (w *World) CheckQuiet(t testing.TB, conns ...*grpc.ClientConn) {
	t.Helper()
	w.CheckStream(t)
	w.CheckTimeline(t)
	w.CheckInvariants(t, conns...)
}

// CheckInvariants checks what an audit checks.
func (w *World) CheckInvariants(t testing.TB, conns ...*grpc.ClientConn) {
	t.Helper()
	checked := 0
	err := auditing.Run(t.Context(), auditing.Sources{Conns: conns, ProviderURL: w.PSP.URL()}, func(c *auditv1.Check) error {
		checked++
		name := fmt.Sprintf("invariant %d, %s of %s", c.GetNumber(), c.GetName(), c.GetService())
		if c.GetError() != "" {
			t.Errorf("%s, was not checked: %s", name, c.GetError())
		}
		for _, v := range c.GetViolations() {
			t.Errorf("%s, is violated by %s: %s", name, v.GetId(), v.GetDetail())
		}
		return nil
	})
	if err != nil || checked == 0 {
		t.Errorf("audit of %d checks: %v", checked, err)
	}
}

func (w *World) rows(t testing.TB, service, query string) [][]any {
	t.Helper()
	rows, err := w.Pool[service].Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) ([]any, error) { return r.Values() })
	if err != nil {
		t.Fatalf("%s: %v", service, err)
	}
	return all
}

// CheckStream wants every event of every outbox in the stream, and no other.
func (w *World) CheckStream(t testing.TB) {
	t.Helper()
	written := map[string]bool{}
	for name := range w.Pool {
		waittest.Until(t, name+" has published its outbox", func() bool {
			return len(w.rows(t, name, `SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1`)) == 0
		})
		for _, row := range w.rows(t, name, `SELECT id::text FROM outbox`) {
			written[row[0].(string)] = true
		}
	}
	inStream := w.stream(t)
	for id := range written {
		if !inStream[id] {
			t.Errorf("event %s was written and is not in the stream", id)
		}
	}
	if len(inStream) != len(written) {
		t.Errorf("%d events in the stream, %d in the outboxes", len(inStream), len(written))
	}
}

// CheckTimeline wants the timeline to see each event about an order once. An event that a killed consumer had in hand
// comes again after half a minute.
func (w *World) CheckTimeline(t testing.TB) {
	t.Helper()
	about := int64(0)
	for name := range w.Pool {
		about += w.rows(t, name, `SELECT count(*) FROM outbox WHERE reference LIKE 'ord\_%'`)[0][0].(int64)
	}
	waittest.Until(t, "the timeline has seen every event about an order", func() bool {
		return w.rows(t, "orchestrator", `SELECT count(*) FROM timeline`)[0][0].(int64) == about
	})
}

// stream gives the ids of all events in the stream.
func (w *World) stream(t testing.TB) map[string]bool {
	t.Helper()
	js := bustest.Connect(t, w.NATS)
	consumer, err := js.OrderedConsumer(t.Context(), bus.Stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := js.Stream(t.Context(), bus.Stream)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for left := info.CachedInfo().State.Msgs; left > 0; {
		batch, err := consumer.Fetch(int(min(left, 1000)))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			e, err := bus.Decode(m.Headers(), m.Data())
			if err != nil {
				t.Errorf("message in the stream: %v", err)
				continue
			}
			ids[e.ID.String()] = true
			left--
		}
		if batch.Error() != nil {
			t.Fatal(batch.Error())
		}
	}
	return ids
}

// States counts orders by state.
func States(orders []*orderv1.Order) string {
	counts := map[orderv1.OrderState]int{}
	for _, o := range orders {
		counts[o.GetState()]++
	}
	var out strings.Builder
	for _, s := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&out, "%s %d ", s, counts[s])
	}
	return out.String()
}
