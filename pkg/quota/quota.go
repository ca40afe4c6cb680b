package quota

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/time/rate"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/shed"
)

// maxBuckets bounds the memory: about 300 bytes a bucket.
const maxBuckets = 20_000

// crowd is the caller that all are for whom there is no bucket of their own any more; no caller has this name.
const crowd = ""

// key is whose bucket it is.
type key struct {
	caller string
	class  shed.Class
}

// Quotas are the buckets of a process.
type Quotas struct {
	now     func() time.Time
	refused metric.Int64Counter

	mu      sync.Mutex
	rules   map[key]Rule
	exempt  []string
	buckets map[key]*bucket
	peers   peers
	ticked  time.Time
}

// bucket is what a caller may still ask for here.
type bucket struct {
	rule    Rule
	limiter *rate.Limiter
	asked   int     // since the last tick
	demand  float64 // calls a second, as of late, whether they were refused or not
}

// Options are what quotas are made of. The zero value is usable.
type Options struct {
	// Now is the clock. Default: the time.
	Now func() time.Time
	// Meter counts what is refused. Default: nobody is told.
	Meter metric.Meter
}

// New makes quotas without a rule.
func New(opts Options) (*Quotas, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Meter == nil {
		opts.Meter = noop.Meter{}
	}
	q := &Quotas{now: opts.Now, buckets: map[key]*bucket{}, peers: peers{}, ticked: opts.Now()}
	return q, q.observe(opts.Meter)
}

// Set replaces the rules. Buckets whose rule is the same stay as they are.
func (q *Quotas) Set(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	rules := map[key]Rule{}
	for _, r := range cfg.Rules {
		class, _ := shed.ParseClass(r.Class)
		rules[key{r.Caller, class}] = r
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rules, q.exempt = rules, slices.Clone(cfg.Exempt)
	now := q.now()
	for k, b := range q.buckets {
		r, ok := q.ruleOf(k)
		switch {
		case !ok:
			delete(q.buckets, k)
		case r != b.rule:
			b.rule = r
			q.allot(now, k, b)
		}
	}
	return nil
}

// ruleOf gives the rule of a bucket. It needs mu.
func (q *Quotas) ruleOf(k key) (Rule, bool) {
	if r, ok := q.rules[k]; ok && k.caller != Everybody {
		return r, true
	}
	if slices.Contains(q.exempt, k.caller) {
		return Rule{}, false
	}
	r, ok := q.rules[key{Everybody, k.class}]
	return r, ok
}

// Take takes a call of a caller out of its quota. QUOTA_EXCEEDED when there is nothing left, with the time until there is
// something again.
func (q *Quotas) Take(ctx context.Context, caller string, class shed.Class) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rules) == 0 {
		return nil
	}
	b := q.bucket(key{caller, class})
	if b == nil {
		return nil
	}
	b.asked++
	now := q.now()
	if b.limiter.AllowN(now, 1) {
		return nil
	}
	q.refused.Add(ctx, 1, metric.WithAttributes(attribute.String("class", class.String())))
	e := rpcerr.ForField(rpcerr.QuotaExceeded, b.rule.subject(caller), "%s", b.rule)
	e.RetryAfter = max(time.Millisecond, time.Duration((1-b.limiter.TokensAt(now))/float64(b.limiter.Limit())*float64(time.Second)))
	return e
}

// bucket gives the bucket of a caller; nil when there is no rule for it. It needs mu.
func (q *Quotas) bucket(k key) *bucket {
	if b := q.buckets[k]; b != nil {
		return b
	}
	r, ok := q.ruleOf(k)
	if !ok {
		return nil
	}
	if len(q.buckets) >= maxBuckets && k.caller != crowd {
		return q.bucket(key{crowd, k.class})
	}
	b := &bucket{rule: r}
	q.buckets[k] = b
	part := q.peers.share(k, 0)
	b.limiter = rate.NewLimiter(rate.Limit(part*r.Rate), atLeastOne(part*r.burst()))
	return b
}

// allot gives a bucket its part of the quota. It needs mu.
func (q *Quotas) allot(now time.Time, k key, b *bucket) {
	part := q.peers.share(k, b.demand)
	b.limiter.SetLimitAt(now, rate.Limit(part*b.rule.Rate))
	b.limiter.SetBurstAt(now, atLeastOne(part*b.rule.burst()))
}

// atLeastOne is a burst in whole calls: with less than one nothing ever got through.
func atLeastOne(burst float64) int { return max(1, int(burst+0.5)) }

// observe makes the instruments.
func (q *Quotas) observe(m metric.Meter) (err error) {
	q.refused, err = m.Int64Counter("tieout.quota.refused", metric.WithDescription("Calls refused because their caller has used up its quota, by class."))
	if err != nil {
		return fmt.Errorf("making metrics of quotas: %w", err)
	}
	for c := shed.Finish; c <= shed.Batch; c++ {
		q.refused.Add(context.Background(), 0, metric.WithAttributes(attribute.String("class", c.String())))
	}
	for name, of := range map[string]struct {
		what  string
		value func() int
	}{
		"tieout.quota.buckets":  {"Callers, by class, that quotas are kept of.", func() int { return len(q.buckets) }},
		"tieout.quota.replicas": {"Replicas that share the quotas, as this one sees it.", func() int { return 1 + len(q.peers) }},
	} {
		_, err := m.Int64ObservableGauge(name, metric.WithDescription(of.what),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				q.mu.Lock()
				defer q.mu.Unlock()
				o.Observe(int64(of.value()))
				return nil
			}))
		if err != nil {
			return fmt.Errorf("making metrics of quotas: %w", err)
		}
	}
	return nil
}
