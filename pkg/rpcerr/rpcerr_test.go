package rpcerr_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/pkg/rpcerr"
)

func TestError_SurvivesTheWireWithAllItsDetails(t *testing.T) {
	t.Parallel()
	for r := range rpcerr.Reasons() {
		t.Run(string(r.Reason), func(t *testing.T) {
			t.Parallel()
			sent := &rpcerr.Error{
				Reason: r.Reason, Message: "lines[2].sku: is not known",
				Fields: []rpcerr.Field{
					{Path: "lines[2].sku", Description: "is not known"}, {Path: "lines[4].sku", Description: "is not known"},
				},
				Metadata: map[string]string{"orderId": "ord_1"}, RetryAfter: 1500 * time.Millisecond, Resource: "ord_1",
			}
			onTheWire := sent.GRPCStatus().Err()
			if got := status.Code(onTheWire); got != r.Code {
				t.Errorf("got code %s, want %s", got, r.Code)
			}
			got, ok := rpcerr.FromError(onTheWire)
			if !ok {
				t.Fatalf("not recognised: %v", onTheWire)
			}
			if diff := cmp.Diff(sent, got); diff != "" {
				t.Errorf("(-sent +got):\n%s", diff)
			}
		})
	}
}

func TestSealed_IsTheSameError(t *testing.T) {
	t.Parallel()
	e := rpcerr.New(rpcerr.Overloaded, "too much")
	e.RetryAfter = time.Second
	once := rpcerr.Sealed(e)
	if got, ok := rpcerr.FromError(once); !ok || got != e {
		t.Errorf("got %v, want the error itself", got)
	}
	if a, b := rpcerr.ToStatus(once), rpcerr.ToStatus(fmt.Errorf("refused: %w", once)); a != b || !proto.Equal(a.Proto(), e.GRPCStatus().Proto()) {
		t.Errorf("got the statuses %v and %v, want one, made once: %v", a, b, e.GRPCStatus())
	}
}

func TestError_SendsNoDetailItDoesNotHave(t *testing.T) {
	t.Parallel()
	details := rpcerr.New(rpcerr.NotFound, "order %s does not exist", "ord_1").GRPCStatus().Details()
	if len(details) != 1 {
		t.Fatalf("got details %v, want an ErrorInfo", details)
	}
	info, ok := details[0].(*errdetails.ErrorInfo)
	if !ok || info.GetReason() != "NOT_FOUND" || info.GetDomain() != "tieout" || len(info.GetMetadata()) != 0 {
		t.Errorf("got %v", details[0])
	}
}

func TestError_BlamesFieldsInTheDetailThatFitsTheCode(t *testing.T) {
	t.Parallel()
	bad := rpcerr.ForField(rpcerr.AmountNotPositive, "lines[0].unit_price", "is %d", 0)
	if bad.Message != "lines[0].unit_price: is 0" {
		t.Errorf("got message %q", bad.Message)
	}
	if d, ok := bad.GRPCStatus().Details()[1].(*errdetails.BadRequest); !ok {
		t.Errorf("got %T, want BadRequest", bad.GRPCStatus().Details()[1])
	} else if v := d.GetFieldViolations()[0]; v.GetField() != "lines[0].unit_price" || v.GetDescription() != "is 0" || v.GetReason() != "AMOUNT_NOT_POSITIVE" {
		t.Errorf("got %v", v)
	}
	spent := rpcerr.ForField(rpcerr.QuotaExceeded, "caller:shop/class:new", "4 calls a second")
	if d, ok := spent.GRPCStatus().Details()[1].(*errdetails.QuotaFailure); !ok || d.GetViolations()[0].GetSubject() != "caller:shop/class:new" {
		t.Errorf("got %v, want QuotaFailure that names the limit", spent.GRPCStatus().Details()[1])
	}
	failed := rpcerr.ForField(rpcerr.InsufficientStock, "A1", "none left")
	if d, ok := failed.GRPCStatus().Details()[1].(*errdetails.PreconditionFailure); !ok {
		t.Errorf("got %T, want PreconditionFailure", failed.GRPCStatus().Details()[1])
	} else if v := d.GetViolations()[0]; v.GetSubject() != "A1" || v.GetType() != "INSUFFICIENT_STOCK" || v.GetDescription() != "none left" {
		t.Errorf("got %v", v)
	}
}

func TestError_WithTextThatIsNotUTF8KeepsItsCode(t *testing.T) {
	t.Parallel()
	e := rpcerr.New(rpcerr.PaymentDeclined, "declined").With("providerText", "\xff")
	if got := e.GRPCStatus(); got.Code() != codes.FailedPrecondition || got.Message() != "declined" {
		t.Errorf("got %v", got)
	}
}

func TestError_WithLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	original := rpcerr.New(rpcerr.NotFound, "gone").With("a", "1")
	changed := original.With("b", "2")
	if diff := cmp.Diff(map[string]string{"a": "1"}, original.Metadata); diff != "" {
		t.Errorf("original (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, changed.Metadata); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
}

// Definite refusals are stored and given again; anything that may have happened, or may pass, must not be.
func TestError_IsDefiniteOnlyWhenNothingHappenedAndNothingWillChangeIt(t *testing.T) {
	t.Parallel()
	definite := map[codes.Code]bool{codes.InvalidArgument: true, codes.NotFound: true, codes.AlreadyExists: true, codes.FailedPrecondition: true}
	for r := range rpcerr.Reasons() {
		if got := rpcerr.New(r.Reason, "").Definite(); got != definite[r.Code] {
			t.Errorf("%s (%s): got %v", r.Reason, r.Code, got)
		}
	}
}

func TestToStatus_HidesWhatIsInside(t *testing.T) {
	t.Parallel()
	const secret = "dial tcp 10.0.0.5: password=hunter2"
	refusal := rpcerr.New(rpcerr.SKUUnknown, "no such SKU")
	for name, test := range map[string]struct {
		err    error
		reason rpcerr.Reason
	}{
		"an ordinary error":            {errors.New(secret), rpcerr.Internal},
		"one of ours":                  {refusal, rpcerr.SKUUnknown},
		"one of ours, wrapped":         {fmt.Errorf("%s: %w", secret, refusal), rpcerr.SKUUnknown},
		"one of ours, joined":          {errors.Join(errors.New(secret), refusal), rpcerr.SKUUnknown},
		"a deadline":                   {fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), rpcerr.DeadlineExceeded},
		"a cancellation":               {fmt.Errorf("%s: %w", secret, context.Canceled), rpcerr.Cancelled},
		"somebody's status":            {status.Error(codes.NotFound, secret), rpcerr.Internal},
		"somebody's UNAVAILABLE":       {status.Error(codes.Unavailable, secret), rpcerr.Internal},
		"somebody's DEADLINE_EXCEEDED": {fmt.Errorf("asking: %w", status.Error(codes.DeadlineExceeded, secret)), rpcerr.DeadlineExceeded},
		"somebody's CANCELLED":         {status.Error(codes.Canceled, secret), rpcerr.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := rpcerr.ToStatus(test.err)
			got, ok := rpcerr.FromError(s.Err())
			if !ok || got.Reason != test.reason || s.Code() != test.reason.Code() {
				t.Errorf("got %v, want reason %s", s, test.reason)
			}
			if strings.Contains(s.String(), "hunter2") {
				t.Errorf("tells the client %q", s)
			}
		})
	}
}

func TestFromError_KnowsOnlyErrorsOfOurs(t *testing.T) {
	t.Parallel()
	foreign, err := status.New(codes.NotFound, "gone").WithDetails(&errdetails.ErrorInfo{Reason: "NOT_FOUND", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"none":                       nil,
		"an ordinary error":          errors.New("broken"),
		"a bare status":              status.Error(codes.Unavailable, "gone"),
		"a status of another domain": foreign.Err(),
	} {
		if e, ok := rpcerr.FromError(err); ok {
			t.Errorf("%s: taken for %v", name, e)
		}
		if rpcerr.Is(err, rpcerr.NotFound) {
			t.Errorf("%s: Is NOT_FOUND", name)
		}
	}
}

func TestFromError_FindsAnErrorHoweverItIsWrapped(t *testing.T) {
	t.Parallel()
	refusal := rpcerr.New(rpcerr.CarrierRefused, "not there")
	for name, err := range map[string]error{
		"as it was made":     fmt.Errorf("scheduling: %w", refusal),
		"as it was received": fmt.Errorf("scheduling: %w", refusal.GRPCStatus().Err()),
	} {
		got, ok := rpcerr.FromError(err)
		if !ok || got.Reason != rpcerr.CarrierRefused || got.Message != "not there" {
			t.Errorf("%s: got %+v", name, got)
		}
		if !rpcerr.Is(err, rpcerr.CarrierRefused) || rpcerr.Is(err, rpcerr.NotFound) {
			t.Errorf("%s: Is tells it wrong", name)
		}
	}
}
