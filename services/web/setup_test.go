package web

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// orders is the order service as a test wants it.
type orders struct {
	orderv1.UnimplementedOrderServiceServer
	place func(context.Context, *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error)
	watch func(*orderv1.WatchOrderRequest, grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error
}

func (o *orders) PlaceOrder(ctx context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	return o.place(ctx, r)
}

func (o *orders) WatchOrder(r *orderv1.WatchOrderRequest, s grpc.ServerStreamingServer[orderv1.WatchOrderResponse]) error {
	return o.watch(r, s)
}

// services are the gateway, and an order service, in one process; the other services do nothing.
func services(o *orders, cfg Config) []service.Service {
	all := []service.Service{
		{Name: "orchestrator", Run: func(_ context.Context, env *service.Env) error {
			orderv1.RegisterOrderServiceServer(env.GRPC, o)
			return nil
		}},
		{Name: "web", Run: func(ctx context.Context, env *service.Env) error { return Run(ctx, env, cfg) }},
	}
	for _, name := range []string{"inventory", "payment", "shipment", "billing", "reconciliation"} {
		all = append(all, service.Service{Name: name, Run: func(context.Context, *service.Env) error { return nil }})
	}
	for i := range all {
		all[i].Stateless = true
	}
	return all
}

// noNATS is an address where no NATS answers: these tests need none.
func config() service.Config {
	cfg := servicetest.Config()
	cfg.NATS.URL = "nats://127.0.0.1:1"
	return cfg
}

// setup runs the gateway before an order service, and gives its URL.
func setup(t *testing.T, o *orders, change func(*Config)) string {
	t.Helper()
	t.Parallel()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	return "http://" + servicetest.StartWith(t, config(), services(o, cfg)...).HTTPAddr()
}

// request makes a request with headers, name and value in turn.
func request(t *testing.T, method, url, body string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// problem is an error as the gateway writes it.
type problem struct {
	Code    int
	Message string
	Details []struct {
		Type            string `json:"@type"`
		Reason          string
		Metadata        map[string]string
		FieldViolations []struct{ Field string }
	}
}

func (p problem) reason() string {
	if len(p.Details) == 0 {
		return ""
	}
	return p.Details[0].Reason
}

func readProblem(t *testing.T, answer *http.Response) problem {
	t.Helper()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	if err := json.Unmarshal(raw, &p); err != nil || answer.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %s %q, want a status in JSON: %v", answer.Header.Get("Content-Type"), raw, err)
	}
	return p
}

// event is a server-sent event; one without a name is a comment or a setting.
type event struct{ id, name, data, other string }

// events reads server-sent events one by one.
func readEvents(body io.Reader) func() (event, error) {
	lines := bufio.NewReader(body)
	return func() (e event, err error) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return e, err
			}
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch field {
			case "":
				if line != "\n" {
					e.other = ":" + value
					continue
				}
				return e, nil
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			default:
				e.other = field + ": " + value
			}
		}
	}
}
