package metrics

import (
	"testing"

	"github.com/tieout/tieout/pkg/waittest"
)

// of adds up the series of a metric that have all of these labels.
func of(all map[string]*family, name string, labels ...string) (sum float64) {
	f := all[name]
	if f == nil {
		return -1
	}
	for _, s := range f.series {
		matches := true
		for i := 0; i < len(labels); i += 2 {
			matches = matches && s.labels[labels[i]] == labels[i+1]
		}
		if matches && (s.name == name || s.name == name+"_count") {
			sum += s.value
		}
	}
	return sum
}

// wantTold wants the metrics to say what one load has brought about: seven orders over gRPC and one over REST.
func wantTold(t *testing.T, all map[string]*family) {
	for _, m := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{7*510 + 255, "tieout_saga_money_total", []string{"definition", "order", "outcome", "accepted"}},
		{3*510 + 255, "tieout_saga_money_total", []string{"definition", "order", "outcome", "completed"}},
		{4, "tieout_saga_duration_seconds", []string{"definition", "order", "outcome", "completed"}},
		{2, "tieout_saga_duration_seconds", []string{"definition", "order", "outcome", "compensated"}},
		{1, "tieout_saga_duration_seconds", []string{"definition", "order", "outcome", "parked"}},
		{1, "tieout_saga_step_duration_seconds", []string{"definition", "order", "step", "authorize", "outcome", "refused"}},
		{1, "tieout_saga_step_duration_seconds", []string{"definition", "order", "step", "authorize", "kind", "compensate"}},
		{1, "tieout_saga_live", []string{"definition", "order"}},
		{1, "tieout_saga_in_doubt", []string{"definition", "order"}},
		{510, "tieout_saga_money_held", []string{"currency", "GBP"}},
		{1, "tieout_saga_parked", []string{"definition", "order"}},
		{510, "tieout_money_in_limbo", []string{"why", "parked", "currency", "GBP", "age", "below 1m"}},
		{510, "tieout_money_in_limbo", []string{"why", "in_doubt", "currency", "GBP"}},
		{1, "tieout_payment_in_doubt", nil},
		{1, "tieout_billing_batches", []string{"state", "paused"}},
		{0, "tieout_billing_batches_late", nil},
		{1500, "tieout_billing_batch_items", nil},
		{1, "tieout_billing_proofs_total", []string{"holds", "true"}},
		{1, "tieout_reconciliation_files_total", []string{"state", "accepted"}},
		{64, "tieout_saga_shards", nil},
		{1, "tieout_nats_connected", nil},
		{0, "tieout_invariant_failures_total", nil},
	} {
		if got := of(all, m.name, m.labels...); got != m.want {
			t.Errorf("%s %v: got %g, want %g", m.name, m.labels, got, m.want)
		}
	}
	for _, name := range []string{
		"tieout_saga_age_seconds", "tieout_saga_parked_age_seconds", "tieout_billing_batch_age_seconds", "tieout_payment_in_doubt_age_seconds",
		"tieout_reconciliation_run_age_seconds", "tieout_reconciliation_break_age_seconds", "tieout_reconciliation_breaks",
		"tieout_reconciliation_breaks_money", "tieout_cache_fallbacks_total",
	} {
		if got := of(all, name); got <= 0 {
			t.Errorf("%s: got %g, want more than nothing", name, got)
		}
	}
}

// wantAges has what waits grow old, and wants that told.
func (s *system) wantAges(t *testing.T) {
	for service, statement := range map[string]string{
		"orchestrator":   `UPDATE saga SET updated_at = now() - interval '2 hours' WHERE phase = 5`,
		"reconciliation": `UPDATE break SET opened_at = now() - interval '2 days' WHERE state <> 5`,
		"billing":        `UPDATE batch SET started_at = now() - interval '2 days', cut_off_at = now() + interval '59 minutes' WHERE state = 3`,
	} {
		if _, err := s.world.Pool[service].Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	waittest.Until(t, "money is in doubt for hours, although it is asked about again and again", func() bool {
		_, err := s.world.Pool["payment"].Exec(t.Context(), `
UPDATE operation SET calls = (SELECT jsonb_agg(jsonb_set(c, '{at}', to_jsonb(now() - interval '2 hours'))) FROM jsonb_array_elements(calls) c)
 WHERE state = 3`)
		if err != nil {
			t.Fatal(err)
		}
		all := s.scrape(t)
		return of(all, "tieout_money_in_limbo", "why", "in_doubt", "age", "below 1d") == 510 && of(all, "tieout_payment_in_doubt_age_seconds") > 7200
	})
	all := s.scrape(t)
	if n := of(all, "tieout_money_in_limbo", "why", "parked", "age", "below 1d"); n != 510 {
		t.Errorf("got %g parked for hours, want 510", n)
	}
	if n := of(all, "tieout_saga_parked_age_seconds", "definition", "order"); n < 7200 || n > 7300 {
		t.Errorf("the oldest is parked since %g s", n)
	}
	if n, m := of(all, "tieout_reconciliation_breaks", "age", "1d and more"), of(all, "tieout_reconciliation_breaks"); n != m {
		t.Errorf("got %g breaks that are old, of %g", n, m)
	}
	for _, why := range []string{"cut_off", "day"} {
		if n := of(all, "tieout_billing_batches_late", "why", why); n != 1 {
			t.Errorf("got %g batches late by %s, want 1", n, why)
		}
	}
}
