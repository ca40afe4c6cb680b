package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/logtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/web"
	"github.com/tieout/tieout/test/systemtest"
)

// canaries are what no log may hold: a card number, an address and two secrets. They are written into every free field.
var canaries = []string{"4111111111111111", "5500-0000-0000-0004", "mallory@canary.example", "sk_live_canary", "hunter2canary"}

var canary = canaries[0] + " " + canaries[1] + " " + canaries[2] + " " + canaries[3] + " password=" + canaries[4]

// canaryFixture is the whole system with the gateway, which logs all it can, and records every span.
func canaryFixture(t *testing.T) (*fixture, *logtest.Book, *tracetest.SpanRecorder) {
	t.Helper()
	t.Parallel()
	f := &fixture{T: t, world: systemtest.NewWorld(t)}
	cfg, book, spans := servicetest.Config(), &logtest.Book{}, tracetest.NewSpanRecorder()
	cfg.NATS.URL, cfg.Log.Level, cfg.Events.MaxAttempts = f.world.NATS.URL(), "debug", 1
	cfg.Telemetry.SampleRatio, cfg.Telemetry.Processor = 1, spans
	gateway := service.Service{Name: "web", Stateless: true, Run: func(ctx context.Context, env *service.Env) error {
		return web.Run(ctx, env, web.DefaultConfig())
	}}
	var err error
	if f.process, err = service.Start(t.Context(), cfg, book, append(f.world.Services(), gateway)...); err != nil {
		t.Fatal(err)
	}
	f.connect()
	return f, book, spans
}

func TestLog_OfAWholeRunHoldsNoCanary(t *testing.T) {
	f, book, spans := canaryFixture(t)
	f.receive("MUG", 100)
	f.ordersOfMallory()
	f.batchOfMallory()
	f.statementsOfMallory()
	f.poisonOfMallory(book)
	f.restOfMallory()
	called := f.callEverythingWith(canary)
	f.configurationOfMallory()
	if err := f.process.Stop(); err != nil {
		t.Error(err)
	}

	log := book.String()
	for line := range strings.Lines(log) {
		wantNoCanary(t, "line", line)
	}
	for _, s := range spans.Ended() {
		wantNoCanary(t, "span", describe(s))
	}
	t.Logf("%d methods were called; %d lines, %d spans, %d cards, %d addresses and %d secrets were taken out", called,
		strings.Count(log, "\n"), len(spans.Ended()), strings.Count(log, "[card]"), strings.Count(log, "[e-mail]"), strings.Count(log, "[secret]"))
	for _, mark := range []string{"[card]", "[e-mail]", "[secret]"} {
		if !strings.Contains(log, mark) {
			t.Errorf("the log has no %s: the canaries did not come near it", mark)
		}
	}
}

func wantNoCanary(t *testing.T, what, text string) {
	t.Helper()
	for _, c := range canaries {
		if strings.Contains(text, c) {
			t.Errorf("%s holds %s: %.2000s", what, c, text)
		}
	}
}

// describe is all that a span says.
func describe(s sdktrace.ReadOnlySpan) string {
	var text strings.Builder
	fmt.Fprint(&text, s.Name(), " ", s.Status().Description)
	for _, a := range s.Attributes() {
		fmt.Fprint(&text, " ", a.Key, "=", a.Value.String())
	}
	for _, e := range s.Events() {
		fmt.Fprint(&text, " ", e.Name, e.Attributes)
	}
	return text.String()
}

// ordersOfMallory end in every way.
func (f *fixture) ordersOfMallory() {
	f.Helper()
	var placed []string
	for i, way := range [][2]string{{"pm_ok", "GB"}, {"pm_declined", "GB"}, {canary, "GB"}, {"pm_ok", "XX"}} {
		r := request(fmt.Sprintf("order-%d %s", i, canary), way[0], way[1], 1)
		r.CustomerId = canary
		answer, err := f.orders.PlaceOrder(f.Context(), r)
		if err != nil {
			f.Fatal(err)
		}
		placed = append(placed, answer.GetOrder().GetOrderId())
	}
	if _, err := f.orders.CancelOrder(f.Context(), &orderv1.CancelOrderRequest{
		IdempotencyKey: "cancel " + canary, OrderId: placed[0], Reason: canary,
	}); err != nil {
		f.Log(err) // it may be too late
	}
	for _, id := range placed {
		systemtest.End(f, f.orders, id)
	}
}

func (f *fixture) batchOfMallory() {
	f.Helper()
	batches := billingv1.NewBatchServiceClient(f.conn)
	var file strings.Builder
	file.WriteString("reference,customer_id,payment_method,amount,currency,description\n")
	for i, method := range []string{"pm_ok", "pm_declined", canaries[2]} {
		fmt.Fprintf(&file, "%d %s,%s,%s,1.00,EUR,%s\n", i, canaries[0], canaries[2], method, canary)
	}
	file.WriteString(canary + ",,,nonsense,XXX,\n")
	b, err := systemtest.Upload(f.Context(), batches, "upload "+canary, &billingv1.BatchHeader{Name: "dues of " + canaries[2]}, file.String())
	if err != nil {
		f.Fatal(err)
	}
	if _, err := batches.StartBatch(f.Context(), &billingv1.StartBatchRequest{IdempotencyKey: "start " + canary, BatchId: b.GetBatchId()}); err != nil {
		f.Fatal(err)
	}
	systemtest.EndBatch(f, batches, b.GetBatchId(), time.Minute)
}

// statementsOfMallory are files of every kind that cannot be read.
func (f *fixture) statementsOfMallory() {
	f.Helper()
	statements := reconciliationv1.NewStatementServiceClient(f.conn)
	for i, content := range []string{
		canary, "{1:" + canary + "}\n:20:" + canary + "\n:61:" + canary, `<?xml version="1.0"?><Document>` + canary, `{"x":"` + canary + `"}`,
		"type,id,amount\n" + canary,
	} {
		stream, err := statements.ImportStatement(f.Context())
		if err == nil {
			err = stream.Send(&reconciliationv1.ImportStatementRequest{
				IdempotencyKey: fmt.Sprint("import ", i, canary),
				Part:           &reconciliationv1.ImportStatementRequest_Header{Header: &reconciliationv1.StatementHeader{Name: canary}},
			})
		}
		if err != nil {
			f.Fatal(err)
		}
		_ = stream.Send(&reconciliationv1.ImportStatementRequest{Part: &reconciliationv1.ImportStatementRequest_Chunk{Chunk: []byte(content)}})
		if _, err := stream.CloseAndRecv(); err == nil {
			f.Logf("file %d was taken in", i)
		}
	}
}

// poisonOfMallory is an event that no consumer can take in.
func (f *fixture) poisonOfMallory(book *logtest.Book) {
	f.Helper()
	e := handmade("payment", "payment", "captured", "pay_1", canaries[2], []byte(canary))
	publish(f.T, bustest.Connect(f.T, f.world.NATS), bus.Encode(e))
	waittest.Until(f.T, "the event is a dead letter", func() bool { return book.Find("event became a dead letter") != nil })
}

// restOfMallory is what comes over HTTP: to the gateway, and to the webhooks' address.
func (f *fixture) restOfMallory() {
	f.Helper()
	for _, path := range []string{"/v1/orders", "/v1/orders/" + canaries[0], "/v1/orders?page_token=" + canaries[2], "/v1/webhooks/psp", "/" + canaries[0]} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r, err := http.NewRequestWithContext(f.Context(), method, "http://"+f.process.HTTPAddr()+path, strings.NewReader(`{"customer_id":"`+canary+`"}`))
			if err != nil {
				f.Fatal(err)
			}
			for _, header := range []string{"Idempotency-Key", "X-Request-Id", "Webhook-Signature", "User-Agent"} {
				r.Header.Set(header, canary)
			}
			r.Header.Set("Authorization", "Bearer "+canaries[3])
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				f.Fatal(err)
			}
			answer.Body.Close()
		}
	}
}

// callEverythingWith calls every method there is, with that text in all fields that are text, for a saga of the same name.
func (f *fixture) callEverythingWith(text string) (methods int) {
	f.Helper()
	ctx := metadata.AppendToOutgoingContext(telemetry.WithSaga(f.Context(), text), "x-note", text)
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			of := file.Services().Get(i)
			for j := 0; strings.HasPrefix(string(of.FullName()), "tieout.") && j < of.Methods().Len(); j++ {
				call(ctx, f.conn, of.Methods().Get(j), text)
				methods++
			}
		}
		return true
	})
	return methods
}

func call(ctx context.Context, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, text string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	name := fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
	if err != nil {
		return
	}
	r := dynamicpb.NewMessage(m.Input())
	fill(r, text, 4)
	_ = stream.SendMsg(r)
	_ = stream.CloseSend()
	for answer := dynamicpb.NewMessage(m.Output()); stream.RecvMsg(answer) == nil; {
	}
}

// fill puts the text into every field of a message that takes text, down to a depth.
func fill(m protoreflect.Message, text string, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		switch {
		case field.IsMap() || depth == 0:
		case field.Kind() == protoreflect.StringKind && field.IsList():
			m.Mutable(field).List().Append(protoreflect.ValueOfString(text))
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(text))
		case field.Kind() == protoreflect.BytesKind && !field.IsList():
			m.Set(field, protoreflect.ValueOfBytes([]byte(text)))
		case field.Message() != nil && field.IsList():
			fill(m.Mutable(field).List().AppendMutable().Message(), text, depth-1)
		case field.Message() != nil:
			fill(m.Mutable(field).Message(), text, depth-1)
		}
	}
}

// configurationOfMallory cannot be taken over, and what is said of it goes to the log.
func (f *fixture) configurationOfMallory() {
	f.Helper()
	cfg := servicetest.Config()
	cfg.Log.Level = canary
	if err := f.process.Reload(cfg); err == nil {
		f.Error("a level that is none was taken")
	} else {
		f.process.Log().Error("the configuration cannot be read again, it stays as it is", "error", err)
	}
	cfg = servicetest.Config()
	cfg.NATS.URL, cfg.StartTimeout = f.world.NATS.URL(), time.Second
	for _, s := range f.world.Services()[:1] {
		s.Postgres.DSN = "postgres://tieout:hunter2canary@127.0.0.1:1/tieout"
		_, err := service.Start(f.Context(), cfg, f.Output(), s)
		if err == nil {
			f.Fatal("there is no such database")
		}
		wantNoCanary(f.T, "the error of a start", err.Error())
	}
}
