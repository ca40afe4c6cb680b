package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
)

// peers are the servers that answer.
type peers struct {
	orchestrator, inventory, payment, shipment, billing, reconciliation grpc.ClientConnInterface
	// processes are one of each process.
	processes processes
}

// dialPeers connects to the servers.
func dialPeers(env *service.Env, cfg Config) (p peers, err error) {
	known := map[string]bool{} // addresses
	for _, d := range []struct {
		name, addr string
		conn       *grpc.ClientConnInterface
	}{
		{"orchestrator", cfg.OrchestratorAddr, &p.orchestrator},
		{"inventory", cfg.InventoryAddr, &p.inventory},
		{"payment", cfg.PaymentAddr, &p.payment},
		{"shipment", cfg.ShipmentAddr, &p.shipment},
		{"billing", cfg.BillingAddr, &p.billing},
		{"reconciliation", cfg.ReconciliationAddr, &p.reconciliation},
	} {
		conn, err := env.Dial(d.name, d.addr)
		if err != nil {
			return p, err
		}
		*d.conn = keyed{conn}
		if !known[d.addr] {
			known[d.addr], p.processes = true, append(p.processes, *d.conn)
		}
	}
	return p, nil
}

// marshaling is how messages are JSON: as the command line prints them, with the names of the protos and nothing left
// out. A field that there is not is refused.
var marshaling = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

// replayedHeader says, in what a server answers, that it is the first answer to the key once more.
const replayedHeader = "idempotency-replayed"

// newREST makes the handler that turns requests into calls. No header of a request becomes one of a call but for those that
// request.go knows: the servers trust what is in a call's.
func newREST(ctx context.Context, p peers) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{MarshalOptions: marshaling}),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(name string) (string, bool) { return name, name == replayedHeader }),
		runtime.WithErrorHandler(func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			if md, ok := runtime.ServerMetadataFromContext(ctx); ok && len(md.HeaderMD.Get(replayedHeader)) > 0 {
				w.Header().Set(replayedHeader, md.HeaderMD.Get(replayedHeader)[0])
			}
			writeError(w, err)
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
			writeErrorAs(w, code, noRoute(r))
		}),
		runtime.SetQueryParameterParser(strictQuery{}),
		runtime.WithDisablePathLengthFallback(),
	)
	var errs []error
	for _, s := range []struct {
		register func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error
		peer     grpc.ClientConnInterface
	}{
		{registering(orderv1.RegisterOrderServiceHandlerClient, orderv1.NewOrderServiceClient), p.orchestrator},
		{registering(sagav1.RegisterSagaServiceHandlerClient, sagav1.NewSagaServiceClient), p.orchestrator},
		{registering(inventoryv1.RegisterInventoryServiceHandlerClient, inventoryv1.NewInventoryServiceClient), p.inventory},
		{registering(paymentv1.RegisterPaymentServiceHandlerClient, paymentv1.NewPaymentServiceClient), p.payment},
		{registering(paymentv1.RegisterLedgerServiceHandlerClient, paymentv1.NewLedgerServiceClient), p.payment},
		{registering(shipmentv1.RegisterShipmentServiceHandlerClient, shipmentv1.NewShipmentServiceClient), p.shipment},
		{registering(billingv1.RegisterBatchServiceHandlerClient, billingv1.NewBatchServiceClient), p.billing},
		{registering(billingv1.RegisterScheduleServiceHandlerClient, billingv1.NewScheduleServiceClient), p.billing},
		{registering(reconciliationv1.RegisterReconciliationServiceHandlerClient, reconciliationv1.NewReconciliationServiceClient), p.reconciliation},
		{registering(reconciliationv1.RegisterBreakServiceHandlerClient, reconciliationv1.NewBreakServiceClient), p.reconciliation},
		{registering(reconciliationv1.RegisterStatementServiceHandlerClient, reconciliationv1.NewStatementServiceClient), p.reconciliation},
		{registering(deadletterv1.RegisterDeadLetterServiceHandlerClient, deadletterv1.NewDeadLetterServiceClient), p.processes},
	} {
		errs = append(errs, s.register(ctx, mux, s.peer))
	}
	return mux, errors.Join(errs...)
}

// strictQuery reads a query's parameters into a request. One that there is not is refused: a list with a filter that is
// misspelt would be all there is.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse implements runtime.QueryParameterParser.
func (q strictQuery) Parse(request proto.Message, values url.Values, known *utilities.DoubleArray) error {
	fields := request.ProtoReflect().Descriptor().Fields()
	for name := range values {
		first, _, _ := strings.Cut(name, ".")
		if fields.ByName(protoreflect.Name(first)) == nil && fields.ByJSONName(first) == nil {
			return rpcerr.ForField(rpcerr.RequestMalformed, name, "there is no such parameter")
		}
	}
	return q.DefaultQueryParser.Parse(request, values, known)
}

// registering registers a service's routes with a client of it.
func registering[C any](register func(context.Context, *runtime.ServeMux, C) error, client func(grpc.ClientConnInterface) C) func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error {
	return func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return register(ctx, mux, client(conn))
	}
}

func noRoute(r *http.Request) error {
	return rpcerr.New(rpcerr.RouteUnknown, "there is no %s %.200q; see /openapi.json", r.Method, r.URL.Path)
}

// unknownRoute answers what is nowhere.
func unknownRoute(w http.ResponseWriter, r *http.Request) { writeError(w, noRoute(r)) }
