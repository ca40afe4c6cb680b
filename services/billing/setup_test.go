package billing

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	recurringv1 "github.com/tieout/tieout/gen/tieout/recurring/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// orchestrator is a working fake: it keeps what was started under each key, answers it again, and tells what came of it
// as the payment method says: pm_ok completes, pm_declined and pm_lost_card are declined, pm_parked is parked, and
// pm_held waits to be released. A key that comes with another payment fails the test.
type orchestrator struct {
	recurringv1.UnimplementedRecurringServiceServer
	t testing.TB
	// trouble is asked before what a call carries takes effect, and after: an error of it is the call's.
	trouble func(nth int, applied bool) error

	mu      sync.Mutex
	js      jetstream.JetStream
	calls   int
	started map[string]*recurringv1.StartRecurringPaymentRequest
	held    []*recurringv1.StartRecurringPaymentRequest
	most    int // that were held at once
}

func newOrchestrator(t testing.TB) *orchestrator {
	return &orchestrator{t: t, started: map[string]*recurringv1.StartRecurringPaymentRequest{}}
}

func (o *orchestrator) service() service.Service {
	return service.Service{Name: "orchestrator", Run: func(_ context.Context, env *service.Env) error {
		o.js = env.JetStream
		recurringv1.RegisterRecurringServiceServer(env.GRPC, o)
		return nil
	}}
}

// BatchStartRecurringPayment implements recurringv1.RecurringServiceServer.
func (o *orchestrator) BatchStartRecurringPayment(ctx context.Context, r *recurringv1.BatchStartRecurringPaymentRequest) (*recurringv1.BatchStartRecurringPaymentResponse, error) {
	o.mu.Lock()
	o.calls++
	nth := o.calls
	o.mu.Unlock()
	if o.trouble != nil {
		if err := o.trouble(nth, false); err != nil {
			return nil, err
		}
	}
	out := &recurringv1.BatchStartRecurringPaymentResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), o.startAll) {
		out.Results = append(out.Results, &recurringv1.BatchStartRecurringPaymentResponse_Result{Status: a.Status(), Response: a.Response, Replayed: a.Replayed})
	}
	if o.trouble != nil {
		return out, o.trouble(nth, true)
	}
	return out, nil
}

func (o *orchestrator) startAll(_ context.Context, requests []*recurringv1.StartRecurringPaymentRequest) []rpc.Answered[*recurringv1.StartRecurringPaymentResponse] {
	o.mu.Lock()
	defer o.mu.Unlock()
	answers := make([]rpc.Answered[*recurringv1.StartRecurringPaymentResponse], len(requests))
	for i, r := range requests {
		if first := o.started[r.GetIdempotencyKey()]; first != nil {
			if !proto.Equal(first, r) {
				o.t.Errorf("key %s came with %v, and before with %v", r.GetIdempotencyKey(), r, first)
			}
			answers[i].Replayed = true
			continue
		}
		o.started[r.GetIdempotencyKey()] = r
		if r.GetPaymentMethod() == "pm_held" {
			o.held = append(o.held, r)
			o.most = max(o.most, len(o.held))
			continue
		}
		o.tell(r, r.GetPaymentMethod())
	}
	return answers
}

// tell publishes what came of a payment.
func (o *orchestrator) tell(r *recurringv1.StartRecurringPaymentRequest, method string) {
	saga := id.New[sagaKind]().String()
	switch method {
	case "pm_declined", "pm_lost_card":
		reason := map[string]string{"pm_declined": "insufficient_funds", "pm_lost_card": "lost_card"}[method]
		o.publish("compensated", &eventv1.RecurringPaymentCompensated{
			SagaId: saga, Reference: r.GetReference(), PaymentId: "pay_of " + r.GetReference(), Reason: "PAYMENT_DECLINED", DeclineReason: reason, Cause: "declined: " + reason,
		})
	case "pm_parked":
		o.publish("parked", &eventv1.RecurringPaymentParked{SagaId: saga, Reference: r.GetReference(), Cause: "unknown after 60 attempts"})
	default:
		o.publish("completed", &eventv1.RecurringPaymentCompleted{SagaId: saga, Reference: r.GetReference(), PaymentId: "pay_of " + r.GetReference()})
	}
}

func (o *orchestrator) publish(name string, m proto.Message) {
	rcp := "rcp_" + uuid.NewString()
	e := bus.Event{
		ID: uuid.Must(uuid.NewV7()), Time: time.Now(), Service: "orchestrator", Entity: "recurring", Name: name, Subject: rcp, Reference: rcp, Data: bus.Payload(m),
	}
	if _, err := o.js.PublishMsg(context.Background(), bus.Encode(e)); err != nil {
		o.t.Errorf("publishing: %v", err)
	}
}

// release tells what came of the payments that are held.
func (o *orchestrator) release(method string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.held {
		o.tell(r, method)
	}
	o.held = nil
}

// count gives how many payments were started, how many are held, and how many were held at most.
func (o *orchestrator) count() (started, held, most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.started), len(o.held), o.most
}

type fixture struct {
	*testing.T
	orchestrator *orchestrator
	batches      billingv1.BatchServiceClient
	dsn          string
	db           *pgxpool.Pool
	billing      *billing
	process      *service.Process
}

// setup runs billing with a fake orchestrator.
func setup(t *testing.T) *fixture {
	t.Helper()
	t.Parallel()
	return setupWith(t, newOrchestrator(t))
}

func setupWith(t *testing.T, o *orchestrator) *fixture {
	t.Helper()
	f := &fixture{T: t, orchestrator: o, dsn: pgtest.DSN(t, Migrations()...)}
	var err error
	if f.db, err = pgxpool.New(t.Context(), f.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	f.process = servicetest.Start(t, o.service(), f.service())
	f.batches = billingv1.NewBatchServiceClient(servicetest.Dial(t, f.process, "payer"))
	return f
}

func (f *fixture) service() service.Service {
	return service.Service{
		Name: "billing", Postgres: service.Postgres{DSN: f.dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(_ context.Context, env *service.Env) (err error) {
			f.billing, err = wire(env, DefaultConfig())
			return err
		},
	}
}

// upload sends a file in pieces.
func (f *fixture) upload(key string, h *billingv1.BatchHeader, file string) (*billingv1.Batch, error) {
	f.Helper()
	stream, err := f.batches.UploadBatch(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	err = stream.Send(&billingv1.UploadBatchRequest{IdempotencyKey: key, Part: &billingv1.UploadBatchRequest_Header{Header: h}})
	for piece := range slices.Chunk([]byte(file), 1000) {
		if err == nil {
			err = stream.Send(&billingv1.UploadBatchRequest{Part: &billingv1.UploadBatchRequest_Chunk{Chunk: piece}})
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		f.Fatal(err)
	}
	answer, err := stream.CloseAndRecv()
	return answer.GetBatch(), err
}

const heading = "reference,customer_id,payment_method,amount,currency,description\n"

// plan uploads rows of a CSV file.
func (f *fixture) plan(name string, rows ...string) *billingv1.Batch {
	f.Helper()
	b, err := f.upload("upload-"+name, &billingv1.BatchHeader{Name: name}, heading+strings.Join(rows, "\n")+"\n")
	if err != nil {
		f.Fatalf("uploading %s: %v", name, err)
	}
	return b
}

// start starts a batch.
func (f *fixture) start(b *billingv1.Batch) {
	f.Helper()
	if _, err := f.batches.StartBatch(f.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start-" + b.GetBatchId(), BatchId: b.GetBatchId()}); err != nil {
		f.Fatalf("starting: %v", err)
	}
}

// end waits for a batch's end.
func (f *fixture) end(b *billingv1.Batch) *billingv1.Batch {
	f.Helper()
	return f.until(b, func(b *billingv1.Batch) bool { return b.GetEndTime() != nil })
}

// until watches a batch until something holds for it.
func (f *fixture) until(b *billingv1.Batch, holds func(*billingv1.Batch) bool) *billingv1.Batch {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	stream, err := f.batches.WatchBatch(ctx, &billingv1.WatchBatchRequest{BatchId: b.GetBatchId()})
	for last := b; ; {
		var answer *billingv1.WatchBatchResponse
		if err == nil {
			answer, err = stream.Recv()
		}
		if err != nil {
			f.Fatalf("watching: %v; at last %v", err, last)
		}
		if last = answer.GetBatch(); holds(last) {
			return last
		}
	}
}

// items lists the items of a batch, one to a page.
func (f *fixture) items(b *billingv1.Batch) []*billingv1.BatchItem {
	f.Helper()
	var all []*billingv1.BatchItem
	for token := ""; ; {
		page, err := f.batches.ListBatchItems(f.Context(), &billingv1.ListBatchItemsRequest{BatchId: b.GetBatchId(), PageSize: 1, PageToken: token})
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, page.GetItems()...)
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// wantClean checks the invariants.
func (f *fixture) wantClean() {
	f.Helper()
	if v := pgtest.Violations(f.T, f.db); len(v) > 0 {
		f.Errorf("invariants: %v", v)
	}
}

// settled waits until something holds for a batch that has ended.
func (f *fixture) settled(b *billingv1.Batch, holds func(*billingv1.Batch) bool) {
	f.Helper()
	waittest.Until(f.T, "the batch is settled", func() bool {
		answer, err := f.batches.GetBatch(f.Context(), &billingv1.GetBatchRequest{BatchId: b.GetBatchId()})
		return err == nil && holds(answer.GetBatch())
	})
}
