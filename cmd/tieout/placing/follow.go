package placing

import (
	"context"

	"github.com/tieout/tieout/cmd/tieout/resend"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

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
	var last *orderv1.Order
	cursor := ""
	err := resend.Follow(ctx, r, func(ctx context.Context) (resend.Stream[*orderv1.WatchOrderResponse], error) {
		return client.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: orderID, Cursor: cursor})
	}, func(answer *orderv1.WatchOrderResponse) (bool, error) {
		cursor = answer.GetCursor()
		if answer.GetOrder() == nil {
			return false, nil // a heartbeat
		}
		last = answer.GetOrder()
		return Ended(last.GetState()), each(last)
	})
	if err != nil {
		return nil, err
	}
	return last, nil
}
