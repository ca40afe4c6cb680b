package quota_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/bus/local"
	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/waittest"
)

type clock struct{ now time.Time }

func newQuotas(t *testing.T, cfg quota.Config) (*quota.Quotas, *clock) {
	t.Helper()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	q, err := quota.New(quota.Options{Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Set(cfg); err != nil {
		t.Fatal(err)
	}
	return q, c
}

// take takes as many calls as there are, up to 1000.
func take(t *testing.T, q *quota.Quotas, caller string, class shed.Class) (n int, refusal error) {
	t.Helper()
	for n = range 1000 {
		if err := q.Take(t.Context(), caller, class); err != nil {
			return n, err
		}
	}
	return 1000, nil
}

func TestTake_TellsTheLimitAndTheWait(t *testing.T) {
	t.Parallel()
	q, c := newQuotas(t, quota.Config{Rules: []quota.Rule{{Caller: "shop", Class: "new", Rate: 4, Burst: 8}}})
	n, refusal := take(t, q, "shop", shed.New)
	if n != 8 {
		t.Errorf("%d calls at once, want 8", n)
	}
	e := rpcerrtest.Want(t, refusal, rpcerr.QuotaExceeded, "caller:shop/class:new")
	if e.RetryAfter != 250*time.Millisecond {
		t.Errorf("told to wait %v, want 250ms", e.RetryAfter)
	}
	if want := "4 calls a second, 8 at once"; e.Fields[0].Description != want {
		t.Errorf("the limit is described as %q, want %q", e.Fields[0].Description, want)
	}
	c.now = c.now.Add(e.RetryAfter)
	if n, _ := take(t, q, "shop", shed.New); n != 1 {
		t.Errorf("after the wait there are %d, want 1", n)
	}
}

func TestTake_FollowsTheMostSpecialRule(t *testing.T) {
	t.Parallel()
	q, _ := newQuotas(t, quota.Config{
		Rules:  []quota.Rule{{Caller: "*", Class: "new", Rate: 5}, {Caller: "shop", Class: "new", Rate: 20}, {Caller: "payment", Class: "read", Rate: 7}},
		Exempt: []string{"payment"},
	})
	for _, c := range []struct {
		caller string
		class  shed.Class
		want   int
	}{
		{"shop", shed.New, 20}, {"another", shed.New, 5}, {"a third", shed.New, 5},
		{"shop", shed.Read, 1000}, {"payment", shed.New, 1000}, {"payment", shed.Read, 7}, {"*", shed.New, 5},
	} {
		if got, _ := take(t, q, c.caller, c.class); got != c.want {
			t.Errorf("%s may make %d calls of class %s, want %d", c.caller, got, c.class, c.want)
		}
	}
}

func TestSet_ReplacesTheRulesWhileTheyAreInUse(t *testing.T) {
	t.Parallel()
	rule := quota.Rule{Caller: "*", Class: "new", Rate: 10}
	q, c := newQuotas(t, quota.Config{Rules: []quota.Rule{rule}})
	if n, _ := take(t, q, "shop", shed.New); n != 10 {
		t.Fatalf("%d calls, want 10", n)
	}
	if err := q.Set(quota.Config{Rules: []quota.Rule{rule, {Caller: "*", Class: "read", Rate: 1}}}); err != nil {
		t.Fatal(err)
	}
	if n, _ := take(t, q, "shop", shed.New); n != 0 {
		t.Errorf("a rule that is as it was gave %d calls more", n)
	}
	rule.Rate = 50
	if err := q.Set(quota.Config{Rules: []quota.Rule{rule}}); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Second)
	if n, _ := take(t, q, "shop", shed.New); n != 50 {
		t.Errorf("a second later there are %d, want 50", n)
	}
	if err := q.Set(quota.Config{}); err != nil {
		t.Fatal(err)
	}
	if n, _ := take(t, q, "shop", shed.New); n != 1000 {
		t.Errorf("without a rule: %d", n)
	}
}

func TestSet_RefusesRulesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	good := quota.Rule{Caller: "shop", Class: "new", Rate: 10}
	for want, rules := range map[string][]quota.Rule{
		"rules[0]: class":         {{Caller: "shop", Class: "fast", Rate: 1}},
		"rules[0]: caller":        {{Class: "new", Rate: 1}},
		"rules[1]: rate":          {good, {Caller: "shop", Class: "read"}},
		"rules[1]: there is anot": {good, {Caller: "shop", Class: "new", Rate: 11}},
	} {
		q, _ := newQuotas(t, quota.Config{Rules: []quota.Rule{good}})
		if err := q.Set(quota.Config{Rules: rules}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if n, _ := take(t, q, "shop", shed.New); n != 10 {
			t.Errorf("after rules that were refused there are %d calls, want the 10 of before", n)
		}
	}
}

// TestExchange_SharesOverNATS has two replicas of one service, and one of another, on one NATS.
func TestExchange_SharesOverNATS(t *testing.T) {
	t.Parallel()
	server := bustest.Server(t)
	rule := quota.Config{Rules: []quota.Rule{{Caller: "*", Class: "new", Rate: 100, Burst: 100}}}
	first, _ := newQuotas(t, rule)
	second, _ := newQuotas(t, rule)
	other, _ := newQuotas(t, rule)
	run(t, server, first, "orchestrator")
	run(t, server, other, "inventory")
	stop := run(t, server, second, "orchestrator")
	callers := 0
	part := func(q *quota.Quotas) int { // what is given to one that is new
		callers++
		n, _ := take(t, q, strconv.Itoa(callers), shed.New)
		return n
	}
	waittest.Until(t, "each gives half of it", func() bool { return part(first) == 50 && part(second) == 50 })
	if got := part(other); got != 100 {
		t.Errorf("another service gives %d, want all of its own 100", got)
	}
	stop()
	waittest.Until(t, "the one that is left gives all of it", func() bool { return part(first) == 100 })
}

// run has quotas shared until the test ends, or it is told to stop.
func run(t *testing.T, server *local.Server, q *quota.Quotas, service string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	nc := bustest.Connect(t, server).Conn()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exchange := quota.Exchange{Quotas: q, NATS: nc, Service: service, Log: slog.New(slog.DiscardHandler)}
		if err := exchange.Run(ctx); err != nil {
			t.Errorf("sharing quotas: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}
