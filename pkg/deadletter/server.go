package deadletter

import (
	"context"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/rpc"
)

// server is the gRPC face of a desk.
type server struct {
	deadletterv1.UnimplementedDeadLetterServiceServer
	desk *Desk
}

// ListDeadLetters implements deadletterv1.DeadLetterServiceServer.
func (s *server) ListDeadLetters(ctx context.Context, r *deadletterv1.ListDeadLettersRequest) (*deadletterv1.ListDeadLettersResponse, error) {
	n := rpc.PageSize(r.GetPageSize())
	found, f, err := s.desk.list(ctx, r.GetFilter(), r.GetPageToken(), n)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, letterToProto, (*deadletterv1.DeadLetter).GetDeadLetterId)
	if next != "" { // which is to tell where in which database
		last := found[len(page)-1]
		next = rpc.PageToken(f.PageKey(place{last.service, last.number}.String()))
	}
	return &deadletterv1.ListDeadLettersResponse{DeadLetters: page, NextPageToken: next}, nil
}

// GetDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (s *server) GetDeadLetter(ctx context.Context, r *deadletterv1.GetDeadLetterRequest) (*deadletterv1.GetDeadLetterResponse, error) {
	b, l, err := s.desk.find(ctx, r.GetDeadLetterId())
	if err != nil {
		return nil, err
	}
	if l, err = b.withActions(ctx, l); err != nil {
		return nil, err
	}
	return &deadletterv1.GetDeadLetterResponse{DeadLetter: letterToProto(l)}, nil
}

// RedriveDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (s *server) RedriveDeadLetter(ctx context.Context, r *deadletterv1.RedriveDeadLetterRequest) (*deadletterv1.RedriveDeadLetterResponse, error) {
	want := decision{actor: rpc.Caller(ctx), verb: redrive, reason: r.GetReason()}
	l, came, err := s.desk.decideOnce(ctx, "RedriveDeadLetter", r.GetIdempotencyKey(), r.GetDeadLetterId(), want)
	if err != nil {
		return nil, err
	}
	return &deadletterv1.RedriveDeadLetterResponse{DeadLetter: letterToProto(l), Outcome: deadletterv1.DeadLetterOutcome(came)}, nil
}

// DiscardDeadLetter implements deadletterv1.DeadLetterServiceServer.
func (s *server) DiscardDeadLetter(ctx context.Context, r *deadletterv1.DiscardDeadLetterRequest) (*deadletterv1.DiscardDeadLetterResponse, error) {
	want := decision{actor: rpc.Caller(ctx), verb: discard, reason: r.GetReason()}
	l, _, err := s.desk.decideOnce(ctx, "DiscardDeadLetter", r.GetIdempotencyKey(), r.GetDeadLetterId(), want)
	if err != nil {
		return nil, err
	}
	return &deadletterv1.DiscardDeadLetterResponse{DeadLetter: letterToProto(l)}, nil
}

// PlanDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (s *server) PlanDeadLetterOperation(ctx context.Context, r *deadletterv1.PlanDeadLetterOperationRequest) (*deadletterv1.PlanDeadLetterOperationResponse, error) {
	want := decision{actor: rpc.Caller(ctx), verb: verb(r.GetVerb()), reason: r.GetReason()}
	plans, err := s.desk.plan(ctx, r.GetIdempotencyKey(), r.GetFilter(), want)
	if err != nil {
		return nil, err
	}
	answer := &deadletterv1.PlanDeadLetterOperationResponse{}
	for _, op := range plans {
		answer.Operations = append(answer.Operations, operationToProto(op))
	}
	return answer, nil
}

// ApplyDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (s *server) ApplyDeadLetterOperation(ctx context.Context, r *deadletterv1.ApplyDeadLetterOperationRequest) (*deadletterv1.ApplyDeadLetterOperationResponse, error) {
	op, err := s.desk.apply(ctx, rpc.Caller(ctx), r.GetIdempotencyKey(), r.GetOperationId())
	if err != nil {
		return nil, err
	}
	return &deadletterv1.ApplyDeadLetterOperationResponse{Operation: operationToProto(op)}, nil
}

// GetDeadLetterOperation implements deadletterv1.DeadLetterServiceServer.
func (s *server) GetDeadLetterOperation(ctx context.Context, r *deadletterv1.GetDeadLetterOperationRequest) (*deadletterv1.GetDeadLetterOperationResponse, error) {
	_, op, err := s.desk.findOperation(ctx, r.GetOperationId())
	if err != nil {
		return nil, err
	}
	return &deadletterv1.GetDeadLetterOperationResponse{Operation: operationToProto(op)}, nil
}
