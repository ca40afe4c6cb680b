package rpc

import (
	"context"
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// Item is one request of a batch, with an idempotency key of its own.
type Item interface {
	proto.Message
	GetIdempotencyKey() string
}

// Answered is what came of one item: a response or an error, and whether it had been given before.
type Answered[A any] struct {
	Response A
	Err      error
	Replayed bool
}

// Status is the item's status as it goes over the wire; nil for one that was done.
func (a Answered[A]) Status() *spb.Status {
	if a.Err == nil {
		return nil
	}
	return rpcerr.ToStatus(a.Err).Proto()
}

// Batch answers the items of a batch, a field `requests`, each by itself: one that breaks a rule of its proto, or
// has no good key, is refused as it would be as a request of its own, and the rest is given to do. Fields that an
// item's error blames get their path in the batch.
func Batch[Q Item, A any](ctx context.Context, items []Q, do func(context.Context, []Q) []Answered[A]) []Answered[A] {
	answers := make([]Answered[A], len(items))
	var good []Q
	var at []int
	for i, item := range items {
		if answers[i].Err = checkItem(item); answers[i].Err == nil {
			good, at = append(good, item), append(at, i)
		}
	}
	if len(good) > 0 {
		for n, a := range do(ctx, good) {
			answers[at[n]] = a
		}
	}
	for i := range answers {
		answers[i].Err = below(fmt.Sprintf("requests[%d].", i), answers[i].Err)
	}
	return answers
}

// Single answers a request, which the interceptor has checked, as a batch of one.
func Single[Q Item, A any](ctx context.Context, request Q, do func(context.Context, []Q) []Answered[A]) (A, error) {
	a := do(ctx, []Q{request})[0]
	if a.Replayed {
		idem.MarkReplayed(ctx)
	}
	return a.Response, a.Err
}

func checkItem(item Item) error {
	if err := idem.CheckKey(item.GetIdempotencyKey()); err != nil {
		return err
	}
	return invalid(protovalidate.Validate(item))
}

// below moves the fields that an error blames to where they stand in the batch. What FAILED_PRECONDITION names are
// things, not fields.
func below(prefix string, err error) error {
	e, ok := errors.AsType[*rpcerr.Error](err)
	if !ok || len(e.Fields) == 0 || e.Code() == codes.FailedPrecondition {
		return err
	}
	moved := *e
	moved.Fields = make([]rpcerr.Field, len(e.Fields))
	for i, f := range e.Fields {
		moved.Fields[i] = rpcerr.Field{Path: prefix + f.Path, Description: f.Description}
	}
	return &moved
}
