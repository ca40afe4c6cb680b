package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const placeBody = `{"customer_id":"c-1","payment_method":"pm_ok","ship_to":{"country":"GB"},
"lines":[{"sku":"MUG","quantity":2,"unit_price":{"currency_code":"GBP","minor_units":"255"}}]}`

func answerOrder(orderID string) *orderv1.PlaceOrderResponse {
	return &orderv1.PlaceOrderResponse{Order: &orderv1.Order{OrderId: orderID}}
}

func TestREST_PassesOnWhoAsksUnderWhichKeyInWhichTrace(t *testing.T) {
	const traceID = "0af7651916cd43dd8448eb211c80319c"
	var key, caller, trace string
	url := setup(t, &orders{place: func(ctx context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		key, caller, trace = r.GetIdempotencyKey(), rpc.Caller(ctx), strings.Join(md.Get("traceparent"), ",")
		if got := r.GetLines()[0].GetUnitPrice().GetMinorUnits(); got != 255 {
			t.Errorf("got %d minor units", got)
		}
		idem.MarkReplayed(ctx)
		return answerOrder("ord_1"), nil
	}}, nil) + "/v1/orders"
	answer := request(t, "POST", url, placeBody, "Idempotency-Key", "key-0001", "Tieout-Caller", "shop",
		"Traceparent", "00-"+traceID+"-b7ad6b7169203331-01", "Grpc-Metadata-Tieout-Caller", "somebody else")
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(raw), `"order_id":"ord_1"`) {
		t.Errorf("got %d %s, %v", answer.StatusCode, raw, err)
	}
	if answer.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a replay is not told: %v", answer.Header)
	}
	if key != "key-0001" || caller != "shop" || !strings.Contains(trace, traceID) {
		t.Errorf("the server sees key %q of %q in trace %q", key, caller, trace)
	}

	inBody := strings.Replace(placeBody, "{", `{"idempotency_key":"key-0002",`, 1)
	if answer := request(t, "POST", url, inBody); answer.StatusCode != http.StatusOK || key != "key-0002" || caller != rpc.Anonymous {
		t.Errorf("got %d; the server sees key %q of %q", answer.StatusCode, key, caller)
	}
	two := readProblem(t, request(t, "POST", url, inBody, "Idempotency-Key", "key-0003"))
	if two.reason() != string(rpcerr.RequestInvalid) || two.Details[1].FieldViolations[0].Field != "idempotency_key" {
		t.Errorf("two keys: got %+v", two)
	}
}

func TestREST_TellsWhatWentWrongInOneShape(t *testing.T) {
	busy := rpcerr.New(rpcerr.IdempotencyKeyInFlight, "wait")
	busy.RetryAfter = 1500 * time.Millisecond
	failures := map[string]error{
		"busy-0001": busy, "wild-0001": errors.New("password=secret"), "gone-0001": status.Error(codes.Unavailable, "10.0.0.1: refused"),
	}
	url := setup(t, &orders{place: func(_ context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
		return nil, failures[r.GetIdempotencyKey()]
	}}, nil)
	for name, test := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               codes.Code
		reason             rpcerr.Reason
	}{
		"no JSON":          {"POST", "/v1/orders", `{"customer_id":`, nil, 400, codes.InvalidArgument, rpcerr.RequestMalformed},
		"unknown field":    {"POST", "/v1/orders", `{"client":1}`, nil, 400, codes.InvalidArgument, rpcerr.RequestMalformed},
		"no text":          {"POST", "/v1/orders", "{\"customer_id\":\"\xff\"}", nil, 400, codes.InvalidArgument, rpcerr.RequestMalformed},
		"unknown filter":   {"GET", "/v1/orders?page_size=1&page_tokn=x", "", nil, 400, codes.InvalidArgument, rpcerr.RequestMalformed},
		"no key":           {"POST", "/v1/orders", placeBody, nil, 400, codes.InvalidArgument, rpcerr.IdempotencyKeyMissing},
		"bad caller":       {"GET", "/v1/orders", "", []string{"Tieout-Caller", strings.Repeat("x", 129)}, 400, codes.InvalidArgument, rpcerr.RequestInvalid},
		"nowhere":          {"GET", "/v1/nothing", "", nil, 404, codes.NotFound, rpcerr.RouteUnknown},
		"nowhere at all":   {"POST", "/metrics", "", nil, 404, codes.NotFound, rpcerr.RouteUnknown},
		"method":           {"DELETE", "/v1/orders", "", nil, 405, codes.NotFound, rpcerr.RouteUnknown},
		"too large":        {"POST", "/v1/orders", strings.Repeat(" ", maxBody+1), nil, 413, codes.InvalidArgument, rpcerr.RequestTooLarge},
		"another's page":   {"GET", "/v1/orders", "", []string{"Origin", "https://evil.example"}, 403, codes.PermissionDenied, rpcerr.OriginRefused},
		"nobody's page":    {"POST", "/v1/orders", placeBody, []string{"Origin", "null"}, 403, codes.PermissionDenied, rpcerr.OriginRefused},
		"to be repeated":   {"POST", "/v1/orders", placeBody, []string{"Idempotency-Key", "busy-0001"}, 409, codes.Aborted, rpcerr.IdempotencyKeyInFlight},
		"the server's own": {"POST", "/v1/orders", placeBody, []string{"Idempotency-Key", "wild-0001"}, 500, codes.Internal, rpcerr.Internal},
		"lost":             {"POST", "/v1/orders", placeBody, []string{"Idempotency-Key", "gone-0001"}, 500, codes.Internal, rpcerr.Internal},
		"not served there": {"GET", "/v1/payments", "", nil, 500, codes.Internal, rpcerr.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			answer := request(t, test.method, url+test.path, test.body, test.headers...)
			p := readProblem(t, answer)
			if answer.StatusCode != test.status || p.Code != int(test.code) || p.reason() != string(test.reason) {
				t.Errorf("got %d %+v, want %d %d %s", answer.StatusCode, p, test.status, test.code, test.reason)
			}
			if strings.Contains(fmt.Sprint(p), "secret") || strings.Contains(fmt.Sprint(p), "10.0.0.1") {
				t.Errorf("tells too much: %+v", p)
			}
			if after := answer.Header.Get("Retry-After"); name == "to be repeated" && after != "2" {
				t.Errorf("Retry-After is %q, want 2", after)
			}
		})
	}
}

func TestREST_ServesPagesOfAllowedOrigins(t *testing.T) {
	url := setup(t, &orders{place: func(context.Context, *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
		return answerOrder("ord_1"), nil
	}}, func(c *Config) { c.AllowOrigins = "https://shop.example, http://localhost:3000" }) + "/v1/orders"
	for origin, cors := range map[string]bool{"https://shop.example": true, strings.TrimSuffix(url, "/v1/orders"): false} {
		answer := request(t, "POST", url, placeBody, "Idempotency-Key", "key-0001", "Origin", origin)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("a page of %s gets %d", origin, answer.StatusCode)
		}
		if got := answer.Header.Get("Access-Control-Allow-Origin"); cors && got != origin || !cors && got != "" {
			t.Errorf("a page of %s is told that %q may read", origin, got)
		}
	}
	asked := request(t, "OPTIONS", url, "", "Origin", "https://shop.example", "Access-Control-Request-Method", "POST")
	if allowed := asked.Header.Get("Access-Control-Allow-Headers"); asked.StatusCode != http.StatusNoContent || !strings.Contains(allowed, "Idempotency-Key") {
		t.Errorf("a preflight gets %d %q", asked.StatusCode, allowed)
	}
	if asked := request(t, "OPTIONS", url, "", "Origin", "https://shop.example.evil", "Access-Control-Request-Method", "POST"); asked.StatusCode != http.StatusForbidden {
		t.Errorf("another's preflight gets %d", asked.StatusCode)
	}
}

func TestConfig_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"shop.example", "https://shop.example/", "ftp://shop.example", "https://", "*"} {
		if got, err := parseOrigins(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
	if got, err := parseOrigins(" https://A.example,,http://b:1 "); err != nil || !slices.Equal(got, origins{"https://a.example", "http://b:1"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := DefaultConfig().Watch.validate(); err != nil {
		t.Error(err)
	}
	if err := (Watch{Limit: 1, PerCaller: 1, Patience: 1}).validate(); err == nil {
		t.Error("no time to retry is allowed")
	}
}

func TestOpenAPI_TellsOfWhatThereIs(t *testing.T) {
	url := setup(t, &orders{}, nil)
	answer := request(t, "GET", url+"/openapi.json", "")
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"swagger": "2.0"`, `"title": "Tieout"`, `"/v1/orders/{order_id}/watch"`, `"/v1/batches/{batch_id}:start"`, `"idempotency_key"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the description lacks %s", want)
		}
	}
}
