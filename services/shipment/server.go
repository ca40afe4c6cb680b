package shipment

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// server is the gRPC face of the use cases.
type server struct {
	shipmentv1.UnimplementedShipmentServiceServer
	shipments *shipments
}

func register(r grpc.ServiceRegistrar, s *shipments) {
	shipmentv1.RegisterShipmentServiceServer(r, &server{shipments: s})
}

// step is a request that a saga's step sends.
type step interface {
	rpc.Item
	GetOrigin() *commonv1.Origin
}

func requestOf(ctx context.Context, r step) request {
	return request{
		caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), token: uuid.New(),
		epoch: r.GetOrigin().GetEpoch(), traceparent: r.GetOrigin().GetTraceparent(),
	}
}

// runner runs errands to the end of their batch's patience, or, one alone, to its own end.
type runner[C any] func(context.Context, []C) []errand.Result[*shipment]

func alone[C any](k *errands[C]) runner[C] {
	return func(ctx context.Context, one []C) []errand.Result[*shipment] {
		return []errand.Result[*shipment]{k.Do(ctx, one[0])}
	}
}

// answering runs commands made of requests, and makes responses of what they are answered.
func answering[C, Q, R any](run runner[C], command func(context.Context, Q) C, response func(*shipmentv1.Shipment) R) func(context.Context, []Q) []rpc.Answered[R] {
	return func(ctx context.Context, requests []Q) []rpc.Answered[R] {
		commands := make([]C, len(requests))
		for i, r := range requests {
			commands[i] = command(ctx, r)
		}
		answers := make([]rpc.Answered[R], len(requests))
		for i, result := range run(ctx, commands) {
			answers[i].Err, answers[i].Replayed = result.Err, result.Value.Replayed
			switch sh := result.Value.Value; {
			case errors.Is(result.Err, errNeverSeen):
				answers[i].Err = notScheduled()
			case result.Err == nil && sh == nil:
				answers[i].Response = response(nil)
			case result.Err == nil:
				answers[i].Response = response(shipmentToProto(*sh))
			}
		}
		return answers
	}
}

func scheduleOf(ctx context.Context, r *shipmentv1.ScheduleRequest) *scheduleCommand {
	return &scheduleCommand{
		request: requestOf(ctx, r), reference: r.GetReference(), address: addressFromProto(r.GetAddress()),
		carrier: r.GetCarrier(), level: levelFromProto(r.GetServiceLevel()),
	}
}

func scheduleResponse(sh *shipmentv1.Shipment) *shipmentv1.ScheduleResponse {
	return &shipmentv1.ScheduleResponse{Shipment: sh}
}

func scheduleResults(answers []rpc.Answered[*shipmentv1.ScheduleResponse]) []*shipmentv1.BatchScheduleResponse_Result {
	results := make([]*shipmentv1.BatchScheduleResponse_Result, len(answers))
	for i, a := range answers {
		results[i] = &shipmentv1.BatchScheduleResponse_Result{Status: a.Status(), Response: a.Response, Replayed: a.Replayed}
	}
	return results
}

func (s *server) Schedule(ctx context.Context, r *shipmentv1.ScheduleRequest) (*shipmentv1.ScheduleResponse, error) {
	return rpc.Single(ctx, r, answering(alone(s.shipments.schedules), scheduleOf, scheduleResponse))
}

func (s *server) BatchSchedule(ctx context.Context, r *shipmentv1.BatchScheduleRequest) (*shipmentv1.BatchScheduleResponse, error) {
	answers := rpc.Batch(ctx, r.GetRequests(), answering(s.shipments.schedules.DoAll, scheduleOf, scheduleResponse))
	return &shipmentv1.BatchScheduleResponse{Results: scheduleResults(answers)}, nil
}

func (s *server) BatchLookUpSchedule(ctx context.Context, r *shipmentv1.BatchLookUpScheduleRequest) (*shipmentv1.BatchLookUpScheduleResponse, error) {
	answers := rpc.Batch(ctx, r.GetRequests(), answering(s.shipments.lookUps.DoAll, scheduleOf, scheduleResponse))
	return &shipmentv1.BatchLookUpScheduleResponse{Results: scheduleResults(answers)}, nil
}

func cancelOf(ctx context.Context, r *shipmentv1.CancelRequest) *cancelCommand {
	return &cancelCommand{request: requestOf(ctx, r)}
}

func cancelResponse(sh *shipmentv1.Shipment) *shipmentv1.CancelResponse {
	return &shipmentv1.CancelResponse{Shipment: sh}
}

func (s *server) Cancel(ctx context.Context, r *shipmentv1.CancelRequest) (*shipmentv1.CancelResponse, error) {
	return rpc.Single(ctx, r, answering(alone(s.shipments.cancels), cancelOf, cancelResponse))
}

func (s *server) BatchCancel(ctx context.Context, r *shipmentv1.BatchCancelRequest) (*shipmentv1.BatchCancelResponse, error) {
	out := &shipmentv1.BatchCancelResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), answering(s.shipments.cancels.DoAll, cancelOf, cancelResponse)) {
		out.Results = append(out.Results, &shipmentv1.BatchCancelResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

func decisionOf(ctx context.Context, r *shipmentv1.CancelShipmentRequest) *decision {
	return &decision{
		request:    request{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), token: uuid.New()},
		shipmentID: r.GetShipmentId(), reason: r.GetReason(),
	}
}

func cancelShipmentResponse(sh *shipmentv1.Shipment) *shipmentv1.CancelShipmentResponse {
	return &shipmentv1.CancelShipmentResponse{Shipment: sh}
}

func (s *server) CancelShipment(ctx context.Context, r *shipmentv1.CancelShipmentRequest) (*shipmentv1.CancelShipmentResponse, error) {
	return rpc.Single(ctx, r, answering(alone(s.shipments.decisions), decisionOf, cancelShipmentResponse))
}

func (s *server) GetShipment(ctx context.Context, r *shipmentv1.GetShipmentRequest) (*shipmentv1.GetShipmentResponse, error) {
	sh, err := s.shipments.get(ctx, r.GetShipmentId())
	if err != nil {
		return nil, err
	}
	return &shipmentv1.GetShipmentResponse{Shipment: shipmentToProto(sh)}, nil
}

func (s *server) ListShipments(ctx context.Context, r *shipmentv1.ListShipmentsRequest) (*shipmentv1.ListShipmentsResponse, error) {
	before, err := rpc.PageBefore[shipmentKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	wanted := selection{shipmentState(r.GetState()), r.GetReference()}
	list, err := s.shipments.list(ctx, wanted, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(list, n, shipmentToProto, (*shipmentv1.Shipment).GetShipmentId)
	return &shipmentv1.ListShipmentsResponse{Shipments: page, NextPageToken: next}, nil
}

func (s *server) TrackShipment(ctx context.Context, r *shipmentv1.TrackShipmentRequest) (*shipmentv1.TrackShipmentResponse, error) {
	sh, err := s.shipments.track(ctx, r.GetShipmentId())
	if err != nil {
		return nil, err
	}
	return &shipmentv1.TrackShipmentResponse{Shipment: shipmentToProto(sh)}, nil
}

func (s *server) ListTrackingEvents(ctx context.Context, r *shipmentv1.ListTrackingEventsRequest) (*shipmentv1.ListTrackingEventsResponse, error) {
	after, err := placeAfter(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	list, err := s.shipments.told(ctx, r.GetShipmentId(), after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(list, n, trackingEventToProto, func(e *shipmentv1.TrackingEvent) string { return strconv.Itoa(int(e.GetSequence())) })
	return &shipmentv1.ListTrackingEventsResponse{TrackingEvents: page, NextPageToken: next}, nil
}

// placeAfter reads the token of a list of tracking events: the place that it goes on behind.
func placeAfter(token string) (int32, error) {
	key, err := rpc.ParsePageToken(token)
	if err != nil {
		return 0, err
	}
	after, err := strconv.ParseInt(cmp.Or(key, "0"), 10, 32)
	if err != nil {
		return 0, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
	}
	return int32(after), nil
}
