package placing

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/resend"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

// errStreamEnded stands for a stream that ended before the order had, as when a server stops.
var errStreamEnded = status.Error(codes.Unavailable, "the stream ended before the order")

// Ended tells whether nothing more happens to an order by itself.
func Ended(s orderv1.OrderState) bool {
	switch s {
	case orderv1.OrderState_ORDER_STATE_COMPLETED, orderv1.OrderState_ORDER_STATE_COMPENSATED, orderv1.OrderState_ORDER_STATE_PARKED:
		return true
	}
	return false
}

// Follow watches an order until it has ended, and gives it as it stood then. Each is told of every change. A stream
// that breaks is resumed for as long as the resender's patience lasts.
func Follow(ctx context.Context, client orderv1.OrderServiceClient, r *resend.Resender, orderID string, each func(*orderv1.Order) error) (*orderv1.Order, error) {
	attempts := r.Begin()
	for {
		order, err := watch(ctx, client, orderID, func(o *orderv1.Order) error {
			attempts.Heard()
			return each(o)
		})
		if err == nil {
			return order, nil
		}
		if err = attempts.Again(ctx, err); err != nil {
			return nil, err
		}
	}
}

// watch follows one stream.
func watch(ctx context.Context, client orderv1.OrderServiceClient, orderID string, each func(*orderv1.Order) error) (*orderv1.Order, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID})
	if err != nil {
		return nil, err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, errStreamEnded
		}
		if err != nil {
			return nil, err
		}
		if err := each(answer.GetOrder()); err != nil {
			return nil, err
		}
		if Ended(answer.GetOrder().GetState()) {
			return answer.GetOrder(), nil
		}
	}
}
