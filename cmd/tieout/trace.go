package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/cmd/tieout/output"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	tracev1 "github.com/tieout/tieout/gen/tieout/trace/v1"
)

var traceView = output.View[*tracev1.Trace]{
	JSON: output.Message[*tracev1.Trace],
	Columns: []output.Column[*tracev1.Trace]{
		{Name: "trace_id", Value: (*tracev1.Trace).GetTraceId},
		{Name: "spans", Value: func(t *tracev1.Trace) string { return strconv.Itoa(len(t.GetSpans())) }},
		{Name: "dropped", Value: func(t *tracev1.Trace) string { return pieces(int64(t.GetDroppedCount())) }},
		{Name: "services", Value: func(t *tracev1.Trace) string { return strings.Join(traceServices(t), " ") }},
		{Name: "start_time", Value: func(t *tracev1.Trace) string {
			from, _ := traceBounds(t)
			return from.UTC().Format(time.RFC3339Nano)
		}},
		{Name: "took", Value: func(t *tracev1.Trace) string {
			from, to := traceBounds(t)
			return shortly(to.Sub(from))
		}},
	},
	Sections: func(w io.Writer, t *tracev1.Trace) error {
		return output.Section(w, "Spans", branchColumns, branchesOf(t))
	},
}

// branch is a span where it stands in the tree.
type branch struct {
	*tracev1.Span
	lines string // that lead to it
	after time.Duration
}

var branchColumns = []output.Column[branch]{
	{Name: "after", Value: func(b branch) string { return shortly(b.after) }},
	{Name: "took", Value: func(b branch) string {
		if b.GetStartTime() == nil {
			return ""
		}
		return shortly(b.GetEndTime().AsTime().Sub(b.GetStartTime().AsTime()))
	}},
	{Name: "service", Value: func(b branch) string { return b.GetService() }},
	{Name: "span", Value: func(b branch) string { return b.lines + b.GetName() }},
	{Name: "attempt", Value: func(b branch) string { return b.GetAttributes()["tieout.saga.attempt"] }},
	{Name: "error", Value: func(b branch) string {
		if !b.GetFailed() {
			return ""
		}
		return firstLine(cmp.Or(b.GetError(), "failed"))
	}},
}

func (c *cli) traceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trace ORDER", Short: "Show what was done for an order, by which service, and how long it took", Args: args(cobra.ExactArgs(1)),
		Long: `Shows the trace of an order, or of a recurring payment, as a tree: each call and commit with when it began, how long
it took, which attempt it was, and why it failed. A trace can be named by its own id as well.

The server has to keep traces: 'tieout dev' does, and a process with telemetry.keep_bytes; in production they are in the
backend that they are sent to. Exit code 3: there is no such order, or its trace is not kept.`,
	}
	return c.withServer(object(c, cmd, traceView, func(ctx context.Context, r *remote, args []string) (*tracev1.Trace, error) {
		found, err := tracev1.NewTraceServiceClient(r.conn).GetTrace(ctx, &tracev1.GetTraceRequest{Name: args[0]})
		if status.Code(err) == codes.NotFound {
			return nil, noTrace(ctx, r, args[0], err)
		}
		return found.GetTrace(), err
	}))
}

// noTrace tells whether there is an order of which no trace is kept.
func noTrace(ctx context.Context, r *remote, name string, err error) error {
	if !strings.HasPrefix(name, "ord_") {
		return err
	}
	_, unknown := orderv1.NewOrderServiceClient(r.conn).GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: name})
	switch status.Code(unknown) {
	case codes.OK:
		return &exit{exitNotFound, fmt.Errorf("order %s is there, but its trace is not kept: it was not sampled, or it had to make room, or the server was started again since", name)}
	case codes.NotFound:
		return unknown
	}
	return err
}

func traceServices(t *tracev1.Trace) []string {
	var names []string
	for _, s := range t.GetSpans() {
		names = append(names, s.GetService())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// traceBounds are when the first span of a trace began, and the last one ended.
func traceBounds(t *tracev1.Trace) (from, to time.Time) {
	for i, s := range t.GetSpans() {
		if begun := s.GetStartTime().AsTime(); i == 0 || begun.Before(from) {
			from = begun
		}
		if ended := s.GetEndTime().AsTime(); ended.After(to) {
			to = ended
		}
	}
	return from, to
}

// branchesOf makes a tree of a trace. Spans that are part of one that is not kept stand below a line that says so.
func branchesOf(t *tracev1.Trace) []branch {
	known, parts := map[string]bool{"": true}, map[string][]*tracev1.Span{}
	for _, s := range t.GetSpans() {
		known[s.GetSpanId()] = true
	}
	lost := map[string]bool{}
	for _, s := range t.GetSpans() {
		of := s.GetParentSpanId()
		if parts[of] = append(parts[of], s); !known[of] && !lost[of] {
			lost[of] = true
			parts[""] = append(parts[""], &tracev1.Span{SpanId: of, Name: missing(s)})
		}
	}
	from, _ := traceBounds(t)
	var out []branch
	var add func(of, lines string)
	add = func(of, lines string) {
		for i, s := range parts[of] {
			b := branch{Span: s}
			if s.GetStartTime() != nil {
				b.after = s.GetStartTime().AsTime().Sub(from)
			}
			below := ""
			switch isLast := i == len(parts[of])-1; {
			case of == "":
			case isLast:
				b.lines, below = lines+"└ ", lines+"  "
			default:
				b.lines, below = lines+"├ ", lines+"│ "
			}
			out = append(out, b)
			add(s.GetSpanId(), below)
		}
	}
	add("", "")
	return out
}

// missing says what a span is part of that is not kept.
func missing(part *tracev1.Span) string {
	if part.GetAttributes()["tieout.saga.event"] != "" {
		return "(still under way)"
	}
	return "(the caller, who has not sent his part)"
}

// shortly is a duration to look at.
func shortly(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
