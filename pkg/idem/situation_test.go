package idem_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// said is what a client is told: the status as it goes over the wire, and the header.
type said struct {
	Code     codes.Code
	Reason   string
	Fields   []string // that the error blames
	Resource string
	Retry    bool // it is told when to ask again
	Replayed bool
}

// clientSees reads a use case's error as a client does.
func clientSees(err error, replayed bool) said {
	s := said{Replayed: replayed}
	if err == nil {
		return s
	}
	st := status.Convert(err)
	s.Code = st.Code()
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			s.Reason = d.GetReason()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				s.Fields = append(s.Fields, v.GetField())
			}
		case *errdetails.PreconditionFailure:
			for _, v := range d.GetViolations() {
				s.Fields = append(s.Fields, v.GetSubject())
			}
		case *errdetails.ResourceInfo:
			s.Resource = d.GetResourceName()
		case *errdetails.RetryInfo:
			s.Retry = d.GetRetryDelay().AsDuration() > 0
		}
	}
	return s
}

// Every situation of a key, what a client is told in it, and what took effect. That many duplicates at the same moment
// take effect once, and that one waits for another up to its deadline, is tested with Once, and in package errand.
func TestKeys_AreAnsweredByTheirSituation(t *testing.T) {
	t.Parallel()
	amount := func(r idem.Request, v string) idem.Request {
		r.Fields = []idem.Field{{Name: "customer_id", Value: "ada"}, {Name: "amount", Value: v}}
		r.TTL = time.Hour
		return r
	}
	asked := amount(request(), "12.00 GBP")
	paid := func(f fixture) { f.mustPayAll(nil, asked) }
	for name, test := range map[string]struct {
		before  func(f fixture)
		request func(r *idem.Request)
		want    said
		effects []string
	}{
		"missing": {nil, func(r *idem.Request) { r.Key = "" },
			said{Code: codes.InvalidArgument, Reason: "IDEMPOTENCY_KEY_MISSING", Fields: []string{"idempotency_key"}}, nil},
		"new":                    {nil, nil, said{}, []string{"paid"}},
		"the same request again": {paid, nil, said{Replayed: true}, []string{"order-0001"}},
		"its refusal again": {func(f fixture) {
			f.mustPayAll(map[string]error{"order-0001": rpcerr.New(rpcerr.PaymentDeclined, "no")}, asked)
		}, nil, said{Code: codes.FailedPrecondition, Reason: "PAYMENT_DECLINED", Replayed: true}, nil},
		"an error that may have passed": {func(f fixture) {
			f.mustPayAll(map[string]error{"order-0001": rpcerr.New(rpcerr.DestinationDown, "nobody is there")}, asked)
		}, nil, said{}, []string{"paid"}},
		"another request": {paid, func(r *idem.Request) { *r = amount(*r, "12.01 GBP") },
			said{Code: codes.FailedPrecondition, Reason: "IDEMPOTENCY_KEY_REUSED", Fields: []string{"amount"}}, []string{"order-0001"}},
		"still in flight": {func(f fixture) { f.begin(asked) }, nil,
			said{Code: codes.Aborted, Reason: "IDEMPOTENCY_KEY_IN_FLIGHT", Retry: true}, []string{"intent of order-0001"}},
		"past its time": {func(f fixture) { paid(f); f.expireKeys() }, nil,
			said{Code: codes.FailedPrecondition, Reason: "IDEMPOTENCY_KEY_EXPIRED", Resource: "1"}, []string{"order-0001"}},
		"compensated": {func(f fixture) { paid(f); f.refundAll(nil, "order-0001") }, nil,
			said{Code: codes.FailedPrecondition, Reason: "STEP_TOMBSTONED"}, []string{"order-0001"}},
		"compensated before it came": {func(f fixture) { f.refundAll(nil, "order-0001") }, nil,
			said{Code: codes.FailedPrecondition, Reason: "STEP_TOMBSTONED"}, nil},
		"another caller's": {paid, func(r *idem.Request) { r.Caller = "other shop" }, said{}, []string{"order-0001", "paid"}},
		"another method's": {paid, func(r *idem.Request) { r.Method = "Hold" }, said{}, []string{"order-0001", "paid"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			if test.before != nil {
				test.before(f)
			}
			r := asked
			if test.request != nil {
				test.request(&r)
			}
			ctx, call := f.call()
			err := idem.CheckKey(r.Key)
			if err == nil {
				_, err = f.pay(ctx, r)
			}
			if diff := cmp.Diff(test.want, clientSees(err, call.replayed())); diff != "" {
				t.Errorf("the client is told (-want +got):\n%s\n%v", diff, err)
			}
			f.wantEffects(test.effects...)
		})
	}
}
