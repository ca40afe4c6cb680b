package billing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/billing/billingdb"
)

const (
	// feedLock is the advisory lock of the replica that feeds; such locks are per database.
	feedLock = 7_403_001
	// feedEvery is how soon a replica notices what nobody told it of, and that it may feed.
	feedEvery = 5 * time.Second
	// maxFeed is how many items are started together.
	maxFeed = 250
	// maxHandIns is how many of such are on their way to the orchestrator at once.
	maxHandIns = 3
	// defaultConcurrency is how many items may be under way at an account of which nobody has said it.
	defaultConcurrency = 4096
	// subjectFeed is what replicas tell each other on that there may be something to feed. It is lost when nobody
	// listens, and costs time only.
	subjectFeed = "billing.feed"
)

// starting is an item that is to be charged.
type starting struct {
	batchID                   BatchID
	line                      int64
	attempt                   int32
	customerID, paymentMethod string
	amount                    money.Amount
}

func startingOf(r billingdb.ListUnderWayRow) starting {
	return starting{
		BatchID(r.BatchID), r.Line, r.Attempt, r.CustomerID, r.PaymentMethod,
		money.Amount{Currency: money.Currency(r.Currency), Minor: r.AmountMinor},
	}
}

// feeder starts the items of running batches.
type feeder struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	// start hands items to the orchestrator, and gives those that it refused for good. An error says that it is not
	// known of any of them.
	start func(context.Context, []starting) (refused []outcome, err error)
	// settle writes what came of items.
	settle func(context.Context, *pg.Tx, []outcome) error
	// cutOff cancels what is left of a batch whose time is over.
	cutOff func(context.Context, BatchID) error
	nats   *nats.Conn
	wake   periodic.Bell

	// Of whoever runs it.
	lock     *pg.SessionLock
	limiters map[string]*rate.Limiter // by provider account
	handing  chan struct{}            // holds one element for each hand-in that is on its way
	handIns  sync.WaitGroup
}

// run feeds until ctx ends.
func (f *feeder) run(ctx context.Context) error {
	listening, err := f.nats.Subscribe(subjectFeed, func(*nats.Msg) { f.wake.Ring() })
	if err != nil {
		return fmt.Errorf("listening to %s: %w", subjectFeed, err)
	}
	defer listening.Unsubscribe() //nolint:errcheck // a connection that is closing ends it too
	f.lock, f.limiters, f.handing = pg.NewSessionLock(f.pool, feedLock), map[string]*rate.Limiter{}, make(chan struct{}, maxHandIns)
	defer f.lock.Release()
	defer f.handIns.Wait()
	return periodic.Duty{Name: "feeder", Every: feedEvery, RunOnce: f.runOnce, Log: f.log, Wake: f.wake}.Run(ctx)
}

// wakeUp has whoever feeds look at once.
func (f *feeder) wakeUp() {
	f.wake.Ring()
	if err := f.nats.Publish(subjectFeed, nil); err != nil {
		f.log.Debug("nobody is told", slog.String("subject", subjectFeed), slog.Any("error", err))
	}
}

// runOnce starts as many items as may be, and tells whether there may be more at once. It works on the connection that
// holds the lock, and so notices when that is lost.
func (f *feeder) runOnce(ctx context.Context) (again bool, err error) {
	had := f.lock.Held()
	held, err := f.lock.Acquire(ctx)
	if err != nil || !held {
		return false, err
	}
	again, err = f.round(ctx, !had)
	if err != nil {
		f.lock.Release()
	}
	return again, err
}

func (f *feeder) round(ctx context.Context, first bool) (again bool, err error) {
	if first {
		if err := f.resend(ctx); err != nil {
			return false, err
		}
	}
	running, err := newStore(f.lock.Conn()).running(ctx)
	if err != nil {
		return false, err
	}
	for i, r := range running {
		if r.isOver {
			if err := f.cutOff(ctx, r.batchID); err != nil {
				return false, err
			}
			again = true
			continue
		}
		n := f.share(running[i:])
		if n == 0 {
			continue
		}
		fed, err := f.feed(ctx, r.batchID, n)
		if err != nil {
			return false, err
		}
		for j := range running {
			if running[j].account == r.account {
				running[j].underWay += int64(len(fed))
			}
		}
		again = again || len(fed) > 0
		f.handIn(ctx, fed)
	}
	return again, ctx.Err()
}

// running is a batch that has items to be started.
type running struct {
	batchID           BatchID
	account           string
	planned           int64
	isOver            bool // its cut-off has come
	rate, concurrency int32
	underWay          int64 // at the account, of all batches
}

// share is how many items of the first of some batches may be started now: its part of what is free at its account, as
// far as the rate allows it.
func (f *feeder) share(left []running) int {
	r, sharing := left[0], int64(0)
	for _, other := range left {
		if other.account == r.account {
			sharing++
		}
	}
	free := int64(r.concurrency) - r.underWay
	n := int(min((max(free, 0)+sharing-1)/sharing, r.planned, maxFeed))
	if n == 0 || r.rate == 0 {
		return n
	}
	limiter := f.limiters[r.account]
	burst := max(1, int(r.rate)/10)
	if limiter == nil || limiter.Limit() != rate.Limit(r.rate) {
		limiter = rate.NewLimiter(rate.Limit(r.rate), burst)
		f.limiters[r.account] = limiter
	}
	now := time.Now()
	if n = min(n, int(limiter.TokensAt(now))); n > 0 {
		limiter.AllowN(now, n)
		return n
	}
	time.AfterFunc(time.Duration(float64(burst)/float64(r.rate)*float64(time.Second)), f.wake.Ring)
	return 0
}

// feed marks the next items of a batch as under way.
func (f *feeder) feed(ctx context.Context, bid BatchID, n int) (fed []starting, err error) {
	err = pg.InTx(ctx, f.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		through, err := st.q.LockForFeeding(ctx, bid.UUID())
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // it was paused or cancelled meanwhile
		}
		if err != nil {
			return fmt.Errorf("locking batch: %w", err)
		}
		rows, err := st.q.StartItems(ctx, billingdb.StartItemsParams{BatchID: bid.UUID(), AfterLine: through, N: int32(n)})
		if err != nil {
			return fmt.Errorf("starting items: %w", err)
		}
		fed = fed[:0]
		for _, r := range rows {
			through = max(through, r.Line)
			fed = append(fed, startingOf(billingdb.ListUnderWayRow(r)))
		}
		if len(fed) == 0 {
			return nil
		}
		if err := st.q.Fed(ctx, billingdb.FedParams{ID: bid.UUID(), N: int64(len(fed)), Through: through}); err != nil {
			return fmt.Errorf("writing progress: %w", err)
		}
		return nil
	})
	return fed, err
}

// resend hands in again what is under way: whoever fed before may not have got to it.
func (f *feeder) resend(ctx context.Context) error {
	var after starting
	for {
		rows, err := newStore(f.lock.Conn()).q.ListUnderWay(ctx, billingdb.ListUnderWayParams{
			AfterBatch: after.batchID.UUID(), AfterLine: after.line, N: maxFeed,
		})
		if err != nil {
			return fmt.Errorf("looking for items that are under way: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		items := make([]starting, len(rows))
		for i, r := range rows {
			items[i] = startingOf(r)
		}
		after = items[len(items)-1]
		f.handIn(ctx, items)
	}
}

// handIn has the orchestrator start items that are marked, however long that takes. It waits for its turn only.
func (f *feeder) handIn(ctx context.Context, items []starting) {
	if len(items) == 0 {
		return
	}
	select {
	case f.handing <- struct{}{}:
	case <-ctx.Done():
		return
	}
	f.handIns.Go(func() {
		defer func() { <-f.handing }()
		duty := periodic.Duty{
			Name: "handing items in", Every: time.Second, Log: f.log,
		}
		handing, done := context.WithCancel(ctx)
		defer done()
		duty.RunOnce = func(ctx context.Context) (bool, error) {
			refused, err := f.start(ctx, items)
			if err == nil && len(refused) > 0 {
				err = pg.InTx(ctx, f.pool, func(tx *pg.Tx) error { return f.settle(ctx, tx, refused) })
			}
			if err == nil {
				done()
			}
			return false, err
		}
		_ = duty.Run(handing) // its only error is a duty that cannot run
	})
}

// running lists the batches that have items to be started.
func (s store) running(ctx context.Context) ([]running, error) {
	rows, err := s.q.ListRunning(ctx, defaultConcurrency)
	if err != nil {
		return nil, fmt.Errorf("listing running batches: %w", err)
	}
	all := make([]running, len(rows))
	for i, r := range rows {
		all[i] = running{BatchID(r.ID), r.ProviderAccount, r.Planned, r.IsOver, r.Rate, r.Concurrency, r.UnderWay}
	}
	return all, nil
}
