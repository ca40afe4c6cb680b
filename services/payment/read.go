package payment

import "context"

// getPayment gives one payment; NOT_FOUND when there is none of that id.
func (s *payments) getPayment(ctx context.Context, paymentID string) (payment, error) {
	return newStore(s.pool).payment(ctx, paymentID)
}

// listPayments gives up to n payments made before one, newest first.
func (s *payments) listPayments(ctx context.Context, before PaymentID, n int32) ([]payment, error) {
	return newStore(s.pool).list(ctx, before, n)
}
