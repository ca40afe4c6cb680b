package placing

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/orderfile"
	"github.com/tieout/tieout/cmd/tieout/resend"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// maxFollowed is how many orders are followed at once; each is a stream on one connection.
const maxFollowed = 1000

// Config says how orders are placed.
type Config struct {
	Client orderv1.OrderServiceClient
	// Resender repeats calls whose answer was lost.
	Resender *resend.Resender
	// Tracer makes a trace of each order.
	Tracer trace.Tracer
	// Concurrency is how many orders are in flight at once, at least 1.
	Concurrency int
	// Timeout is how long one call may take; zero means what the method declares.
	Timeout time.Duration
	// Follow tells to follow each accepted order to its end.
	Follow bool
	// Report is told, line by line and by one goroutine at a time, what was refused or failed, and why orders were
	// compensated or parked.
	Report func(line string)
	// Progress is told how far things are, every ProgressEvery.
	Progress      func(Summary)
	ProgressEvery time.Duration
}

// placer is a run.
type placer struct {
	Config
	tally   tally
	mu      sync.Mutex // of Report
	workers sync.WaitGroup
	follows sync.WaitGroup
	slots   chan struct{} // orders that are followed
	abort   context.CancelCauseFunc
}

// Run places orders and returns when all are answered, and followed if so configured. When ctx ends it returns soon,
// with what was done until then and no error. An error is what ended it early: a file that cannot be read, a server
// that went away ([resend.ErrGone]) or lets this caller place nothing at all.
func Run(ctx context.Context, cfg Config, orders iter.Seq2[*orderfile.Order, error]) (Summary, error) {
	p := &placer{Config: cfg, slots: make(chan struct{}, maxFollowed)}
	p.tally.began = time.Now()
	outer := ctx
	ctx, p.abort = context.WithCancelCause(ctx)
	defer p.abort(nil)
	stopProgress := p.startProgress()

	jobs := make(chan *orderfile.Order)
	for range cfg.Concurrency {
		p.workers.Go(func() {
			for o := range jobs {
				p.place(ctx, o)
			}
		})
	}
	err := p.read(ctx, orders, jobs)
	close(jobs)
	p.workers.Wait()
	p.follows.Wait()
	stopProgress()
	if cause := context.Cause(ctx); cause != nil && outer.Err() == nil {
		err = errors.Join(err, cause)
	}
	return p.tally.summary(), err
}

// read hands the orders to the workers.
func (p *placer) read(ctx context.Context, orders iter.Seq2[*orderfile.Order, error], jobs chan<- *orderfile.Order) error {
	for o, err := range orders {
		if refusal, ok := errors.AsType[*orderfile.Refusal](err); ok {
			p.tally.refused.Add(1)
			p.report(refusal.Problems...)
			continue
		}
		if err != nil {
			return err
		}
		select {
		case jobs <- o:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// place places one order and has it followed.
func (p *placer) place(ctx context.Context, o *orderfile.Order) {
	spanCtx, span := p.Tracer.Start(ctx, "place order", trace.WithNewRoot())
	defer span.End()
	began := time.Now()
	var answer *orderv1.PlaceOrderResponse
	var header metadata.MD
	err := p.Resender.Do(spanCtx, func(ctx context.Context) (err error) {
		if p.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, p.Timeout)
			defer cancel()
		}
		answer, err = p.Client.PlaceOrder(ctx, o.Request, grpc.Header(&header))
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			p.unplaced(o, err, span.SpanContext().TraceID())
		}
		return
	}
	p.tally.latency.add(time.Since(began))
	p.tally.accepted.Add(1)
	if Replayed(header) {
		p.tally.replayed.Add(1)
	}
	if p.Follow {
		p.follow(ctx, o.Line, answer.GetOrder().GetOrderId())
	}
}

// Replayed tells, by the headers of an answer, whether it is that of an earlier request under the same key.
func Replayed(header metadata.MD) bool {
	values := header.Get("idempotency-replayed")
	return len(values) > 0 && values[0] == "true"
}

// unplaced counts and reports an order that was not acknowledged.
func (p *placer) unplaced(o *orderfile.Order, err error, traceID trace.TraceID) {
	e, _ := rpcerr.FromError(err)
	problem := orderfile.Problem{Line: o.Line, Reason: rpcerr.Internal, Message: err.Error()}
	if e != nil {
		problem.Reason, problem.Message = e.Reason, e.Message
	}
	if problem.Reason == "" {
		problem.Reason = rpcerr.Reason(status.Code(err).String())
	}
	if hopeless(err) {
		p.abort(err)
		return
	}
	if !refused(err) {
		p.tally.failed.Add(1)
		problem.Message += fmt.Sprintf(" (trace %s)", traceID)
		p.report(problem)
		if errors.Is(err, resend.ErrGone) {
			p.abort(err)
		}
		return
	}
	p.tally.refused.Add(1)
	if e == nil || len(e.Fields) == 0 {
		p.report(problem)
		return
	}
	for _, f := range e.Fields {
		p.report(orderfile.Problem{Line: o.LineOf(f.Path), Reason: problem.Reason, Field: f.Path, Message: f.Description})
	}
}

// refused tells whether an error says that the order was not placed.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.AlreadyExists, codes.OutOfRange, codes.ResourceExhausted:
		return true
	}
	return false
}

// hopeless tells whether every other order would get the same error.
func hopeless(err error) bool {
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented:
		return true
	}
	return false
}

// follow has an order followed, once there is room for it.
func (p *placer) follow(ctx context.Context, line int, orderID string) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	p.follows.Go(func() {
		defer func() { <-p.slots }()
		order, err := Follow(ctx, p.Client, p.Resender, orderID, func(*orderv1.Order) error { return nil })
		if err != nil {
			if ctx.Err() == nil {
				p.say(fmt.Sprintf("order %s (line %d): accepted, but following it ended: %v", orderID, line, err))
			}
			return
		}
		switch order.GetState() {
		case orderv1.OrderState_ORDER_STATE_COMPLETED:
			p.tally.completed.Add(1)
			return
		case orderv1.OrderState_ORDER_STATE_COMPENSATED:
			p.tally.compensated.Add(1)
			p.say(fmt.Sprintf("order %s (line %d): compensated: %s", orderID, line, order.GetCause()))
		case orderv1.OrderState_ORDER_STATE_PARKED:
			p.tally.parked.Add(1)
			p.say(fmt.Sprintf("order %s (line %d): parked: %s", orderID, line, order.GetCause()))
		}
	})
}

func (p *placer) report(problems ...orderfile.Problem) {
	for _, problem := range problems {
		p.say(problem.String())
	}
}

func (p *placer) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Report(line)
}

// startProgress tells how far things are until the function returned is called.
func (p *placer) startProgress() (stop func()) {
	done := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(p.ProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				p.mu.Lock()
				p.Progress(p.tally.summary())
				p.mu.Unlock()
			}
		}
	})
	return func() { close(done); told.Wait() }
}
