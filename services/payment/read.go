package payment

import (
	"context"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// getPayment gives one payment; NOT_FOUND when there is none of that id.
func (s *payments) getPayment(ctx context.Context, paymentID string) (payment, error) {
	return newStore(s.pool).payment(ctx, paymentID)
}

// listPayments gives up to n payments made before one, or up to now when it is empty, newest first.
func (s *payments) listPayments(ctx context.Context, before string, n int32) ([]payment, error) {
	last := PaymentID(uuid.Max)
	if before != "" {
		var err error
		if last, err = id.Parse[paymentKind](before); err != nil {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
	}
	return newStore(s.pool).list(ctx, last, n)
}
