package payment

import (
	"context"

	"github.com/google/uuid"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/errand"
	"github.com/tieout/tieout/pkg/rpc"
)

// requestOf tells who asks, and for which saga, where one does.
func requestOf(ctx context.Context, r rpc.Item) request {
	q := request{caller: rpc.Caller(ctx), key: r.GetIdempotencyKey(), token: uuid.New()}
	if step, ok := r.(interface{ GetOrigin() *commonv1.Origin }); ok {
		q.epoch, q.traceparent = step.GetOrigin().GetEpoch(), step.GetOrigin().GetTraceparent()
	}
	return q
}

// runner runs commands of one method: those of a batch to the end of its patience, one alone to its own end.
type runner func(*errand.Errands[*command, ending, *payment], context.Context, []*command) []errand.Result[*payment]

func together(k *errand.Errands[*command, ending, *payment], ctx context.Context, all []*command) []errand.Result[*payment] {
	return k.DoAll(ctx, all)
}

func alone(k *errand.Errands[*command, ending, *payment], ctx context.Context, one []*command) []errand.Result[*payment] {
	return []errand.Result[*payment]{k.Do(ctx, one[0])}
}

// rule is how a method's requests become commands, and its payments responses.
type rule[Q rpc.Item, R any] struct {
	method   method
	command  func(Q, *command) error
	response func(*paymentv1.Payment) R
}

// handler answers requests of a method. One of which no command can be made is refused with that error.
func (u rule[Q, R]) handler(p *payments, run runner) func(context.Context, []Q) []rpc.Answered[R] {
	return func(ctx context.Context, requests []Q) []rpc.Answered[R] {
		answers := make([]rpc.Answered[R], len(requests))
		var commands []*command
		var at []int
		for i, r := range requests {
			c := &command{request: requestOf(ctx, r), method: u.method}
			if answers[i].Err = u.command(r, c); answers[i].Err == nil {
				commands, at = append(commands, c), append(at, i)
			}
		}
		if len(commands) == 0 {
			return answers
		}
		for n, done := range run(p.errands[u.method], ctx, commands) {
			a := &answers[at[n]]
			if a.Err, a.Replayed = done.Err, done.Value.Replayed; a.Err == nil {
				a.Response = u.response(paymentToProto(done.Value.Value))
			}
		}
		return answers
	}
}

var chargeRule = rule[*paymentv1.ChargeRequest, *paymentv1.ChargeResponse]{
	method: methodCharge,
	command: func(r *paymentv1.ChargeRequest, c *command) (err error) {
		c.amount, c.paymentMethod = amountFromProto(r.GetAmount()), r.GetPaymentMethod()
		c.customerID, c.reference = r.GetCustomerId(), r.GetReference()
		return checkTotal(c.amount)
	},
	response: func(p *paymentv1.Payment) *paymentv1.ChargeResponse { return &paymentv1.ChargeResponse{Payment: p} },
}

// Charge implements paymentv1.PaymentServiceServer.
func (s *server) Charge(ctx context.Context, r *paymentv1.ChargeRequest) (*paymentv1.ChargeResponse, error) {
	return rpc.Single(ctx, r, chargeRule.handler(s.payments, alone))
}

// BatchCharge implements paymentv1.PaymentServiceServer.
func (s *server) BatchCharge(ctx context.Context, r *paymentv1.BatchChargeRequest) (*paymentv1.BatchChargeResponse, error) {
	out := &paymentv1.BatchChargeResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), chargeRule.handler(s.payments, together)) {
		out.Results = append(out.Results, &paymentv1.BatchChargeResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

var authorizeRule = rule[*paymentv1.AuthorizeRequest, *paymentv1.AuthorizeResponse]{
	method: methodAuthorize,
	command: func(r *paymentv1.AuthorizeRequest, c *command) (err error) {
		c.amount, c.paymentMethod = amountFromProto(r.GetAmount()), r.GetPaymentMethod()
		c.customerID, c.reference = r.GetCustomerId(), r.GetReference()
		return checkTotal(c.amount)
	},
	response: func(p *paymentv1.Payment) *paymentv1.AuthorizeResponse {
		return &paymentv1.AuthorizeResponse{Payment: p}
	},
}

// Authorize implements paymentv1.PaymentServiceServer.
func (s *server) Authorize(ctx context.Context, r *paymentv1.AuthorizeRequest) (*paymentv1.AuthorizeResponse, error) {
	return rpc.Single(ctx, r, authorizeRule.handler(s.payments, alone))
}

// BatchAuthorize implements paymentv1.PaymentServiceServer.
func (s *server) BatchAuthorize(ctx context.Context, r *paymentv1.BatchAuthorizeRequest) (*paymentv1.BatchAuthorizeResponse, error) {
	out := &paymentv1.BatchAuthorizeResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), authorizeRule.handler(s.payments, together)) {
		out.Results = append(out.Results, &paymentv1.BatchAuthorizeResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

var captureRule = rule[*paymentv1.CaptureRequest, *paymentv1.CaptureResponse]{
	method: methodCapture,
	command: func(r *paymentv1.CaptureRequest, c *command) (err error) {
		c.paymentID, c.authorizedWith = r.GetPaymentId(), r.GetAuthorizationKey()
		c.amount, err = amountOrAll(r.GetAmount())
		return err
	},
	response: func(p *paymentv1.Payment) *paymentv1.CaptureResponse { return &paymentv1.CaptureResponse{Payment: p} },
}

// Capture implements paymentv1.PaymentServiceServer.
func (s *server) Capture(ctx context.Context, r *paymentv1.CaptureRequest) (*paymentv1.CaptureResponse, error) {
	return rpc.Single(ctx, r, captureRule.handler(s.payments, alone))
}

// BatchCapture implements paymentv1.PaymentServiceServer.
func (s *server) BatchCapture(ctx context.Context, r *paymentv1.BatchCaptureRequest) (*paymentv1.BatchCaptureResponse, error) {
	out := &paymentv1.BatchCaptureResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), captureRule.handler(s.payments, together)) {
		out.Results = append(out.Results, &paymentv1.BatchCaptureResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

var refundRule = rule[*paymentv1.RefundRequest, *paymentv1.RefundResponse]{
	method: methodRefund,
	command: func(r *paymentv1.RefundRequest, c *command) (err error) {
		return nil
	},
	response: func(p *paymentv1.Payment) *paymentv1.RefundResponse { return &paymentv1.RefundResponse{Payment: p} },
}

// Refund implements paymentv1.PaymentServiceServer.
func (s *server) Refund(ctx context.Context, r *paymentv1.RefundRequest) (*paymentv1.RefundResponse, error) {
	return rpc.Single(ctx, r, refundRule.handler(s.payments, alone))
}

// BatchRefund implements paymentv1.PaymentServiceServer.
func (s *server) BatchRefund(ctx context.Context, r *paymentv1.BatchRefundRequest) (*paymentv1.BatchRefundResponse, error) {
	out := &paymentv1.BatchRefundResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), refundRule.handler(s.payments, together)) {
		out.Results = append(out.Results, &paymentv1.BatchRefundResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

var voidRule = rule[*paymentv1.VoidRequest, *paymentv1.VoidResponse]{
	method: methodVoid,
	command: func(r *paymentv1.VoidRequest, c *command) (err error) {
		return nil
	},
	response: func(p *paymentv1.Payment) *paymentv1.VoidResponse { return &paymentv1.VoidResponse{Payment: p} },
}

// Void implements paymentv1.PaymentServiceServer.
func (s *server) Void(ctx context.Context, r *paymentv1.VoidRequest) (*paymentv1.VoidResponse, error) {
	return rpc.Single(ctx, r, voidRule.handler(s.payments, alone))
}

// BatchVoid implements paymentv1.PaymentServiceServer.
func (s *server) BatchVoid(ctx context.Context, r *paymentv1.BatchVoidRequest) (*paymentv1.BatchVoidResponse, error) {
	out := &paymentv1.BatchVoidResponse{}
	for _, a := range rpc.Batch(ctx, r.GetRequests(), voidRule.handler(s.payments, together)) {
		out.Results = append(out.Results, &paymentv1.BatchVoidResponse_Result{
			Status: a.Status(), Response: a.Response, Replayed: a.Replayed,
		})
	}
	return out, nil
}

var refundPaymentRule = rule[*paymentv1.RefundPaymentRequest, *paymentv1.RefundPaymentResponse]{
	method: methodRefundPayment,
	command: func(r *paymentv1.RefundPaymentRequest, c *command) (err error) {
		c.paymentID, c.reason = r.GetPaymentId(), r.GetReason()
		c.amount, err = amountOrAll(r.GetAmount())
		return err
	},
	response: func(p *paymentv1.Payment) *paymentv1.RefundPaymentResponse {
		return &paymentv1.RefundPaymentResponse{Payment: p}
	},
}

// RefundPayment implements paymentv1.PaymentServiceServer.
func (s *server) RefundPayment(ctx context.Context, r *paymentv1.RefundPaymentRequest) (*paymentv1.RefundPaymentResponse, error) {
	return rpc.Single(ctx, r, refundPaymentRule.handler(s.payments, alone))
}

var voidPaymentRule = rule[*paymentv1.VoidPaymentRequest, *paymentv1.VoidPaymentResponse]{
	method: methodVoidPayment,
	command: func(r *paymentv1.VoidPaymentRequest, c *command) (err error) {
		c.paymentID, c.reason = r.GetPaymentId(), r.GetReason()
		return nil
	},
	response: func(p *paymentv1.Payment) *paymentv1.VoidPaymentResponse {
		return &paymentv1.VoidPaymentResponse{Payment: p}
	},
}

// VoidPayment implements paymentv1.PaymentServiceServer.
func (s *server) VoidPayment(ctx context.Context, r *paymentv1.VoidPaymentRequest) (*paymentv1.VoidPaymentResponse, error) {
	return rpc.Single(ctx, r, voidPaymentRule.handler(s.payments, alone))
}
