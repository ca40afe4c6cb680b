package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// kase is one thing that is measured.
type kase struct {
	name, title string
	// unit is what is counted.
	unit string
	// does says what a unit is, from where to where.
	does string
	// start starts the subject.
	start func(ctx context.Context, b *bench) (*subject, error)
	// measure measures the case in a way of its own, instead of start.
	measure func(ctx context.Context, b *bench) (*Result, error)
	// inFlight is how many calls are kept under way at saturation. 0 is a subject of which each call is measured by itself.
	inFlight int
	// weight is how many units a call is; 0 is one.
	weight int
	// closedOnly measures no latency in an open loop.
	closedOnly bool
	// least is what must be done for a unit, whoever does it; the zero value sets no limit.
	least least
	// peers are the cases that it stands beside.
	peers []string
}

// cases are all of them, in the order in which they are run.
func cases() []kase {
	return slices.Concat(limitCases(), tieoutCases(), peerCases())
}

func tieoutCases() []kase {
	orders := func(oneInFails int64) func(context.Context, *bench) (*subject, error) {
		return func(ctx context.Context, b *bench) (*subject, error) { return startOrders(ctx, b, oneInFails) }
	}
	reserve := func(kinds int64, items int) func(context.Context, *bench) (*subject, error) {
		return func(ctx context.Context, b *bench) (*subject, error) { return startReserve(ctx, b, kinds, items) }
	}
	batch := func(items int) func(context.Context, *bench) (*subject, error) {
		return func(ctx context.Context, b *bench) (*subject, error) { return startBatch(ctx, b, items) }
	}
	return []kase{
		{
			name: "orders", title: "Order sagas", unit: "order", inFlight: 1024, start: orders(0),
			does:  "placed over gRPC, until the event of its end; stock, authorization and capture at the provider, shipment",
			least: least{rpcs: 1, items: 5, posts: 2}, peers: []string{"temporal", "river"},
		},
		{
			name: "failing", title: "Order sagas, 10 % compensated", unit: "order", inFlight: 1024, start: orders(10),
			does:  "the same, but one in ten is refused by the carrier; its money and its goods are given back",
			least: least{rpcs: 1, items: 4.9, posts: 2}, peers: []string{"temporal", "river"},
		},
		{
			name: "accept", title: "PlaceOrder until durable", unit: "order", inFlight: 512, start: startAccept,
			does:  "the answer to PlaceOrder, while nobody works the orders off; with the event that tells of it",
			least: least{rpcs: 1}, peers: []string{"river"},
		},
		{
			name: "reserve-1000", title: "Reserve, 1,000 SKUs", unit: "reservation", inFlight: 512, start: reserve(1000, 1),
			does: "a call of Reserve", least: least{rpcs: 1},
		},
		{
			name: "reserve-hot", title: "Reserve, one SKU", unit: "reservation", inFlight: 512, start: reserve(1, 1),
			does: "a call of Reserve, all of the same SKU", least: least{rpcs: 1}, peers: []string{"reserve-1000"},
		},
		{
			name: "reserve-batch-hot", title: "Reserve, one SKU, 256 in a call", unit: "reservation", inFlight: 4, weight: 256, start: reserve(1, 256),
			does: "a part of a call of BatchReserve, as the orchestrator calls it", least: least{items: 1}, closedOnly: true,
		},
		{
			name: "charge", title: "Charge", unit: "charge", inFlight: 512, start: startCharge,
			does: "a call of Charge, over HTTP to the provider's simulator", least: least{rpcs: 1, posts: 1},
		},
		{
			name: "batch-5000", title: "Batch of 5,000 payments", unit: "payment", weight: 5_000, start: batch(5_000),
			does: "from the first byte of the upload until the proof", least: least{items: 2, posts: 1}, peers: []string{"river-bulk"},
		},
		{
			name: "batch-50000", title: "Batch of 50,000 payments", unit: "payment", weight: 50_000, start: batch(50_000),
			does: "from the first byte of the upload until the proof", least: least{items: 2, posts: 1}, peers: []string{"river-bulk"},
		},
		{
			name: "reconciliation", title: "Reconciliation of 1 M × 1 M", unit: "row", measure: measureReconciliation,
			does: "a movement of either side, matched and stored, from the start of the run to its digest",
		},
		{
			name: "events", title: "Event, published until consumed", unit: "event", inFlight: 32, weight: 50,
			start: func(ctx context.Context, _ *bench) (*subject, error) { return startEvents(ctx, 50) },
			does:  "from the transaction that writes it, with 49 others, until that of its consumer; the kit in the process of the load", least: least{},
		},
	}
}

func peerCases() []kase {
	river := func(jobs int) func(context.Context, *bench) (*subject, error) {
		return func(ctx context.Context, _ *bench) (*subject, error) { return startRiver(ctx, jobs) }
	}
	return []kase{
		{
			name: "temporal", title: "Temporal", unit: "workflow", inFlight: 128, start: startTemporal,
			does: "a workflow of three activities that do nothing, started eagerly, until its result is read; the worker is in the process of the load",
		},
		{
			name: "river", title: "River, single jobs", unit: "job", inFlight: 256, start: river(1),
			does: "a job of one step that does nothing, inserted by itself, until it is completed; in the process of the load",
		},
		{
			name: "river-bulk", title: "River, 250 jobs an insert", unit: "job", inFlight: 16, weight: 250, start: river(250),
			does: "the same, inserted 250 with a call",
		},
	}
}

// The limits: what a unit cannot do without, done by nothing else.
const (
	limitRPC   = "echo"
	limitItem  = "echo-batch"
	limitPost  = "http"
	limitRow   = "rows"
	limitEvent = "publish"
)

func limitCases() []kase {
	return []kase{
		{
			name: limitRow, title: "Rows, 500 a statement and commit", unit: "row", inFlight: 4, weight: 500, closedOnly: true,
			start: func(ctx context.Context, _ *bench) (*subject, error) { return startRows(ctx, 500) },
			does:  "INSERT … SELECT unnest into a table with one key, four connections",
		},
		{
			name: "commits", title: "Commits of one row", unit: "row", inFlight: 64, closedOnly: true,
			start: func(ctx context.Context, _ *bench) (*subject, error) { return startRows(ctx, 1) },
			does:  "the same, one row a statement, 64 connections",
		},
		{
			name: limitRPC, title: "gRPC echo, unary", unit: "call", inFlight: 64, closedOnly: true,
			start: func(context.Context, *bench) (*subject, error) { return startEcho(1) },
			does:  "PlaceOrder that answers at once, client and server in one process, over loopback",
		},
		{
			name: limitItem, title: "gRPC echo, 256 items a call", unit: "item", inFlight: 8, weight: 256, closedOnly: true,
			start: func(context.Context, *bench) (*subject, error) { return startEcho(256) },
			does:  "BatchReserve that answers at once, the same way",
		},
		{
			name: limitPost, title: "HTTP echo", unit: "post", inFlight: 64, closedOnly: true,
			start: func(context.Context, *bench) (*subject, error) { return startHTTP() },
			does:  "a POST of a small JSON and its answer, client and server in one process, over loopback",
		},
		{
			name: limitEvent, title: "Events, 500 at once", unit: "event", inFlight: 2, weight: 500, closedOnly: true,
			start: func(ctx context.Context, _ *bench) (*subject, error) { return startPublish(ctx, 500) },
			does:  "published to a synced stream as one, and fetched by a consumer; server and clients in one process",
		},
	}
}

// Result is what came of a case.
type Result struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
	Does  string `json:"does"`
	// Saturated is the closed loop, Loaded are the open ones.
	Saturated Phase   `json:"saturated"`
	Loaded    []Phase `json:"loaded,omitempty"`
	// Note is what else is to be said.
	Note string `json:"note,omitempty"`
	// Memory and PostgresMemory are bytes at the most: of the subject's process, and of its Postgres.
	Memory         int64 `json:"memory_bytes"`
	PostgresMemory int64 `json:"postgres_memory_bytes"`
	// Settings are Postgres'.
	Settings map[string]string `json:"settings,omitempty"`
}

// shares are the open loops, of the rate at saturation.
var shares = []float64{0.5, 0.9}

// run runs a case: a closed loop, then open ones, and between them everything comes to rest.
func (b *bench) run(ctx context.Context, k kase) (r *Result, err error) {
	b.note("%s: starts", k.name)
	if err := forgetPeak(); err != nil {
		return nil, err
	}
	if k.measure != nil {
		if r, err = k.measure(ctx, b); err == nil {
			r.Name, r.Title, r.Unit, r.Does = k.name, k.title, k.unit, k.does
			b.note("%s: %s, %s", k.name, r.Saturated, r.Note)
		}
		return r, err
	}
	s, err := k.start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r = &Result{Name: k.name, Title: k.title, Unit: k.unit, Does: k.does}
	if r.Settings, err = s.meter.settings(ctx); err != nil {
		return nil, err
	}
	defer s.meter.watchMemory(r)()
	l := &load{meter: s.meter, do: s.do, weight: max(k.weight, 1), warm: b.lasts / 4, lasts: b.lasts}
	if b.profiles != "" && s.profile != nil {
		l.beside = func(ctx context.Context, lasts time.Duration) error { return s.profile(ctx, b.profiles, k.name, lasts) }
	}
	r.Saturated, err = b.rest(ctx, s, func() (Phase, error) {
		if k.inFlight == 0 {
			return l.single(ctx)
		}
		return l.closed(ctx, k.inFlight)
	})
	b.note("%s: %s", k.name, r.Saturated)
	if err == nil && r.Saturated.Rate == 0 {
		err = errors.New("nothing ended: " + r.Saturated.FirstError)
	}
	if err != nil || k.closedOnly || k.inFlight == 0 {
		return r, err
	}
	for _, share := range shares {
		p, err := b.rest(ctx, s, func() (Phase, error) { return l.open(ctx, share, r.Saturated.Rate) })
		if err != nil {
			return nil, err
		}
		b.note("%s: %s", k.name, p)
		r.Loaded = append(r.Loaded, p)
	}
	return r, nil
}

// rest has a load come and go.
func (b *bench) rest(ctx context.Context, s *subject, run func() (Phase, error)) (Phase, error) {
	p, err := run()
	if err != nil || s.settle == nil {
		return p, err
	}
	began := time.Now()
	err = s.settle(ctx)
	p.Drained = time.Since(began).Seconds()
	return p, err
}
