package metrics

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/inventory"
	"github.com/tieout/tieout/services/web"
	"github.com/tieout/tieout/test/systemtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// openMetrics is what Prometheus asks for.
const openMetrics = "application/openmetrics-text; version=1.0.0"

// system is the whole system in this process.
type system struct {
	world   *systemtest.World
	process *service.Process
}

func start(t *testing.T) *system {
	t.Helper()
	s := &system{world: systemtest.NewWorld(t)}
	cfg := servicetest.Config()
	cfg.NATS.URL, cfg.AuditEvery = s.world.NATS.URL(), time.Second
	cfg.Telemetry.SampleRatio, cfg.Telemetry.Processor = 1, tracetest.NewSpanRecorder()
	services := append(s.world.Services(), service.Service{Name: "web", Stateless: true, Run: func(ctx context.Context, env *service.Env) error {
		return web.Run(ctx, env, web.DefaultConfig())
	}})
	for i, of := range services {
		if of.Name == "inventory" { // with a Redis that is away
			stock := inventory.DefaultConfig()
			stock.Cache.Redis.PrimaryURL = "redis://127.0.0.1:1"
			services[i].Run = func(ctx context.Context, env *service.Env) error { return inventory.Run(ctx, env, stock) }
		}
	}
	s.process = servicetest.StartWith(t, cfg, services...)
	s.world.SendWebhooks(s.process)
	return s
}

func (s *system) load(t *testing.T, caller string) {
	t.Helper()
	newLoad(t, servicetest.Dial(t, s.process, caller), s.world.PSP.URL(), "http://"+s.process.HTTPAddr(), caller).run()
}

func (s *system) scrape(t testing.TB) map[string]*family {
	t.Helper()
	return scrapeOf(t, "http://"+s.process.HTTPAddr()+"/metrics")
}

func scrapeOf(t testing.TB, url string) map[string]*family {
	t.Helper()
	raw, err := request(t.Context(), http.MethodGet, url, "", "Accept", openMetrics)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(raw))
}

// all is a scrape when everything was measured: what consumers, auditors and relays tell comes a little later.
func (s *system) all(t *testing.T) (all map[string]*family) {
	t.Helper()
	waittest.Until(t, "everything is measured", func() bool {
		all = s.scrape(t)
		checked, lag := all["tieout_invariant_violations"], all["tieout_inbox_lag"]
		return checked != nil && strings.Contains(names(checked, "tieout_service"), "reconciliation") && lag != nil && len(lag.series) == 3
	})
	return all
}

func names(f *family, label string) string {
	var all []string
	for _, s := range f.series {
		all = append(all, s.labels[label])
	}
	return strings.Join(all, " ")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.load(t, "first")
	first := s.all(t)
	t.Run("are those of the reference", func(t *testing.T) { wantReference(t, first) })
	t.Run("have labels with closed sets of values", func(t *testing.T) { wantClosed(t, first) })
	t.Run("have exemplars where they are latencies", func(t *testing.T) { wantExemplars(t, first) })
	t.Run("are there when dashboards and rules ask for them", func(t *testing.T) { wantQueriesAnswered(t, first) })
	t.Run("have the labels that dashboards and rules select by", func(t *testing.T) { wantSelectorsPossible(t, first) })
	t.Run("tell what happened", func(t *testing.T) { wantTold(t, first) })
	t.Run("tell ages in classes", func(t *testing.T) { s.wantAges(t) })
	s.load(t, "second")
	second := s.all(t)
	t.Run("are not more than they may be", func(t *testing.T) { wantFew(t, first, second) })
}
