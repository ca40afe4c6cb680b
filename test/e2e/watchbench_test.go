package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"google.golang.org/grpc"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

var (
	watchCount = flag.Int("e2e.watches", 20_000, "how many watches BenchmarkWatches opens; fewer where the limit of open files is lower")
	watchRate  = flag.Int("e2e.watch-rate", 1_000, "how many orders change per second in BenchmarkWatches")
)

// sparedFiles are open files that are no watch's.
const sparedFiles = 600

// watched is one order that is watched.
type watched struct {
	id      uuid.UUID
	changed atomic.Int64 // when that it changed was told, in Unix nanoseconds
	told    atomic.Int64 // when the client got to know
}

func (w *watched) orderID() string { return "ord_" + w.id.String() }

// BenchmarkWatches opens many watches at once at one process, each of an order of its own, and changes the orders as
// another replica would: in the database, and by an event on NATS. It tells what a watch costs in memory, and how long
// after its event a client got to know.
func BenchmarkWatches(b *testing.B) {
	for _, by := range []string{"grpc", "websocket"} {
		b.Run(by, func(b *testing.B) { benchmarkWatches(b, by) })
	}
}

func benchmarkWatches(b *testing.B, by string) {
	n := *watchCount
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		b.Fatal(err)
	}
	if most := int(files.Cur) - sparedFiles; by == "websocket" && n > most {
		b.Logf("%d open files are allowed: %d watches", files.Cur, most)
		n = most
	}
	world := systemtest.NewWorld(b)
	split := world.SplitOf(b, systemtest.Build(b), b.Output())
	orchestrator := split.Launch(b, "orchestrator", split.Addr("orchestrator"), "TIEOUT_AUDIT_EVERY=1h") // what is planted has no history
	defer orchestrator.Stop()
	all := plantWatched(b, world, n)
	orders := orderv1.NewOrderServiceClient(split.Dial(b, "orchestrator"))
	waittest.Until(b, "the orchestrator serves", func() bool {
		_, err := orders.GetOrder(b.Context(), &orderv1.GetOrderRequest{OrderId: all[0].orderID()})
		return err == nil
	})
	serving, open := orchestrator, overGRPC(b, split)
	if by == "websocket" {
		addr := nettest.FreeAddr(b)
		serving = split.LaunchWeb(b, addr, "TIEOUT_WEB_WATCH_PER_CALLER=1000000")
		defer serving.Stop()
		awaitGateway(b, addr)
		open = overWebSocket(addr)
	}
	before, served := resident(b, serving), resident(b, orchestrator)
	for b.Loop() {
		openAll(b, all, open)
		perWatch := float64(resident(b, serving)-before) / float64(n)
		b.ReportMetric(perWatch, "B/watch")
		if serving != orchestrator {
			b.ReportMetric(float64(resident(b, orchestrator)-served)/float64(n), "B/watch-behind")
		}
		b.ReportMetric(float64(n), "watches")
		report(b, all, change(b, world, all))
	}
}

// plantWatched plants orders that nobody drives: they are paused.
func plantWatched(b *testing.B, w *systemtest.World, n int) []*watched {
	b.Helper()
	all, ids, sagas := make([]*watched, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	for i := range all {
		ids[i], sagas[i] = uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		all[i] = &watched{id: ids[i]}
	}
	for _, sql := range []string{`
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to)
SELECT a, b, 'c-1', 'pm_ok', 'GBP', 255, '[{"sku": "MUG", "quantity": 1, "unit_price": {"currency_code": "GBP", "minor_units": 255}}]', '{"country": "GB"}'
  FROM unnest($1::uuid[], $2::uuid[]) AS u (a, b)`, `
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent, paused)
SELECT b, 'order', 2, a, 1, 'reserve', '', 1, now() + interval '1 hour', '', true FROM unnest($1::uuid[], $2::uuid[]) AS u (a, b)`,
	} {
		if _, err := w.Pool["orchestrator"].Exec(b.Context(), sql, ids, sagas); err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// opening opens a watch, and gives a function that waits for the next state.
type opening func(ctx context.Context, orderID string) (next func() (state string, err error), err error)

func overGRPC(b *testing.B, split *systemtest.Split) opening {
	b.Helper()
	conns := []grpc.ClientConnInterface{split.Dial(b, "orchestrator"), split.Dial(b, "orchestrator")}
	var n atomic.Int64
	return func(ctx context.Context, orderID string) (func() (string, error), error) {
		client := orderv1.NewOrderServiceClient(conns[n.Add(1)%int64(len(conns))])
		stream, err := client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID})
		if err != nil {
			return nil, err
		}
		return func() (string, error) {
			for {
				answer, err := stream.Recv()
				if err != nil || answer.GetOrder() != nil {
					return answer.GetOrder().GetState().String(), err
				}
			}
		}, nil
	}
}

func overWebSocket(addr string) opening {
	return func(ctx context.Context, orderID string) (func() (string, error), error) {
		conn, _, err := websocket.Dial(ctx, "http://"+addr+"/v1/orders/"+orderID+"/watch", nil)
		if err != nil {
			return nil, err
		}
		return func() (string, error) {
			for {
				var told restTold
				_, raw, err := conn.Read(ctx)
				if err == nil {
					err = json.Unmarshal(raw, &told)
				}
				if err != nil {
					conn.CloseNow()
					return "", err
				}
				if told.Order != nil {
					return told.Order.State, nil
				}
			}
		}, nil
	}
}

func awaitGateway(b *testing.B, addr string) {
	b.Helper()
	waittest.Until(b, "the gateway serves", func() bool {
		answer, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// openAll opens a watch of every order, and waits until each has told how its order stands.
func openAll(b *testing.B, all []*watched, open opening) {
	b.Helper()
	began := time.Now()
	var opening sync.WaitGroup
	places := make(chan struct{}, 64) // at once
	for _, w := range all {
		opening.Add(1)
		places <- struct{}{}
		go func() {
			next, err := open(b.Context(), w.orderID())
			if err == nil {
				_, err = next()
			}
			<-places
			opening.Done()
			if err != nil {
				b.Error(err)
				return
			}
			for state := ""; err == nil; {
				if state, err = next(); state == "ORDER_STATE_COMPENSATING" {
					w.told.CompareAndSwap(0, time.Now().UnixNano())
				}
			}
		}()
	}
	opening.Wait()
	b.ReportMetric(float64(len(all))/time.Since(began).Seconds(), "opened/s")
}

// change changes half of the orders, so many a second, as another replica does.
func change(b *testing.B, w *systemtest.World, all []*watched) (changed int) {
	b.Helper()
	const every = 10 * time.Millisecond
	conn := bustest.Connect(b, w.NATS).Conn()
	pace := time.NewTicker(every)
	defer pace.Stop()
	piece := max(1, *watchRate/int(time.Second/every))
	for part := range slices.Chunk(all[:len(all)/2], piece) {
		<-pace.C
		ids := make([]uuid.UUID, len(part))
		for i, one := range part {
			ids[i] = one.id
		}
		if _, err := w.Pool["orchestrator"].Exec(b.Context(), `
UPDATE saga SET phase = 2, seq = 2, cause = 'changed', updated_at = now() FROM orders o WHERE o.saga_id = saga.id AND o.id = ANY ($1::uuid[])`, ids); err != nil {
			b.Fatal(err)
		}
		for _, one := range part {
			one.changed.Store(time.Now().UnixNano())
			if err := conn.PublishMsg(bus.Encode(bus.Event{
				ID: uuid.New(), Service: "orchestrator", Entity: "order", Name: "compensating", Subject: one.orderID(), Reference: one.orderID(), Time: time.Now(),
				Data: bus.Payload(&eventv1.OrderCompensating{OrderId: one.orderID(), Cause: "changed"}),
			})); err != nil {
				b.Fatal(err)
			}
			changed++
		}
		if err := conn.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	return changed
}

// report waits until every change was told, and tells how long that took.
func report(b *testing.B, all []*watched, changed int) {
	b.Helper()
	waittest.Until(b, fmt.Sprintf("all %d changes are told", changed), func() bool {
		return !slices.ContainsFunc(all[:changed], func(w *watched) bool { return w.told.Load() == 0 })
	})
	took := make([]time.Duration, changed)
	for i, w := range all[:changed] {
		took[i] = time.Duration(w.told.Load() - w.changed.Load())
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[changed/2].Seconds()*1000, "ms-p50")
	b.ReportMetric(took[changed*99/100].Seconds()*1000, "ms-p99")
	b.ReportMetric(took[changed-1].Seconds()*1000, "ms-max")
}

func resident(b *testing.B, p *systemtest.Process) int64 {
	b.Helper()
	bytes, err := p.Resident()
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
