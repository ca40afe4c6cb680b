package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/web"
	"github.com/tieout/tieout/test/systemtest"
)

// restOrder is what REST and watches tell of an order.
type restOrder struct {
	OrderID string `json:"order_id"`
	State   string
}

// restTold is an answer, or a message of a watch.
type restTold struct {
	Order  *restOrder
	Cursor string
}

// setupWeb is setup with the gateway, whose URL it gives.
func setupWeb(t *testing.T) (*fixture, string) {
	t.Helper()
	t.Parallel()
	f := &fixture{T: t, world: systemtest.NewWorld(t)}
	cfg := servicetest.Config()
	cfg.NATS.URL = f.world.NATS.URL()
	gateway := service.Service{Name: "web", Stateless: true, Run: func(ctx context.Context, env *service.Env) error {
		return web.Run(ctx, env, web.DefaultConfig())
	}}
	f.process = servicetest.StartWith(t, cfg, append(f.world.Services(), gateway)...)
	f.connect()
	return f, "http://" + f.process.HTTPAddr() + "/v1"
}

// placeREST places an order of mugs over REST, and tells whether the answer was given before.
func (f *fixture) placeREST(url, key, country string) (restOrder, bool) {
	f.Helper()
	body := fmt.Sprintf(`{"customer_id":"c-1","payment_method":"pm_ok","ship_to":{"country":%q},
"lines":[{"sku":"MUG","quantity":1,"unit_price":{"currency_code":"GBP","minor_units":"255"}}]}`, country)
	var told restTold
	answer := f.do(http.MethodPost, url+"/orders", key, body, http.StatusOK, &told)
	if told.Order == nil {
		f.Fatalf("got %+v, which is no order", told)
	}
	return *told.Order, answer.Header.Get("Idempotency-Replayed") == "true"
}

// oneEvent watches behind a cursor by server-sent events, and cuts the connection after the first event.
func oneEvent(ctx context.Context, url, cursor string) (told restTold, ended bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return told, false, err
	}
	r.Header.Set("Last-Event-ID", cursor)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return told, false, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return told, true, nil
	}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "{}" {
			return told, false, json.Unmarshal([]byte(data), &told)
		}
	}
	return told, false, fmt.Errorf("%s: the stream ended", answer.Status)
}

// oneMessage is oneEvent over WebSocket.
func oneMessage(ctx context.Context, url, cursor string) (told restTold, ended bool, err error) {
	conn, _, err := websocket.Dial(ctx, url+"?cursor="+cursor, nil)
	if err != nil {
		return told, false, err
	}
	defer conn.CloseNow()
	for told.Order == nil {
		_, raw, err := conn.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return told, true, nil
		}
		if err != nil {
			return told, false, err
		}
		if err := json.Unmarshal(raw, &told); err != nil {
			return told, false, err
		}
	}
	return told, false, nil
}

// A client whose connection is cut after everything it is told is told every state once, and how the order ends.
func TestWeb_TellsHowAnOrderEndsWhateverIsCut(t *testing.T) {
	f, url := setupWeb(t)
	f.receive("MUG", 100)
	order := []string{"ORDER_STATE_PROCESSING", "ORDER_STATE_COMPENSATING", "ORDER_STATE_COMPLETED", "ORDER_STATE_COMPENSATED"}
	for name, watch := range map[string]func(context.Context, string, string) (restTold, bool, error){"events": oneEvent, "socket": oneMessage} {
		for country, end := range map[string]string{"GB": "ORDER_STATE_COMPLETED", "XX": "ORDER_STATE_COMPENSATED"} {
			placed, replayed := f.placeREST(url, "order-"+name+"-"+country, country)
			again, twice := f.placeREST(url, "order-"+name+"-"+country, country)
			if replayed || !twice || again.OrderID != placed.OrderID {
				t.Errorf("placed %s (replayed: %t), and again %s (%t)", placed.OrderID, replayed, again.OrderID, twice)
			}
			var states []string
			for cursor := ""; ; {
				told, ended, err := watch(t.Context(), url+"/orders/"+placed.OrderID+"/watch", cursor)
				if err != nil {
					t.Fatal(err)
				}
				if ended {
					break
				}
				states, cursor = append(states, told.Order.State), told.Cursor
			}
			sorted := slices.IsSortedFunc(states, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
			if len(states) == 0 || !sorted || len(slices.Compact(slices.Clone(states))) != len(states) || states[len(states)-1] != end {
				t.Errorf("%s of an order to %s tell %v, want each state once, and %s last", name, country, states, end)
			}
		}
	}
}

func TestWeb_ReadsFromEveryService(t *testing.T) {
	f, url := setupWeb(t)
	f.receive("MUG", 1)
	placed, _ := f.placeREST(url, "order-0001", "GB")
	systemtest.End(t, f.orders, placed.OrderID)
	for _, path := range []string{
		"/orders", "/orders/" + placed.OrderID, "/sagas/" + placed.OrderID, "/sagas/" + placed.OrderID + ":explain", "/sagas?filter=parked%20%3D%20true",
		"/payments", "/ledger/balances", "/ledger/entries", "/items", "/items/MUG", "/stock", "/stock/MUG", "/stock/MUG/events", "/shipments",
		"/batches", "/schedules", "/breaks", "/reconciliation/runs", "/statements", "/statementFiles",
	} {
		answer, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !json.Valid(raw) {
			t.Errorf("%s gives %d %.200s", path, answer.StatusCode, raw)
		}
	}
}
