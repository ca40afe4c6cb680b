package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"

	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

type watchStream = grpc.ServerStreamingServer[orderv1.WatchOrderResponse]

func sent(state orderv1.OrderState, cursor string) *orderv1.WatchOrderResponse {
	return &orderv1.WatchOrderResponse{Order: &orderv1.Order{OrderId: "ord_1", State: state}, Cursor: cursor}
}

func beat(cursor string) *orderv1.WatchOrderResponse {
	return &orderv1.WatchOrderResponse{Cursor: cursor}
}

// telling sends answers, and then ends with an error or, without one, waits for the client's end.
func telling(err error, answers ...*orderv1.WatchOrderResponse) func(*orderv1.WatchOrderRequest, watchStream) error {
	return func(_ *orderv1.WatchOrderRequest, s watchStream) error {
		for _, a := range answers {
			if err := s.Send(a); err != nil {
				return err
			}
		}
		if err == nil {
			<-s.Context().Done()
			return s.Context().Err()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

const (
	processing = orderv1.OrderState_ORDER_STATE_PROCESSING
	completed  = orderv1.OrderState_ORDER_STATE_COMPLETED
)

// message is what a client is told over WebSocket.
type message struct {
	Order  *struct{ State string }
	Cursor string
	Error  *problem
}

func dialSocket(t *testing.T, url string, headers ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	conn, answer, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: h})
	if err == nil {
		t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, answer, err
}

func readMessage(t *testing.T, conn *websocket.Conn) (m message, err error) {
	t.Helper()
	_, raw, err := conn.Read(t.Context())
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	return m, err
}

// wantClose reads on until the connection is closed, and gives the last error that was told.
func wantClose(t *testing.T, conn *websocket.Conn, code websocket.StatusCode, reason string) (why *problem) {
	t.Helper()
	for {
		m, err := readMessage(t, conn)
		if err == nil {
			why = m.Error
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || closed.Reason != reason {
			t.Errorf("closed by %v, want %d %q", err, code, reason)
		}
		return why
	}
}

func TestWatch_TellsByServerSentEvents(t *testing.T) {
	var asked *orderv1.WatchOrderRequest
	var caller string
	tell := telling(io.EOF, sent(processing, "c1"), beat("c1"), sent(completed, "c2"))
	url := setup(t, &orders{watch: func(r *orderv1.WatchOrderRequest, s watchStream) error {
		asked, caller = r, rpc.Caller(s.Context())
		return tell(r, s)
	}}, nil) + "/v1/orders/ord_1/watch"
	answer := request(t, "GET", url+"?cursor=old", "", "Last-Event-ID", "c0", "Accept", "text/event-stream", "Tieout-Caller", "shop")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %v", answer.StatusCode, answer.Header)
	}
	next := readEvents(answer.Body)
	for _, want := range []event{
		{other: "retry: 2000"}, {id: "c1", name: "order", data: "ORDER_STATE_PROCESSING"}, {other: ":heartbeat"},
		{id: "c2", name: "order", data: "ORDER_STATE_COMPLETED"}, {name: "end", data: "{}"},
	} {
		got, err := next()
		if err != nil || got.id != want.id || got.name != want.name || got.other != want.other || !strings.Contains(got.data, want.data) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %+v, %v", got, err)
	}
	if caller != "shop" || asked.GetOrderId() != "ord_1" || asked.GetCursor() != "c0" || caller != "shop" {
		t.Errorf("%s asked for %v, want ord_1 behind c0", caller, asked)
	}
}

// A browser comes back when a stream ends. 204 tells it that there is no more.
func TestWatch_TellsABrowserNotToComeBack(t *testing.T) {
	url := setup(t, &orders{watch: telling(io.EOF)}, nil) + "/v1/orders/ord_1/watch"
	if answer := request(t, "GET", url, "", "Last-Event-ID", "c2"); answer.StatusCode != http.StatusNoContent {
		t.Errorf("got %d, want 204", answer.StatusCode)
	}
	conn, _, err := dialSocket(t, url+"?cursor=c2")
	if err != nil {
		t.Fatal(err)
	}
	wantClose(t, conn, websocket.StatusNormalClosure, "ended")
}

func TestWatch_TellsOverWebSocket(t *testing.T) {
	var cursor string
	tell := telling(io.EOF, sent(processing, "c1"), beat("c1"), sent(completed, "c2"))
	url := setup(t, &orders{watch: func(r *orderv1.WatchOrderRequest, s watchStream) error {
		cursor = r.GetCursor()
		return tell(r, s)
	}}, nil)
	conn, _, err := dialSocket(t, url+"/v1/orders/ord_1/watch?cursor=c0", "Origin", url)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []message{
		{Order: &struct{ State string }{"ORDER_STATE_PROCESSING"}, Cursor: "c1"}, {Cursor: "c1"}, {Order: &struct{ State string }{"ORDER_STATE_COMPLETED"}, Cursor: "c2"},
	} {
		got, err := readMessage(t, conn)
		if err != nil || got.Cursor != want.Cursor || (got.Order == nil) != (want.Order == nil) || got.Order != nil && *got.Order != *want.Order {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	wantClose(t, conn, websocket.StatusNormalClosure, "ended")
	if cursor != "c0" {
		t.Errorf("watched behind %q, want c0", cursor)
	}
}

func TestWatch_SaysWhyItCannotBegin(t *testing.T) {
	missing := rpcerr.ForField(rpcerr.NotFound, "order_id", "there is no order")
	url := setup(t, &orders{watch: telling(missing)}, nil) + "/v1/orders/ord_1/watch"
	if p := readProblem(t, request(t, "GET", url, "")); p.reason() != string(rpcerr.NotFound) {
		t.Errorf("got %+v", p)
	}
	for origin, want := range map[string]int{"": http.StatusNotFound, "https://evil.example": http.StatusForbidden} {
		_, answer, err := dialSocket(t, url, "Origin", origin)
		if err == nil || answer == nil || answer.StatusCode != want {
			t.Errorf("a WebSocket from %q: got %v, want %d", origin, err, want)
		}
	}
}

func TestWatch_EndsWithWhatTheOrchestratorSays(t *testing.T) {
	slow := rpcerr.New(rpcerr.WatchNotRead, "too slow").With("cursor", "c1")
	url := setup(t, &orders{watch: telling(slow, sent(processing, "c1"))}, nil) + "/v1/orders/ord_1/watch"
	next := readEvents(request(t, "GET", url, "").Body)
	var last event
	for e, err := next(); err == nil; e, err = next() {
		last = e
	}
	if last.name != "status" || !strings.Contains(last.data, "WATCH_NOT_READ") {
		t.Errorf("ended with %+v", last)
	}
	conn, _, err := dialSocket(t, url)
	if err != nil {
		t.Fatal(err)
	}
	if why := wantClose(t, conn, websocket.StatusTryAgainLater, "c1"); why.reason() != string(rpcerr.WatchNotRead) || why.Details[0].Metadata["cursor"] != "c1" {
		t.Errorf("told %+v", why)
	}
}

// One that does not read answers no ping.
func TestWatch_DropsWhoDoesNotRead(t *testing.T) {
	gone := make(chan struct{})
	tell := telling(nil, sent(processing, "c1"), beat("c1"))
	url := setup(t, &orders{watch: func(r *orderv1.WatchOrderRequest, s watchStream) error {
		defer close(gone)
		return tell(r, s)
	}}, func(c *Config) { c.Watch.Patience = 50 * time.Millisecond }) + "/v1/orders/ord_1/watch"
	conn, _, err := dialSocket(t, url)
	if err != nil {
		t.Fatal(err)
	}
	<-gone
	if why := wantClose(t, conn, websocket.StatusTryAgainLater, "c1"); why.reason() != string(rpcerr.WatchNotRead) {
		t.Errorf("told %+v", why)
	}
}

func TestWatch_EndsWithItsClient(t *testing.T) {
	began, gone := make(chan struct{}, 2), make(chan struct{}, 2)
	tell := telling(nil, sent(processing, "c1"))
	url := setup(t, &orders{watch: func(r *orderv1.WatchOrderRequest, s watchStream) error {
		began <- struct{}{}
		defer func() { gone <- struct{}{} }()
		return tell(r, s)
	}}, func(c *Config) { c.Watch.PerCaller = 1 }) + "/v1/orders/ord_1/watch"
	conn, _, err := dialSocket(t, url, "Tieout-Caller", "shop")
	if err != nil {
		t.Fatal(err)
	}
	<-began
	refused := request(t, "GET", url, "", "Tieout-Caller", "shop")
	if p := readProblem(t, refused); refused.StatusCode != http.StatusTooManyRequests || p.reason() != string(rpcerr.TooManyWatches) || refused.Header.Get("Retry-After") != "5" {
		t.Errorf("one more than allowed: got %d %+v", refused.StatusCode, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("another caller: %v, %v", answer, err)
	}
	<-began
	cancel()
	<-gone
	// A client has nothing to say.
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	<-gone
	wantClose(t, conn, websocket.StatusPolicyViolation, "a watch takes no messages")
}

func TestWatch_SendsClientsElsewhereWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	o := &orders{watch: telling(nil, sent(processing, "c1"))}
	p, err := service.Start(t.Context(), config(), t.Output(), services(o, DefaultConfig())...)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + p.HTTPAddr() + "/v1/orders/ord_1/watch"
	next := readEvents(request(t, "GET", url, "").Body)
	conn, _, err := dialSocket(t, url)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := next(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readMessage(t, conn); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	if e, err := next(); err != nil || e.name != "status" || !strings.Contains(e.data, "SHUTTING_DOWN") {
		t.Errorf("told %+v, %v", e, err)
	}
	if why := wantClose(t, conn, websocket.StatusServiceRestart, "c1"); why.reason() != string(rpcerr.ShuttingDown) {
		t.Errorf("told %+v", why)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
