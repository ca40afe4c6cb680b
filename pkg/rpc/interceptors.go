package rpc

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	optionsv1 "github.com/tieout/tieout/gen/tieout/options/v1"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/telemetry"
)

// hopMargin is what each hop keeps of the caller's deadline, for the answer to find its way back.
const hopMargin = 20 * time.Millisecond

type serverInterceptors struct {
	log       *slog.Logger
	tracer    trace.Tracer
	validator protovalidate.Validator
	admission admission
}

func (in *serverInterceptors) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	begun := time.Now()
	defer func() {
		if err = in.answer(ctx, info.FullMethod, recover(), err); status.Code(err) == codes.Internal {
			in.keep(ctx, info.FullMethod, begun)
		}
	}()
	o := Options(info.FullMethod)
	ctx, cancel, err := withBudget(ctx, defaultDeadline(o))
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := in.check(o, req); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (in *serverInterceptors) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	ctx := ss.Context()
	defer func() { err = in.answer(ctx, info.FullMethod, recover(), err) }()
	o := Options(info.FullMethod)
	if ss, err = in.admission.admitStream(ss, o); err != nil {
		return err
	}
	return handler(srv, &checkedStream{
		ServerStream: ss, first: func(m any) error { return in.check(o, m) }, further: in.checkFields,
	})
}

// checkedStream checks what a client sends before the handler sees it. Its first message has the idempotency key of the
// whole, where there is one.
type checkedStream struct {
	grpc.ServerStream
	first, further func(any) error
}

// RecvMsg implements grpc.ServerStream.
func (s *checkedStream) RecvMsg(m any) error {
	if err := receive(m, s.ServerStream.RecvMsg); err != nil {
		return err
	}
	check := s.first
	s.first = s.further
	return check(m)
}

// SendMsg implements grpc.ServerStream. That the client's connection is gone is no fault of the server's.
func (s *checkedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if status.Code(err) == codes.Unavailable {
		return rpcerr.New(rpcerr.Cancelled, "the client is gone")
	}
	return err
}

// withBudget shortens the deadline by the hop's margin, and refuses what is hopeless before it begins.
func withBudget(ctx context.Context, byDefault time.Duration) (context.Context, context.CancelFunc, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		if byDefault == 0 {
			return ctx, func() {}, nil
		}
		deadline = time.Now().Add(byDefault)
	}
	if time.Until(deadline) <= hopMargin {
		return ctx, nil, rpcerr.New(rpcerr.DeadlineTooShort, "less than %s left before the deadline; nothing was done", hopMargin)
	}
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-hopMargin))
	return ctx, cancel, nil
}

// check holds the rules that protos declare: the idempotency key and the fields.
func (in *serverInterceptors) check(o *optionsv1.MethodOptions, req any) error {
	if o == nil {
		return nil // health and reflection
	}
	if o.GetRequiresIdempotencyKey() {
		keyed, _ := req.(interface{ GetIdempotencyKey() string })
		if err := idem.CheckKey(keyed.GetIdempotencyKey()); err != nil {
			return err
		}
	}
	return in.checkFields(req)
}

// checkFields holds the rules of a message's fields.
func (in *serverInterceptors) checkFields(req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	return invalid(in.validator.Validate(m))
}

// invalid turns protovalidate's verdict into the wire's error.
func invalid(err error) error {
	v, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err
	}
	var fields []rpcerr.Field
	for _, violation := range v.Violations {
		fields = append(fields, rpcerr.Field{
			Path: protovalidate.FieldPathString(violation.Proto.GetField()), Description: violation.Proto.GetMessage(),
		})
	}
	return rpcerr.ForFields(rpcerr.RequestInvalid, fields...)
}

// answer is the error as the client gets it; what the client must not see is logged here, with the trace.
func (in *serverInterceptors) answer(ctx context.Context, method string, panicked any, err error) error {
	if panicked != nil {
		in.log.ErrorContext(ctx, "panic in handler", slog.String("method", method),
			slog.Any("panic", panicked), slog.String("stack", string(debug.Stack())))
		return rpcerr.New(rpcerr.Internal, "internal error; the outcome is not known").GRPCStatus().Err()
	}
	if err == nil {
		return nil
	}
	s := toStatus(method, err)
	if s.Code() == codes.Internal {
		in.log.ErrorContext(ctx, "call ended with an internal error", slog.String("method", method), slog.Any("error", err))
	} else {
		in.log.DebugContext(ctx, "call refused", slog.String("method", method), slog.String("code", s.Code().String()), slog.Any("error", err))
	}
	return s.Err()
}

// keep makes the span of a call that ended with an internal error, where its trace is not recorded.
func (in *serverInterceptors) keep(ctx context.Context, method string, begun time.Time) {
	call := trace.SpanContextFromContext(ctx)
	if !call.IsValid() || call.IsSampled() {
		return
	}
	telemetry.Past{
		Trace: call.TraceID(), ID: call.SpanID(), Name: strings.TrimPrefix(method, "/"), Kind: trace.SpanKindServer,
		Begun: begun, Ended: time.Now(), Error: "internal error",
	}.Record(in.tracer)
}

// toStatus lets through statuses with a reason of ours, and any status that health, reflection or a method that
// is not there made itself. Somebody else's status, passed on by a handler, is as internal as any other error.
func toStatus(method string, err error) *status.Status {
	s, ok := err.(interface{ GRPCStatus() *status.Status })
	if !ok {
		return rpcerr.ToStatus(err)
	}
	_, ours := rpcerr.FromError(err)
	if ours || Options(method) == nil || s.GRPCStatus().Code() == codes.Unimplemented {
		return s.GRPCStatus()
	}
	return rpcerr.ToStatus(err)
}

// callerHeader carries the caller's name. It is a claim, good enough to keep the keys of different callers
// apart, until callers are authenticated.
const callerHeader = "tieout-caller"

// Anonymous is the caller who does not say who it is.
const Anonymous = "anonymous"

// Caller is who makes the call that ctx belongs to; Anonymous when it does not say.
func Caller(ctx context.Context) string {
	md, _ := metadata.FromIncomingContext(ctx)
	return callerIn(md)
}

func callerIn(md metadata.MD) string {
	if names := md.Get(callerHeader); len(names) == 1 && names[0] != "" && len(names[0]) <= 128 {
		return names[0]
	}
	return Anonymous
}
