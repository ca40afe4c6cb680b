package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/service"
)

// TieOutConfig says when what the services did is compared.
type TieOutConfig struct {
	// Grace is for how long nothing must have been told of an order before it is judged, and how old a minute of the ledger
	// must be before it is compared: what is late is not lost. At least 1 s, default 1 m.
	Grace time.Duration `koanf:"grace"`
	// Overdue is how old an order is that has not ended before its owners are asked about it. Default 30 m, which is longer
	// than a saga goes on without a person.
	Overdue time.Duration `koanf:"overdue"`
	// BalanceEvery is how often the whole balance of what the provider holds is compared, besides its minutes. It adds up the
	// ledger. Default 1 h.
	BalanceEvery time.Duration `koanf:"balance_every"`
}

func defaultTieOut() TieOutConfig {
	return TieOutConfig{Grace: time.Minute, Overdue: 30 * time.Minute, BalanceEvery: time.Hour}
}

func (c TieOutConfig) validate() error {
	if c.Grace < time.Second || c.Overdue <= 0 || c.BalanceEvery <= 0 {
		return errors.New("tie_out: grace must be at least 1 s, overdue and balance_every more than zero")
	}
	return nil
}

// ties is the internal side: what the services did is tied out with each other, and repaired.
type ties struct {
	*reconciliation
	owners  owners
	metrics tieMetrics
	// waiting is how many events have not been taken in yet.
	waiting func(context.Context) (uint64, error)
	// post has the ledger take the journal of a payout.
	post func(context.Context, posting) (journalID string, err error)
	// report takes what is sighted; see sight.
	report func(context.Context, *pg.Tx, watcher, int32, []sighting, bool) (seen, error)
}

// newTies connects to the owners of what is tied out.
func newTies(env *service.Env, r *reconciliation, cfg Config) (*ties, error) {
	if err := cfg.TieOut.validate(); err != nil {
		return nil, err
	}
	to, err := dialOwners(env, cfg)
	if err != nil {
		return nil, err
	}
	metrics, err := newTieMetrics(env.Meter)
	if err != nil {
		return nil, err
	}
	return &ties{reconciliation: r, owners: to, metrics: metrics, waiting: waitingIn(env.JetStream), post: to.postPayout, report: r.sight}, nil
}

// How often the duties look whether there is something to do.
const (
	lookEvery   = 5 * time.Second
	ledgerEvery = 20 * time.Second
	proofEvery  = 10 * time.Second
	payoutEvery = 30 * time.Second
)

// start starts listening, and the duties.
func (t *ties) start(env *service.Env) {
	env.Consume(t.facts())
	for _, d := range []periodic.Duty{
		{Name: "accepting movements", Every: acceptEvery, RunOnce: t.acceptOnce},
		{Name: "tie-out of orders", Every: lookEvery, RunOnce: t.lookOnce},
		{Name: "tie-out of the ledger", Every: ledgerEvery, RunOnce: t.compareOnce},
		{Name: "proofs", Every: proofEvery, RunOnce: t.proveOnce},
		{Name: "payouts", Every: payoutEvery, RunOnce: t.payoutsOnce},
		{Name: "unexplained movements", Every: payoutEvery, RunOnce: t.explainOnce},
	} {
		d.Log = env.Log
		env.Go(d.Name, d.Run)
	}
}

// waitingIn tells how many events of the stream the consumer has not taken in.
func waitingIn(js jetstream.JetStream) func(context.Context) (uint64, error) {
	return func(ctx context.Context) (uint64, error) {
		consumer, err := js.Consumer(ctx, bus.Stream, factsConsumer)
		if err != nil {
			return 0, fmt.Errorf("asking how many events wait: %w", err)
		}
		info := consumer.CachedInfo()
		return info.NumPending + uint64(max(0, info.NumAckPending)), nil
	}
}
