package pg

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type yieldingKey struct{}

// Yielding marks work that leaves the pool's reserved connections to other work.
func Yielding(ctx context.Context) context.Context {
	return context.WithValue(ctx, yieldingKey{}, true)
}

// reserve keeps work that yields away from a part of a pool. A pool tells of what is taken from it and given back only
// its tracers, so it is one.
type reserve struct {
	others chan struct{} // holds an element for each connection that yielding work has
}

// heldKey marks a context under which a place among the others is held.
type heldKey struct{}

// mark is what a connection that yielding work has is marked with.
const mark = "tieout.yielding"

// TraceAcquireStart implements pgxpool.AcquireTracer. It waits for a place; when ctx ends before, so does the acquiring.
func (r *reserve) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if ctx.Value(yieldingKey{}) == nil {
		return ctx
	}
	select {
	case r.others <- struct{}{}:
		return context.WithValue(ctx, heldKey{}, true)
	case <-ctx.Done():
		return ctx
	}
}

// TraceAcquireEnd implements pgxpool.AcquireTracer.
func (r *reserve) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	switch {
	case ctx.Value(heldKey{}) == nil:
	case data.Err != nil:
		<-r.others
	default:
		data.Conn.PgConn().CustomData()[mark] = true
	}
}

// TraceRelease implements pgxpool.ReleaseTracer.
func (r *reserve) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if marks := data.Conn.PgConn().CustomData(); marks[mark] != nil {
		delete(marks, mark)
		<-r.others
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (*reserve) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*reserve) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
