package batching

import (
	"math"
	"time"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// Summary is what came of a batch.
type Summary struct {
	BatchID string `json:"batch_id"`
	// Items are the rows of the file that are payments; Rejected are those that are not.
	Items    int64 `json:"items"`
	Rejected int64 `json:"rejected"`
	// Each item is one of these: the money was taken, or not, or a person has to find out, or it was never started.
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Unknown   int64 `json:"unknown"`
	Cancelled int64 `json:"cancelled"`
	// DurationS is how long it took, in seconds, and RatePerS how many items came to an outcome in one of them.
	DurationS float64 `json:"duration_s"`
	RatePerS  float64 `json:"rate_per_s"`
	// SumMinor is what was taken and PlannedMinor what was to be taken, in minor units by currency.
	SumMinor     map[string]int64 `json:"sum_minor"`
	PlannedMinor map[string]int64 `json:"planned_minor"`
	// Proven tells whether the items, added up again, are what the plan and the counters say; Difference says what is not.
	Proven     bool   `json:"proven"`
	Difference string `json:"difference,omitempty"`
}

// Summarize gives what came of a batch that took that long.
func Summarize(b *billingv1.Batch, took time.Duration) Summary {
	p := b.GetProgress()
	s := Summary{
		BatchID: b.GetBatchId(), Items: b.GetPlan().GetItems(), Rejected: b.GetPlan().GetRejected(),
		Succeeded: p.GetSucceeded(), Failed: p.GetFailed(), Unknown: p.GetUnknown(), Cancelled: p.GetCancelled(),
		DurationS: thousandths(took.Seconds()), SumMinor: minor(p.GetCollected()), PlannedMinor: minor(b.GetPlan().GetSums()),
		Proven: b.GetProof().GetHolds(), Difference: b.GetProof().GetDifference(),
	}
	if took > 0 {
		s.RatePerS = thousandths(float64(Known(p)) / took.Seconds())
	}
	return s
}

// Known is how many items of a batch have come to an outcome, or are in doubt.
func Known(p *billingv1.BatchProgress) int64 {
	return p.GetSucceeded() + p.GetFailed() + p.GetUnknown()
}

// All tells whether every row of the file was paid.
func (s Summary) All() bool { return s.Succeeded == s.Items && s.Rejected == 0 }

func minor(sums []*billingv1.Sum) map[string]int64 {
	all := map[string]int64{}
	for _, sum := range sums {
		all[sum.GetAmount().GetCurrencyCode()] = sum.GetAmount().GetMinorUnits()
	}
	return all
}

func thousandths(x float64) float64 { return math.Round(x*1000) / 1000 }
