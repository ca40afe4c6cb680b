package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/bus"
	buslocal "github.com/tieout/tieout/pkg/bus/local"
)

// rawTable has a key and what most rows have: two ids, a few words, an amount, a time.
const rawTable = `CREATE TABLE raw (id uuid PRIMARY KEY, other uuid NOT NULL, word text NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL)`

// startRows is rows inserted by unnest, so many with one statement, which is one commit.
func startRows(ctx context.Context, rows int) (*subject, error) {
	s := &subject{}
	pool, err := s.startPool(ctx)
	if err == nil {
		_, err = pool.Exec(ctx, rawTable)
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.do = func(ctx context.Context, n int64) error {
		ids, others, words, amounts := make([]uuid.UUID, rows), make([]uuid.UUID, rows), make([]string, rows), make([]int64, rows)
		for i := range rows {
			ids[i], others[i], words[i], amounts[i] = uuid.Must(uuid.NewV7()), uuid.New(), "bench/"+strconv.Itoa(i), n
		}
		_, err := pool.Exec(ctx, `
INSERT INTO raw SELECT id, other, word, amount, now() FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) AS u (id, other, word, amount)`,
			ids, others, words, amounts)
		return err
	}
	return s, nil
}

// echo answers as the services do, without doing anything.
type echo struct {
	orderv1.UnimplementedOrderServiceServer
	inventoryv1.UnimplementedInventoryServiceServer
}

// PlaceOrder gives an order.
func (echo) PlaceOrder(_ context.Context, r *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	return &orderv1.PlaceOrderResponse{Order: &orderv1.Order{OrderId: r.GetIdempotencyKey(), CustomerId: r.GetCustomerId(), Lines: r.GetLines()}}, nil
}

// BatchReserve gives a reservation for each request.
func (echo) BatchReserve(_ context.Context, r *inventoryv1.BatchReserveRequest) (*inventoryv1.BatchReserveResponse, error) {
	answer := &inventoryv1.BatchReserveResponse{}
	for range r.GetRequests() {
		answer.Results = append(answer.Results, &inventoryv1.BatchReserveResponse_Result{Response: &inventoryv1.ReserveResponse{}})
	}
	return answer, nil
}

// startEcho is gRPC calls over loopback within this process, so many items in each; 1 is a unary call.
func startEcho(items int) (*subject, error) {
	s := &subject{meter: &meter{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	orderv1.RegisterOrderServiceServer(server, echo{})
	inventoryv1.RegisterInventoryServiceServer(server, echo{})
	go func() { _ = server.Serve(listener) }() // until it is stopped
	s.onStop(func() error { server.Stop(); return nil })
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.onStop(conn.Close)
	orders, stock := orderv1.NewOrderServiceClient(conn), inventoryv1.NewInventoryServiceClient(conn)
	s.do = func(ctx context.Context, n int64) error {
		if items == 1 {
			_, err := orders.PlaceOrder(ctx, orderRequest(n))
			return err
		}
		r := &inventoryv1.BatchReserveRequest{}
		for i := range items {
			r.Requests = append(r.Requests, &inventoryv1.ReserveRequest{
				IdempotencyKey: fmt.Sprintf("saga/%d/%d/reserve", n, i), Reference: "bench", Lines: []*inventoryv1.StockLine{{Sku: sku(n % skus), Quantity: 1}},
			})
		}
		_, err := stock.BatchReserve(ctx, r)
		return err
	}
	return s, nil
}

// startHTTP is posts of a small JSON over loopback within this process, as a provider is asked.
func startHTTP() (*subject, error) {
	s := &subject{meter: &meter{}}
	answer := []byte(`{"id":"ch_0123456789","status":"succeeded","amount":1250,"currency":"GBP"}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked map[string]any
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(answer) // a client that is gone does not mind
	}))
	s.onStop(func() error { server.Close(); return nil })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	s.do = func(ctx context.Context, n int64) error {
		body := fmt.Appendf(nil, `{"key":"saga/%d/charge","amount":1250,"currency":"GBP","payment_method":"pm_ok"}`, n)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, bytes.NewReader(body))
		if err != nil {
			return err
		}
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		return errors.Join(err, answer.Body.Close())
	}
	return s, nil
}

// startStream starts a NATS in this process, which syncs what it takes, with the stream of events.
func (s *subject) startStream(ctx context.Context) (jetstream.JetStream, error) {
	dir, err := s.openDir()
	if err != nil {
		return nil, err
	}
	server, err := buslocal.Start(buslocal.Options{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { server.Shutdown(); return nil })
	conn, err := nats.Connect(server.URL())
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { conn.Close(); return nil })
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	return js, bus.EnsureStream(ctx, js, 1)
}

// startPublish is events published as one, so many at a time, which is one sync, and fetched by a consumer.
func startPublish(ctx context.Context, events int) (_ *subject, err error) {
	s := &subject{meter: &meter{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	js, err := s.startStream(ctx)
	if err != nil {
		return nil, err
	}
	consumer, err := js.CreateConsumer(ctx, bus.Stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckAllPolicy, MaxAckPending: -1})
	if err != nil {
		return nil, err
	}
	taking, err := consumer.Consume(func(m jetstream.Msg) {
		if meta, err := m.Metadata(); err == nil && meta.Sequence.Consumer%256 == 0 {
			_ = m.Ack() // with all before it
		}
	})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { taking.Stop(); return nil })
	s.do = func(ctx context.Context, _ int64) error { return publishTogether(ctx, js.Conn(), events) }
	return s, nil
}

func publishTogether(ctx context.Context, conn *nats.Conn, events int) error {
	all := make([]bus.Event, events)
	for i := range all {
		all[i] = bus.Event{
			ID: uuid.New(), Service: "payment", Entity: "payment", Name: "captured", Subject: "pay_" + uuid.NewString(), Reference: "ord_" + uuid.NewString(),
			Time: time.Now(), Data: make([]byte, 120),
		}
	}
	messages, last := bus.Together(all), len(all)-1
	for _, m := range messages[:last] {
		if err := conn.PublishMsg(m); err != nil {
			return err
		}
	}
	answer, err := conn.RequestMsgWithContext(ctx, messages[last])
	if err != nil {
		return err
	}
	_, refused, err := bus.TakenTogether(messages, answer)
	return errors.Join(refused, err)
}
