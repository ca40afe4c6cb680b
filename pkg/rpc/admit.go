package rpc

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/tap"

	optionsv1 "github.com/tieout/tieout/gen/tieout/options/v1"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/shed"
)

const (
	// priorityHeader carries the class of a call where it is another than the method's: "finish", "step", "new", "read" or
	// "batch".
	priorityHeader = "x-request-priority"
	// pushbackTrailer tells gRPC's own retries, and those of proxies, when to come back, in milliseconds.
	pushbackTrailer = "grpc-retry-pushback-ms"
	// promptly is the part of its default deadline that a call should not need.
	promptly = 50
)

// admission decides whether a call is let in, before its request is read.
type admission struct {
	quotas *quota.Quotas
	gate   *shed.Gate
}

// declared is what admission has to know of a method.
type declared struct {
	class  shed.Class
	should time.Duration // what a call should take
	// raises says that only the system and its operators may call it, who are believed that a call is worth more.
	raises bool
	// ofService says that it is the system that calls.
	ofService bool
}

// declaredBy reads a method's options; false for health and reflection, which are always let in.
func declaredBy(o *optionsv1.MethodOptions) (declared, bool) {
	role := o.GetRole()
	return declared{
		class: shed.Class(o.GetPriority()), should: defaultDeadline(o) / promptly,
		raises:    role == optionsv1.Role_ROLE_SERVICE || role == optionsv1.Role_ROLE_OPERATOR,
		ofService: role == optionsv1.Role_ROLE_SERVICE,
	}, o != nil
}

// classOf is the class of a call: what its method declares, or what the caller says. A caller can always lower itself.
func (d declared) classOf(md metadata.MD) shed.Class {
	said := md.Get(priorityHeader)
	if len(said) != 1 {
		return d.class
	}
	c, ok := shed.ParseClass(said[0])
	if !ok || c < d.class && !d.raises {
		return d.class
	}
	return c
}

// knock asks whether a call may come in, where its headers were read; it does not wait.
func (a admission) knock(ctx context.Context, md metadata.MD, d declared) error {
	if a.quotas != nil && !d.ofService {
		if err := a.quotas.Take(ctx, callerIn(md), d.class); err != nil {
			return err
		}
	}
	c := d.classOf(md)
	if a.gate == nil || c == shed.Read && d.raises { // who operates may look why there is too much to do
		return nil
	}
	return a.gate.Knock(ctx, c)
}

// admit lets a call in. It has to leave when it has ended. The context it goes on with has its class, and yields to
// started work at the database if the class does.
func (a admission) admit(ctx context.Context, d declared) (_ context.Context, leave func(), err error) {
	if err := refusalOf(ctx); err != nil {
		return ctx, nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c := d.classOf(md)
	leave = func() {}
	if a.gate != nil {
		if leave, err = a.gate.Enter(ctx, shed.Call{Class: c, Should: d.should}); err != nil {
			return ctx, nil, err
		}
	}
	if ctx = shed.WithClass(ctx, c); c.Yields() {
		ctx = pg.Yielding(ctx)
	}
	return ctx, leave, nil
}

type refusalKey struct{}

// refusalOf is why a call was refused when it came; nil for one that was not.
func refusalOf(ctx context.Context) error {
	err, _ := ctx.Value(refusalKey{}).(error)
	return err
}

// politely is how many refusals a second are answered by the call's own goroutine, with the pushback trailer. In a flood the
// others end where their headers were read, which costs half as much; the status and its RetryInfo are the same.
const politely = 100

// doorkeeper looks at a call when its headers have come, before telemetry does: tracing and measuring a call costs more
// than refusing it, and refusals are counted anyway.
type doorkeeper struct {
	stats.Handler // of the calls that may be let in
	admission     admission
	methods       map[string]declared // by full name; complete before the server serves
	polite        *rate.Limiter
}

// look is a tap.ServerInHandle. It runs where the connection is read, and does not wait.
func (k *doorkeeper) look(ctx context.Context, info *tap.Info) (context.Context, error) {
	d, ours := k.methods[info.FullMethodName]
	if !ours {
		return ctx, nil
	}
	err := k.admission.knock(ctx, info.Header, d)
	switch {
	case err == nil:
		return ctx, nil
	case k.polite.Allow():
		return context.WithValue(ctx, refusalKey{}, err), nil
	}
	return nil, rpcerr.ToStatus(err).Err()
}

// TagRPC implements stats.Handler.
func (k *doorkeeper) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if refusalOf(ctx) != nil {
		return ctx
	}
	return k.Handler.TagRPC(ctx, info)
}

// HandleRPC implements stats.Handler.
func (k *doorkeeper) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if refusalOf(ctx) == nil {
		k.Handler.HandleRPC(ctx, s)
	}
}

// admitting is a unary handler for calls that are let in; the request of one that is not is never decoded.
func (a admission) admitting(d declared, h grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		ctx, leave, err := a.admit(ctx, d)
		if err != nil {
			_ = grpc.SetTrailer(ctx, pushback(err)) // it fails only outside a call
			return nil, rpcerr.ToStatus(err).Err()
		}
		defer leave()
		return h(srv, ctx, decode, in)
	}
}

// pushback is the trailer of a refusal.
func pushback(err error) metadata.MD {
	e, ok := rpcerr.FromError(err)
	if !ok || e.RetryAfter <= 0 {
		return nil
	}
	return metadata.Pairs(pushbackTrailer, strconv.FormatInt(max(1, e.RetryAfter.Milliseconds()), 10))
}

// admitStream lets a stream in. It is looked at like a call and then does not count: most streams wait for something to
// happen.
func (a admission) admitStream(ss grpc.ServerStream, o *optionsv1.MethodOptions) (grpc.ServerStream, error) {
	d, ours := declaredBy(o)
	if !ours {
		return ss, nil
	}
	d.should = 0
	ctx, leave, err := a.admit(ss.Context(), d)
	if err != nil {
		ss.SetTrailer(pushback(err))
		return nil, err
	}
	leave()
	return &admittedStream{ss, ctx}, nil
}

type admittedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *admittedStream) Context() context.Context { return s.ctx }
