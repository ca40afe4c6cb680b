package inventory

import (
	"cmp"
	"context"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/inventory/inventorydb"
	"github.com/tieout/tieout/services/inventory/stock"
)

// server is the gRPC face of the use cases.
type server struct {
	inventoryv1.UnimplementedInventoryServiceServer
	inventory *inventory
}

func register(r grpc.ServiceRegistrar, i *inventory) {
	inventoryv1.RegisterInventoryServiceServer(r, &server{inventory: i})
}

// step is a request that a saga's step may send.
type step interface{ GetOrigin() *commonv1.Origin }

// handIn has a group write commands made of requests, and makes responses of its answers. Each request has a span of
// that name in the trace that it comes from.
func handIn[C, A any, Q rpc.Item, R any](ctx context.Context, s *server, name string, g *group[C, A], requests []Q,
	command func(request, Q) C, response func(A) R,
) []rpc.Answered[R] {
	caller := rpc.Caller(ctx)
	commands, spans := make([]C, len(requests)), make([]trace.Span, len(requests))
	for i, r := range requests {
		var origin *commonv1.Origin
		if step, ok := any(r).(step); ok {
			origin = step.GetOrigin()
		}
		var item context.Context
		item, spans[i] = rpc.StartItem(ctx, s.inventory.tracer, name, origin.GetTraceparent())
		commands[i] = command(request{caller, r.GetIdempotencyKey(), origin.GetEpoch(), telemetry.OriginOf(item)}, r)
	}
	answers := make([]rpc.Answered[R], len(requests))
	for i, done := range g.DoAll(ctx, commands) {
		answers[i].Err, answers[i].Replayed = done.Err, done.Value.Replayed
		if done.Err == nil {
			answers[i].Response = response(done.Value.Value)
		}
		rpc.EndItem(spans[i], done.Err)
	}
	return answers
}

func (s *server) receive(ctx context.Context, requests []*inventoryv1.ReceiveStockRequest) []rpc.Answered[*inventoryv1.ReceiveStockResponse] {
	return handIn(ctx, s, "inventory.ReceiveStock", s.inventory.receipts, requests,
		func(from request, r *inventoryv1.ReceiveStockRequest) receiveCommand {
			return receiveCommand{from, linesFromProto(r.GetLines())}
		},
		func(levels []levelAt) *inventoryv1.ReceiveStockResponse {
			return &inventoryv1.ReceiveStockResponse{Stock: levelsToProto(levels)}
		})
}

func (s *server) ReceiveStock(ctx context.Context, r *inventoryv1.ReceiveStockRequest) (*inventoryv1.ReceiveStockResponse, error) {
	return rpc.Single(ctx, r, s.receive)
}

func (s *server) adjust(ctx context.Context, requests []*inventoryv1.AdjustStockRequest) []rpc.Answered[*inventoryv1.AdjustStockResponse] {
	return handIn(ctx, s, "inventory.AdjustStock", s.inventory.adjusts, requests,
		func(from request, r *inventoryv1.AdjustStockRequest) adjustCommand {
			return adjustCommand{from, stock.Line{SKU: r.GetSku(), Quantity: int64(r.GetQuantity())}, r.GetReason()}
		},
		func(levels []levelAt) *inventoryv1.AdjustStockResponse {
			return &inventoryv1.AdjustStockResponse{Stock: levelToProto(levels[0])}
		})
}

func (s *server) AdjustStock(ctx context.Context, r *inventoryv1.AdjustStockRequest) (*inventoryv1.AdjustStockResponse, error) {
	return rpc.Single(ctx, r, s.adjust)
}

func (s *server) PutItem(ctx context.Context, r *inventoryv1.PutItemRequest) (*inventoryv1.PutItemResponse, error) {
	put, err := s.inventory.putItem(ctx, request{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey()},
		item{SKU: r.GetSku(), Description: r.GetDescription(), Unit: r.GetUnit()})
	if err != nil {
		return nil, err
	}
	return &inventoryv1.PutItemResponse{Item: itemToProto(put)}, nil
}

func (s *server) GetItem(ctx context.Context, r *inventoryv1.GetItemRequest) (*inventoryv1.GetItemResponse, error) {
	found, err := s.inventory.getItem(ctx, r.GetSku())
	if err != nil {
		return nil, err
	}
	return &inventoryv1.GetItemResponse{Item: itemToProto(found)}, nil
}

func (s *server) ListItems(ctx context.Context, r *inventoryv1.ListItemsRequest) (*inventoryv1.ListItemsResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	items, err := s.inventory.listItems(ctx, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(items, n, itemToProto, (*inventoryv1.Item).GetSku)
	return &inventoryv1.ListItemsResponse{Items: page, NextPageToken: next}, nil
}

func (s *server) GetStock(ctx context.Context, r *inventoryv1.GetStockRequest) (*inventoryv1.GetStockResponse, error) {
	if r.GetAsOf() != nil {
		at, err := instant("as_of_time", r.GetAsOfTime())
		if err != nil {
			return nil, err
		}
		was, err := s.inventory.stockAsOf(ctx, r.GetSku(), at, r.GetAsOfEventId())
		if err != nil {
			return nil, err
		}
		return &inventoryv1.GetStockResponse{Stock: levelToProto(was)}, nil
	}
	levels, err := s.inventory.getStock(ctx, []string{r.GetSku()}, skuField)
	if err != nil {
		return nil, err
	}
	return &inventoryv1.GetStockResponse{Stock: levelToProto(levels[0])}, nil
}

func (s *server) ListStockEvents(ctx context.Context, r *inventoryv1.ListStockEventsRequest) (*inventoryv1.ListStockEventsResponse, error) {
	page, err := eventsPage(r)
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	rows, err := s.inventory.happened(ctx, page, n+1)
	if err != nil {
		return nil, err
	}
	events, next := rpc.Page(rows, n, stockEventToProto, func(e *inventoryv1.StockEvent) string { return strconv.FormatInt(e.GetEventId(), 10) })
	return &inventoryv1.ListStockEventsResponse{Events: events, NextPageToken: next}, nil
}

// instant reads a time that a request names, if it does: one that there is.
func instant(field string, at *timestamppb.Timestamp) (time.Time, error) {
	if at == nil {
		return time.Time{}, nil
	}
	if err := at.CheckValid(); err != nil {
		return time.Time{}, rpcerr.ForField(rpcerr.RequestInvalid, field, "is no time between the years 1 and 9999")
	}
	return at.AsTime(), nil
}

// eventsPage reads what a list of events is to begin and end with.
func eventsPage(r *inventoryv1.ListStockEventsRequest) (stockEvents, error) {
	p := stockEvents{sku: r.GetSku(), before: math.MaxInt64}
	var err error
	if p.since, err = instant("since", r.GetSince()); err != nil {
		return p, err
	}
	if p.until, err = instant("until", r.GetUntil()); err != nil {
		return p, err
	}
	if r.GetUntil() == nil {
		p.until = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err == nil && token != "" {
		if p.before, err = strconv.ParseInt(token, 10, 64); err != nil {
			err = rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
	}
	return p, err
}

func (s *server) ListDailyMovements(ctx context.Context, r *inventoryv1.ListDailyMovementsRequest) (*inventoryv1.ListDailyMovementsResponse, error) {
	n := rpc.PageSize(r.GetPageSize())
	page, err := movementsPage(r)
	if err != nil {
		return nil, err
	}
	page.N = n + 1
	rows, err := s.inventory.movements(ctx, page)
	if err != nil {
		return nil, err
	}
	movements, next := rpc.Page(rows, n, movementToProto, func(m *inventoryv1.DailyMovement) string { return m.GetDay() + m.GetSku() })
	return &inventoryv1.ListDailyMovementsResponse{Movements: movements, NextPageToken: next}, nil
}

// movementsPage reads what a list of movements is to begin and end with. A token is the day and SKU it goes on behind.
func movementsPage(r *inventoryv1.ListDailyMovementsRequest) (inventorydb.ListMovementsParams, error) {
	const first, last = "0001-01-01", "9999-12-31"
	page := inventorydb.ListMovementsParams{
		SKU: r.GetSku(), Since: cmp.Or(r.GetSince(), first), Until: cmp.Or(r.GetUntil(), last), AfterDay: first,
	}
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return page, err
	}
	if token != "" {
		day := token[:min(len(token), len(first))]
		page.AfterDay, page.AfterSKU = day, token[len(day):]
	}
	for field, day := range map[string]string{"since": page.Since, "until": page.Until, "page_token": page.AfterDay} {
		if at, err := time.Parse(time.DateOnly, day); err != nil || at.Year() < 1 {
			return page, rpcerr.ForField(rpcerr.RequestInvalid, field, "is no day, or no token of an earlier answer")
		}
	}
	return page, nil
}

func (s *server) ListStockDifferences(ctx context.Context, r *inventoryv1.ListStockDifferencesRequest) (*inventoryv1.ListStockDifferencesResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	c, err := s.inventory.compare(ctx, after, rpc.PageSize(r.GetPageSize()))
	if err != nil {
		return nil, err
	}
	out := &inventoryv1.ListStockDifferencesResponse{
		SkuCount: int32(c.skus), EventCount: c.events, NextPageToken: rpc.PageToken(c.next), //nolint:gosec // a page of SKUs
	}
	for _, d := range c.differences {
		out.Differences = append(out.Differences, differenceToProto(d))
	}
	return out, nil
}

func (s *server) RebuildStock(ctx context.Context, r *inventoryv1.RebuildStockRequest) (*inventoryv1.RebuildStockResponse, error) {
	done, err := s.inventory.rebuild(ctx, request{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey()}, r.GetSku(), r.GetReason())
	if err != nil {
		return nil, err
	}
	return &inventoryv1.RebuildStockResponse{Stock: levelToProto(done.Level), Changed: done.Changed}, nil
}

func (s *server) BatchGetStock(ctx context.Context, r *inventoryv1.BatchGetStockRequest) (*inventoryv1.BatchGetStockResponse, error) {
	levels, err := s.inventory.getStock(ctx, r.GetSkus(), skusField)
	if err != nil {
		return nil, err
	}
	return &inventoryv1.BatchGetStockResponse{Stock: levelsToProto(levels)}, nil
}

func (s *server) BatchGetReservation(ctx context.Context, r *inventoryv1.BatchGetReservationRequest) (*inventoryv1.BatchGetReservationResponse, error) {
	all, err := s.inventory.reservedUnder(ctx, r.GetIdempotencyKeys())
	if err != nil {
		return nil, err
	}
	out := &inventoryv1.BatchGetReservationResponse{}
	for _, k := range all {
		out.Reservations = append(out.Reservations, &inventoryv1.BatchGetReservationResponse_Keyed{
			IdempotencyKey: k.key, Reservation: reservationToProto(*k.reservation),
		})
	}
	return out, nil
}

func (s *server) ListStock(ctx context.Context, r *inventoryv1.ListStockRequest) (*inventoryv1.ListStockResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	levels, err := s.inventory.listStock(ctx, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(levels, n, levelToProto, (*inventoryv1.Stock).GetSku)
	return &inventoryv1.ListStockResponse{Stock: page, NextPageToken: next}, nil
}

func (s *server) reserve(ctx context.Context, requests []*inventoryv1.ReserveRequest) []rpc.Answered[*inventoryv1.ReserveResponse] {
	return handIn(ctx, s, "inventory.Reserve", s.inventory.reserves, requests,
		func(from request, r *inventoryv1.ReserveRequest) reserveCommand {
			return reserveCommand{from, r.GetReference(), linesFromProto(r.GetLines()), r.GetTtl().AsDuration()}
		},
		func(made reservation) *inventoryv1.ReserveResponse {
			return &inventoryv1.ReserveResponse{Reservation: reservationToProto(made)}
		})
}

func (s *server) Reserve(ctx context.Context, r *inventoryv1.ReserveRequest) (*inventoryv1.ReserveResponse, error) {
	return rpc.Single(ctx, r, s.reserve)
}

func (s *server) BatchReserve(ctx context.Context, r *inventoryv1.BatchReserveRequest) (*inventoryv1.BatchReserveResponse, error) {
	out := &inventoryv1.BatchReserveResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.reserve) {
		out.Results = append(out.Results, &inventoryv1.BatchReserveResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) release(ctx context.Context, requests []*inventoryv1.ReleaseRequest) []rpc.Answered[*inventoryv1.ReleaseResponse] {
	return handIn(ctx, s, "inventory.Release", s.inventory.releases, requests,
		func(from request, _ *inventoryv1.ReleaseRequest) request { return from },
		func(undone *reservation) *inventoryv1.ReleaseResponse {
			if undone == nil {
				return &inventoryv1.ReleaseResponse{}
			}
			return &inventoryv1.ReleaseResponse{Reservation: reservationToProto(*undone)}
		})
}

func (s *server) Release(ctx context.Context, r *inventoryv1.ReleaseRequest) (*inventoryv1.ReleaseResponse, error) {
	return rpc.Single(ctx, r, s.release)
}

func (s *server) BatchRelease(ctx context.Context, r *inventoryv1.BatchReleaseRequest) (*inventoryv1.BatchReleaseResponse, error) {
	out := &inventoryv1.BatchReleaseResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.release) {
		out.Results = append(out.Results, &inventoryv1.BatchReleaseResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func (s *server) commit(ctx context.Context, requests []*inventoryv1.CommitRequest) []rpc.Answered[*inventoryv1.CommitResponse] {
	return handIn(ctx, s, "inventory.Commit", s.inventory.commits, requests,
		func(from request, r *inventoryv1.CommitRequest) commitCommand {
			return commitCommand{from, r.GetReservationId()}
		},
		func(done reservation) *inventoryv1.CommitResponse {
			return &inventoryv1.CommitResponse{Reservation: reservationToProto(done)}
		})
}

func (s *server) Commit(ctx context.Context, r *inventoryv1.CommitRequest) (*inventoryv1.CommitResponse, error) {
	return rpc.Single(ctx, r, s.commit)
}

func (s *server) BatchCommit(ctx context.Context, r *inventoryv1.BatchCommitRequest) (*inventoryv1.BatchCommitResponse, error) {
	out := &inventoryv1.BatchCommitResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), s.commit) {
		out.Results = append(out.Results, &inventoryv1.BatchCommitResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}
