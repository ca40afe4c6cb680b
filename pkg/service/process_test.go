package service_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestProcess_ServesAndTellsThatItDoes(t *testing.T) {
	t.Parallel()
	p := mustStart(t, quietConfig(), inventoryService(answer), orderService("")) // and no NATS, which may come later
	defer stop(t, p)
	conn := servicetest.Dial(t, p, "shop")
	if err := getStock(t.Context(), conn); err != nil {
		t.Errorf("GetStock: %v", err)
	}
	for _, name := range []string{"", "inventory", "orchestrator"} {
		if got := healthOf(t, conn, name); got != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: got %s, want SERVING", name, got)
		}
	}
	_, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "payment"})
	if status.Code(err) != codes.NotFound {
		t.Errorf("health of a service that is not here: got %v, want NotFound", err)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404} {
		if got, _, body := get(t, p, path); got != want {
			t.Errorf("%s: got %d %s, want %d", path, got, body, want)
		}
	}
}

func TestProcess_MeasuresItsCallsAndQueries(t *testing.T) {
	t.Parallel()
	p := mustStart(t, quietConfig(), inventoryService(answer))
	defer stop(t, p)
	if err := getStock(t.Context(), servicetest.Dial(t, p, "shop")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rpc_server_call_duration_seconds_count{", `rpc_method="tieout.inventory.v1.InventoryService/GetStock"`, "go_goroutines",
	} {
		// A call is counted a moment after its client has the answer.
		waittest.Until(t, want+" is in the metrics", func() bool {
			_, contentType, body := get(t, p, "/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
			if !strings.HasPrefix(contentType, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") {
				t.Fatalf("got content type %s and a body of %d bytes, want OpenMetrics", contentType, len(body))
			}
			return strings.Contains(body, want)
		})
	}
}

// events is what happened, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, what)
}

// slow is a service with a call that ends when it is released, and a duty that needs the database to end.
type slow struct {
	happened events
	arrived  chan struct{}
	release  chan struct{}
	stopping <-chan struct{}
}

func (s *slow) service(t *testing.T) service.Service {
	return inventoryService(
		func(ctx context.Context, _ string) error {
			close(s.arrived)
			<-s.release
			s.happened.add("call finished")
			return ctx.Err()
		},
		func(env *service.Env) error {
			s.stopping = env.Stopping
			env.Go("duty", func(ctx context.Context) error {
				<-ctx.Done()
				if _, err := env.Pool.Exec(context.WithoutCancel(ctx), `SELECT 1`); err != nil {
					t.Errorf("the pool was closed before the duty ended: %v", err)
				}
				s.happened.add("duty ended")
				return ctx.Err()
			})
			return nil
		})
}

func TestStop_FinishesCallsThenDutiesThenConnections(t *testing.T) {
	t.Parallel()
	s := &slow{arrived: make(chan struct{}), release: make(chan struct{})}
	p := mustStart(t, quietConfig(), s.service(t))
	conn := servicetest.Dial(t, p, "shop")
	called, stopped := make(chan error, 1), make(chan error, 1)
	go func() { called <- getStock(t.Context(), conn) }()
	<-s.arrived
	go func() { stopped <- p.Stop() }()
	<-s.stopping
	waittest.Until(t, "it is not ready any more", func() bool {
		code, _, _ := get(t, p, "/readyz")
		return code == 503
	})
	if code, _, _ := get(t, p, "/healthz"); code != 200 {
		t.Errorf("alive while stopping: got %d, want 200", code)
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a call in flight: %v", err)
	default:
	}
	s.happened.add("released")
	close(s.release)
	if err := <-called; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	if diff := cmp.Diff([]string{"released", "call finished", "duty ended"}, s.happened.list); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	select {
	case err := <-p.Failed():
		t.Errorf("a duty that was ended counts as failed: %v", err)
	default:
	}
	if err := getStock(t.Context(), conn); !rpcerr.Is(err, rpcerr.DestinationDown) {
		t.Errorf("a call afterwards: got %v, want DESTINATION_DOWN", err)
	}
}

// What is asked over HTTP is answered also when nobody new is let in any more.
func TestStop_FinishesHTTPRequests(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	p := mustStart(t, quietConfig(), service.Service{Name: "web", Stateless: true, Run: func(_ context.Context, env *service.Env) error {
		if env.Pool != nil {
			t.Error("a service without a database has a pool")
		}
		env.HTTP.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			waittest.Until(t, "nobody is let in", func() bool {
				conn, err := net.Dial("tcp", r.Host)
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			_, _ = w.Write([]byte("done"))
		})
		return nil
	}})
	answered := make(chan string, 1)
	go func() {
		_, _, body := get(t, p, "/slow")
		answered <- body
	}()
	<-arrived
	stop(t, p)
	if got := <-answered; got != "done" {
		t.Errorf("got %q", got)
	}
}

func TestStop_TellsThoseWhoWatchItsHealth(t *testing.T) {
	t.Parallel()
	p := mustStart(t, quietConfig(), inventoryService(answer))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch, err := healthv1.NewHealthClient(servicetest.Dial(t, p, "supervisor")).Watch(ctx, &healthv1.HealthCheckRequest{Service: "inventory"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	var got []string
	for len(got) < 2 {
		change, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, change.GetStatus().String()); len(got) == 1 {
			go func() { stopped <- p.Stop() }()
		}
	}
	if diff := cmp.Diff([]string{"SERVING", "NOT_SERVING"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cancel() // a watch is a call in flight
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestStop_CutsCallsThatDoNotFinish(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	cfg := quietConfig()
	cfg.StopTimeout = 50 * time.Millisecond
	p := mustStart(t, cfg, inventoryService(func(ctx context.Context, _ string) error {
		close(arrived)
		<-ctx.Done()
		return ctx.Err()
	}))
	conn := servicetest.Dial(t, p, "shop")
	called := make(chan error, 1)
	go func() { called <- getStock(t.Context(), conn) }()
	<-arrived
	stop(t, p)
	if err := <-called; status.Code(err) != codes.Unavailable {
		t.Errorf("the call: got %v, want UNAVAILABLE", err)
	}
}

func TestProcess_TellsOfADutyThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk full")
	p := mustStart(t, quietConfig(), inventoryService(answer, func(env *service.Env) error {
		env.Go("one that ends well", func(context.Context) error { return nil })
		env.Go("sweeper", func(context.Context) error { return broken })
		return nil
	}))
	defer stop(t, p)
	err := <-p.Failed()
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "inventory: sweeper: ") {
		t.Errorf("got %v, want the duty's error and its name", err)
	}
}

func TestStart_RefusesADatabaseThatLacksMigrations(t *testing.T) {
	t.Parallel()
	s := inventoryService(answer)
	s.Migrations = []pg.Migrations{idem.Migrations}
	_, err := start(t, quietConfig(), s)
	if err == nil || !strings.Contains(err.Error(), "tieout migrate up") || !strings.Contains(err.Error(), "inventory") {
		t.Errorf("got %v, want what to do and for which service", err)
	}
	s.Postgres.DSN = pgtest.DSN(t, idem.Migrations)
	stop(t, mustStart(t, quietConfig(), s))
}

func TestStart_SaysWhichServiceCannotStartAndLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such setting")
	for name, test := range map[string]struct {
		service service.Service
		want    string
	}{
		"no database is named":    {service.Service{Name: "payment", Postgres: service.Postgres{}}, "postgres.dsn"},
		"the DSN is none":         {service.Service{Name: "payment", Postgres: service.Postgres{DSN: "postgres://%zz"}}, "DSN"},
		"the database is away":    {service.Service{Name: "payment", Postgres: service.Postgres{DSN: "postgres://u:p@127.0.0.1:1/db"}}, "database"},
		"its wiring fails":        {service.Service{Name: "payment", Run: func(context.Context, *service.Env) error { return broken }}, broken.Error()},
		"it needs one not here":   {service.Service{Name: "payment", Run: func(_ context.Context, env *service.Env) error { _, err := env.Dial("shipment", ""); return err }}, "shipment"},
		"an address that is none": {service.Service{Name: "payment", Run: func(_ context.Context, env *service.Env) error { _, err := env.Dial("shipment", "%zz"); return err }}, "shipment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var happened events
			first := inventoryService(answer, func(env *service.Env) error {
				env.Go("duty", func(ctx context.Context) error {
					<-ctx.Done()
					happened.add("duty ended")
					return nil
				})
				return nil
			})
			first.Postgres.DSN = pgtest.DSN(t)
			if test.service.Run != nil {
				test.service.Postgres.DSN = first.Postgres.DSN
			}
			cfg := quietConfig()
			cfg.StartTimeout = time.Second
			_, err := service.Start(t.Context(), cfg, t.Output(), first, test.service)
			if err == nil || !strings.Contains(err.Error(), "payment") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error that names payment and %s", err, test.want)
			}
			if !slices.Equal(happened.list, []string{"duty ended"}) {
				t.Errorf("the service that did start was not stopped: %v", happened.list)
			}
		})
	}
}
