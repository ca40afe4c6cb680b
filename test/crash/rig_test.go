package crash

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/nettest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/test/systemtest"
)

const (
	orchestrator = "orchestrator"
	// standby is the second replica of the orchestrator.
	standby = "standby"
)

// services are the processes of a world, but for the standby.
var services = []string{"inventory", "payment", "shipment", orchestrator, "billing", "reconciliation"}

// rig is a world with processes that can be killed, for the replays of one scenario.
type rig struct {
	scenario scenario
	orders   int // of a run
	world    *systemtest.World
	split    *systemtest.Split
	env      []string // of every process
	addrs    map[string]string
	conns    map[string]*grpc.ClientConn
	running  map[string]*systemtest.Process
	log      *logtest.Book
	read     int // how much of the log was shown, or is of no interest any more
	runs     int // of the scenario, which number its keys
}

// newRig makes a world for a scenario, with its stock.
func newRig(t *testing.T, binary string, s scenario, orders int) *rig {
	t.Helper()
	r := &rig{
		scenario: s, orders: orders, world: systemtest.NewWorld(t), log: &logtest.Book{}, addrs: map[string]string{},
		conns: map[string]*grpc.ClientConn{}, running: map[string]*systemtest.Process{},
	}
	// A dead orchestrator is replaced when its lease is over: that is what most replays would wait for.
	r.env = append(r.env, "TIEOUT_ORCHESTRATOR_LEASE=1s")
	r.split = r.world.SplitOf(t, binary, r.log)
	for _, name := range services {
		r.addrs[name] = r.split.Addr(name)
	}
	r.addrs[standby] = nettest.FreeAddr(t)
	for name, addr := range r.addrs {
		r.conns[name] = servicetest.DialAddr(t, addr, "crash")
	}
	if s.fails != "" {
		r.env = append(r.env, "TIEOUT_PAYMENT_PROVIDER_PSP_URL="+newGate(t, r.world.PSP.URL(), s.fails))
	}
	t.Cleanup(r.close)
	r.receive(t)
	return r
}

// close ends all processes.
func (r *rig) close() {
	for name, p := range r.running {
		p.Kill()
		delete(r.running, name)
	}
}

// start starts a process, which does not run.
func (r *rig) start(t *testing.T, name string, env ...string) *systemtest.Process {
	service := name
	if name == standby {
		service = orchestrator
	}
	r.running[name] = r.split.Launch(t, service, r.addrs[name], append(env, r.env...)...)
	return r.running[name]
}

// stop stops a process in order, if it runs: it has nothing to do with what is tried next.
func (r *rig) stop(name string) {
	if p := r.running[name]; p != nil {
		p.Stop()
		delete(r.running, name)
	}
}

// awaitServing waits until a process serves, or is gone.
func (r *rig) awaitServing(t *testing.T, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := r.running[name]
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		r.conns[name].ResetConnectBackoff()
		_, err := healthv1.NewHealthClient(r.conns[name]).Check(ctx, &healthv1.HealthCheckRequest{})
		if err == nil {
			return
		}
		select {
		case <-p.Ended():
			return
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not serve: %v\n%s", name, err, r.newLog())
		}
	}
}

// newLog gives what the processes have printed since it was last asked for, the end of it if it is long.
func (r *rig) newLog() string {
	const most = 8 << 10
	all := r.log.String()
	text := all[r.read:]
	r.read = len(all)
	return text[max(0, len(text)-most):]
}

// trace runs the scenario on fresh processes that nobody kills, and gives the deaths that there are to try.
func (r *rig) trace(t *testing.T) []entry {
	dir := t.TempDir()
	for _, name := range services {
		r.stop(name)
	}
	for _, name := range services {
		r.start(t, name, "TIEOUT_FAILPOINT_TRACE="+filepath.Join(dir, name))
		r.awaitServing(t, name)
	}
	if wrong := r.run(t); len(wrong) > 0 {
		t.Fatalf("with nobody dying: %v\n%s", wrong, r.newLog())
	}
	if wrong := r.check(t); len(wrong) > 0 {
		t.Fatalf("with nobody dying: %v\n%s", wrong, r.newLog())
	}
	var all []entry
	for _, name := range services {
		all = append(all, entries(t, r.scenario, name, filepath.Join(dir, name))...)
	}
	return all
}

// receive puts stock into the world.
func (r *rig) receive(t *testing.T) {
	request := &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: "receive-all",
		Lines:          []*inventoryv1.StockLine{{Sku: plenty, Quantity: 1_000_000}, {Sku: scarce, Quantity: 1}},
	}
	r.start(t, "inventory")
	r.awaitServing(t, "inventory")
	if _, err := inventoryv1.NewInventoryServiceClient(r.conns["inventory"]).ReceiveStock(t.Context(), request); err != nil {
		t.Fatal(err)
	}
}

// run has a client go through the scenario.
func (r *rig) run(t *testing.T) []error {
	r.runs++
	c := client{fronts: []*grpc.ClientConn{r.conns[orchestrator], r.conns[standby]}}
	return c.run(t.Context(), r.scenario, r.orders, fmt.Sprintf("run-%04d", r.runs))
}

// check checks what must hold when all orders are at rest, but for the timeline, which may need a while to have seen
// everything.
func (r *rig) check(t *testing.T) []error {
	var conns []*grpc.ClientConn
	for name := range r.running {
		r.awaitServing(t, name)
		conns = append(conns, r.conns[name])
	}
	found := &findings{TB: t}
	checked := make(chan struct{})
	go func() { // which a check may end
		defer close(checked)
		r.world.CheckStream(found)
		r.world.CheckInvariants(found, conns...)
	}()
	<-checked
	return found.wrong
}

// history gives what happened to the sagas that were begun last.
func (r *rig) history(t *testing.T) string {
	t.Helper()
	return strings.Join(pgtest.Column[string](t, r.world.Pool[orchestrator], `
		SELECT concat_ws(' ', e.saga_id, e.seq, to_char(e.at, 'HH24:MI:SS.MS'), e.epoch, e.type, e.step, e.detail)
		  FROM saga_event e JOIN (SELECT id FROM saga ORDER BY id DESC LIMIT $1) s ON s.id = e.saga_id
		 ORDER BY e.saga_id, e.seq`, r.orders), "\n")
}

// findings is a test that goes on whatever a check finds, and keeps it.
type findings struct {
	testing.TB
	wrong []error
}

// Errorf implements testing.TB.
func (f *findings) Errorf(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Errorf(strings.ReplaceAll(format, "%w", "%v"), args...))
}

// Fatalf implements testing.TB; it ends the goroutine of the check.
func (f *findings) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal implements testing.TB.
func (f *findings) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }
