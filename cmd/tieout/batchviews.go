package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tieout/tieout/cmd/tieout/batching"
	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/money"
)

var batchView = output.View[*billingv1.Batch]{
	JSON: output.Message[*billingv1.Batch],
	Columns: []output.Column[*billingv1.Batch]{
		{Name: "batch_id", Value: (*billingv1.Batch).GetBatchId},
		{Name: "name", Value: func(b *billingv1.Batch) string { return b.GetHeader().GetName() }},
		{Name: "state", Value: func(b *billingv1.Batch) string { return enum(b.GetState(), batchStatePrefix) }},
		{Name: "items", Value: func(b *billingv1.Batch) string { return pieces(b.GetPlan().GetItems()) }},
		{Name: "sum", Value: func(b *billingv1.Batch) string { return amounts(b.GetPlan().GetSums()) }},
		{Name: "rejected", Value: func(b *billingv1.Batch) string { return pieces(b.GetPlan().GetRejected()) }},
		{Name: "duplicates", Value: func(b *billingv1.Batch) string { return pieces(b.GetPlan().GetDuplicates()) }},
		{Name: "succeeded", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetSucceeded()) }},
		{Name: "failed", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetFailed()) }},
		{Name: "unknown", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetUnknown()) }},
		{Name: "cancelled", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetCancelled()) }},
		{Name: "taken", Value: func(b *billingv1.Batch) string { return amounts(b.GetProgress().GetCollected()) }},
		{Name: "create_time", Value: func(b *billingv1.Batch) string { return instant(b.GetCreateTime()) }},
	},
	Fields: []output.Column[*billingv1.Batch]{
		{Name: "waiting", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetPlanned()) }},
		{Name: "under_way", Value: func(b *billingv1.Batch) string { return pieces(b.GetProgress().GetRunning()) }},
		{Name: "tried_again", Value: retrying},
		{Name: "series", Value: func(b *billingv1.Batch) string { return b.GetHeader().GetSeries() }},
		{Name: "provider_account", Value: func(b *billingv1.Batch) string { return b.GetHeader().GetProviderAccount() }},
		{Name: "cut_off_time", Value: func(b *billingv1.Batch) string { return instant(b.GetHeader().GetCutOffTime()) }},
		{Name: "dunning", Value: func(b *billingv1.Batch) string { return dunningText(b.GetHeader().GetDunning()) }},
		{Name: "repeats", Value: func(b *billingv1.Batch) string { return b.GetHeader().GetRepeatsBatchId() }},
		{Name: "control_hash", Value: func(b *billingv1.Batch) string { return b.GetPlan().GetHash() }},
		{Name: "created_by", Value: (*billingv1.Batch).GetCreatedBy},
		{Name: "started_by", Value: (*billingv1.Batch).GetStartedBy},
		{Name: "start_time", Value: func(b *billingv1.Batch) string { return instant(b.GetStartTime()) }},
		{Name: "end_time", Value: func(b *billingv1.Batch) string { return instant(b.GetEndTime()) }},
		{Name: "note", Value: (*billingv1.Batch).GetNote},
		{Name: "proof", Value: func(b *billingv1.Batch) string { return proofText(b.GetProof()) }},
		{Name: "outcome_hash", Value: func(b *billingv1.Batch) string { return b.GetProof().GetOutcomeHash() }},
		{Name: "compared_with", Value: func(b *billingv1.Batch) string { return varianceText(b.GetPlan().GetVariance()) }},
	},
	Sections: func(w io.Writer, b *billingv1.Batch) error {
		if err := output.Section(w, "Sums", sumColumns(b), b.GetPlan().GetSums()); err != nil {
			return err
		}
		if err := output.Section(w, "Rejected", rejectionCountColumns, b.GetPlan().GetRejections()); err != nil {
			return err
		}
		return output.Section(w, "More than the batch before", varianceColumns, b.GetPlan().GetVariance().GetSums())
	},
}

// sumColumns are a currency's planned items, and what of them was taken.
func sumColumns(b *billingv1.Batch) []output.Column[*billingv1.Sum] {
	taken := map[string]*billingv1.Sum{}
	for _, s := range b.GetProgress().GetCollected() {
		taken[s.GetAmount().GetCurrencyCode()] = s
	}
	return []output.Column[*billingv1.Sum]{
		{Name: "currency", Value: func(s *billingv1.Sum) string { return s.GetAmount().GetCurrencyCode() }},
		{Name: "items", Value: func(s *billingv1.Sum) string { return pieces(s.GetCount()) }},
		{Name: "sum", Value: func(s *billingv1.Sum) string { return amount(s.GetAmount()) }},
		{Name: "paid", Value: func(s *billingv1.Sum) string { return pieces(taken[s.GetAmount().GetCurrencyCode()].GetCount()) }},
		{Name: "taken", Value: func(s *billingv1.Sum) string { return amount(taken[s.GetAmount().GetCurrencyCode()].GetAmount()) }},
	}
}

var rejectionCountColumns = []output.Column[*billingv1.RejectionCount]{
	{Name: "reason", Value: (*billingv1.RejectionCount).GetReason},
	{Name: "rows", Value: func(r *billingv1.RejectionCount) string { return pieces(r.GetCount()) }},
}

var varianceColumns = []output.Column[*billingv1.Sum]{
	{Name: "items", Value: func(s *billingv1.Sum) string { return fmt.Sprintf("%+d", s.GetCount()) }},
	{Name: "sum", Value: func(s *billingv1.Sum) string { return amount(s.GetAmount()) }},
}

func varianceText(v *billingv1.Variance) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%s: %+d items, %d customers new, %d gone", v.GetBatchId(), v.GetItems(), v.GetCustomersNew(), v.GetCustomersGone())
}

func proofText(p *billingv1.BatchProof) string {
	switch {
	case p == nil:
		return ""
	case p.GetHolds():
		return fmt.Sprintf("holds: %d items, %s taken (%s)", p.GetItems(), amounts(p.GetCollected()), instant(p.GetProveTime()))
	}
	return "DOES NOT HOLD: " + p.GetDifference()
}

func retrying(b *billingv1.Batch) string {
	if n := b.GetProgress().GetRetrying(); n > 0 {
		return pieces(n)
	}
	return ""
}

func dunningText(p *billingv1.DunningPolicy) string {
	if p == nil {
		return ""
	}
	var days []string
	for _, d := range p.GetDelayDays() {
		days = append(days, strconv.Itoa(int(d)))
	}
	return fmt.Sprintf("after %s days each, up to day %d", strings.Join(days, ", "), p.GetGiveUpAfterDays())
}

var batchItemView = output.View[*billingv1.BatchItem]{
	JSON: output.Message[*billingv1.BatchItem],
	Columns: []output.Column[*billingv1.BatchItem]{
		{Name: "line", Value: func(i *billingv1.BatchItem) string { return pieces(i.GetLine()) }},
		{Name: "reference", Value: (*billingv1.BatchItem).GetReference},
		{Name: "customer_id", Value: (*billingv1.BatchItem).GetCustomerId},
		{Name: "amount", Value: func(i *billingv1.BatchItem) string {
			return money.Amount{Currency: money.Currency(i.GetAmount().GetCurrencyCode()), Minor: i.GetAmount().GetMinorUnits()}.Decimal()
		}},
		{Name: "currency", Value: func(i *billingv1.BatchItem) string { return i.GetAmount().GetCurrencyCode() }},
		{Name: "state", Value: func(i *billingv1.BatchItem) string { return enum(i.GetState(), itemStatePrefix) }},
		{Name: "payment_id", Value: (*billingv1.BatchItem).GetPaymentId},
		{Name: "reason", Value: (*billingv1.BatchItem).GetReason},
		{Name: "detail", Value: (*billingv1.BatchItem).GetDetail},
		{Name: "attempts", Value: func(i *billingv1.BatchItem) string { return strconv.Itoa(len(i.GetAttempts())) }},
		{Name: "retry_time", Value: func(i *billingv1.BatchItem) string { return instant(i.GetRetryTime()) }},
	},
}

var duplicateView = output.View[*billingv1.BatchDuplicate]{
	JSON: output.Message[*billingv1.BatchDuplicate],
	Columns: []output.Column[*billingv1.BatchDuplicate]{
		{Name: "line", Value: func(d *billingv1.BatchDuplicate) string { return pieces(d.GetLine()) }},
		{Name: "reference", Value: (*billingv1.BatchDuplicate).GetReference},
		{Name: "earlier_batch_id", Value: (*billingv1.BatchDuplicate).GetEarlierBatchId},
		{Name: "earlier_state", Value: func(d *billingv1.BatchDuplicate) string { return enum(d.GetEarlierState(), itemStatePrefix) }},
		{Name: "earlier_amount", Value: func(d *billingv1.BatchDuplicate) string { return amount(d.GetEarlierAmount()) }},
	},
}

// rejectionView is what paymentfile.RejectionWriter writes, in the other formats.
var rejectionView = output.View[*billingv1.BatchRejection]{
	JSON: output.Message[*billingv1.BatchRejection],
	Columns: []output.Column[*billingv1.BatchRejection]{
		{Name: "line", Value: func(r *billingv1.BatchRejection) string { return pieces(r.GetLine()) }},
		{Name: "field", Value: (*billingv1.BatchRejection).GetField},
		{Name: "reason", Value: (*billingv1.BatchRejection).GetReason},
		{Name: "message", Value: (*billingv1.BatchRejection).GetMessage},
		{Name: "row", Value: (*billingv1.BatchRejection).GetRaw},
	},
}

var batchSummaryView = output.View[batching.Summary]{
	JSON: output.Value[batching.Summary],
	Columns: []output.Column[batching.Summary]{
		{Name: "batch_id", Value: func(s batching.Summary) string { return s.BatchID }},
		{Name: "items", Value: func(s batching.Summary) string { return pieces(s.Items) }},
		{Name: "succeeded", Value: func(s batching.Summary) string { return pieces(s.Succeeded) }},
		{Name: "failed", Value: func(s batching.Summary) string { return pieces(s.Failed) }},
		{Name: "unknown", Value: func(s batching.Summary) string { return pieces(s.Unknown) }},
		{Name: "cancelled", Value: func(s batching.Summary) string { return pieces(s.Cancelled) }},
		{Name: "rejected", Value: func(s batching.Summary) string { return pieces(s.Rejected) }},
		{Name: "planned", Value: func(s batching.Summary) string { return minorAmounts(s.PlannedMinor) }},
		{Name: "taken", Value: func(s batching.Summary) string { return minorAmounts(s.SumMinor) }},
		{Name: "duration_s", Value: func(s batching.Summary) string { return decimal(s.DurationS) }},
		{Name: "rate_per_s", Value: func(s batching.Summary) string { return decimal(s.RatePerS) }},
		{Name: "proven", Value: func(s batching.Summary) string { return strconv.FormatBool(s.Proven) }},
		{Name: "difference", Value: func(s batching.Summary) string { return s.Difference }},
	},
}

func minorAmounts(byCurrency map[string]int64) string {
	var texts []string
	for _, currency := range slices.Sorted(maps.Keys(byCurrency)) {
		texts = append(texts, money.Amount{Currency: money.Currency(currency), Minor: byCurrency[currency]}.String())
	}
	return strings.Join(texts, ", ")
}
