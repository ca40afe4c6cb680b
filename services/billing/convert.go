package billing

import (
	"cmp"
	"encoding/hex"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/calendar"
)

var batchStates = map[batchState]billingv1.BatchState{
	batchPlanned:   billingv1.BatchState_BATCH_STATE_PLANNED,
	batchRunning:   billingv1.BatchState_BATCH_STATE_RUNNING,
	batchPaused:    billingv1.BatchState_BATCH_STATE_PAUSED,
	batchFinished:  billingv1.BatchState_BATCH_STATE_FINISHED,
	batchCancelled: billingv1.BatchState_BATCH_STATE_CANCELLED,
}

// The numbers of item states and file formats are those of the contract.
func itemStateToProto(s itemState) billingv1.ItemState { return billingv1.ItemState(s) }

func amountToProto(a money.Amount) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

func sumToProto(s sum) *billingv1.Sum {
	return &billingv1.Sum{Count: s.Items, Amount: amountToProto(s.Amount)}
}

func sumsToProto(sums []sum) []*billingv1.Sum {
	out := make([]*billingv1.Sum, len(sums))
	for i, s := range sums {
		out[i] = sumToProto(s)
	}
	return out
}

func optionalTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// headerFromProto reads a header. A time of day that is none is refused.
func headerFromProto(h *billingv1.BatchHeader) (header, error) {
	out := header{
		Name: h.GetName(), Series: h.GetSeries(), Format: int32(h.GetFormat()), Columns: h.GetColumns(), Account: h.GetProviderAccount(),
		Repeats: h.GetRepeatsBatchId(),
	}
	if out.Account == "" {
		out.Account = defaultAccount
	}
	if h.GetCutOffTime() != nil {
		at := h.GetCutOffTime().AsTime()
		out.CutOffAt = &at
	}
	if h.GetDunning() == nil {
		return out, nil
	}
	p, err := policyFromProto(h.GetDunning(), "header.dunning.", "UTC")
	out.Dunning = &p
	return out, err
}

// policyFromProto reads a policy, which stands at a path in the request. Its times are those of a zone where it names none.
func policyFromProto(d *billingv1.DunningPolicy, path, zone string) (policy, error) {
	p := policy{LastDay: int(d.GetGiveUpAfterDays()), Zone: cmp.Or(d.GetTimeZone(), zone), BusinessDays: d.GetBusinessDaysOnly()}
	for _, days := range d.GetDelayDays() {
		p.Delays = append(p.Delays, int(days))
	}
	var err error
	if p.From, err = calendar.ParseTimeOfDay(cmp.Or(d.GetEarliestTime(), "00:00")); err != nil {
		return p, rpcerr.ForField(rpcerr.RequestInvalid, path+"earliest_time", "%v", err)
	}
	if p.To, err = calendar.ParseTimeOfDay(cmp.Or(d.GetLatestTime(), "00:00")); err != nil {
		return p, rpcerr.ForField(rpcerr.RequestInvalid, path+"latest_time", "%v", err)
	}
	return p, nil
}

func policyToProto(p policy) *billingv1.DunningPolicy {
	out := &billingv1.DunningPolicy{
		GiveUpAfterDays: int32(p.LastDay), TimeZone: p.Zone, EarliestTime: p.From.String(), LatestTime: p.To.String(), BusinessDaysOnly: p.BusinessDays,
	}
	for _, days := range p.Delays {
		out.DelayDays = append(out.DelayDays, int32(days))
	}
	return out
}

func headerToProto(h header) *billingv1.BatchHeader {
	out := &billingv1.BatchHeader{
		Name: h.Name, Series: h.Series, Format: billingv1.FileFormat(h.Format), Columns: h.Columns, ProviderAccount: h.Account,
		RepeatsBatchId: h.Repeats,
	}
	if h.CutOffAt != nil {
		out.CutOffTime = timestamppb.New(*h.CutOffAt)
	}
	if h.Dunning != nil {
		out.Dunning = policyToProto(*h.Dunning)
	}
	return out
}

func batchToProto(b *batch) *billingv1.Batch {
	out := &billingv1.Batch{
		BatchId: b.id.String(), State: batchStates[b.state], Header: headerToProto(b.header), Plan: planToProto(b),
		Progress: &billingv1.BatchProgress{
			Planned: b.planned, Running: b.running, Succeeded: b.succeeded, Failed: b.failed, Unknown: b.unknown, Cancelled: b.cancelled,
			Retrying: b.retrying,
		},
		CreatedBy: b.createdBy, CreateTime: timestamppb.New(b.createdAt), StartedBy: b.startedBy, StartTime: optionalTime(b.startedAt),
		EndTime: optionalTime(b.endedAt), Note: b.note,
	}
	for _, s := range b.sums {
		out.Progress.Collected = append(out.Progress.Collected, sumToProto(s.collected))
	}
	if p := b.proof; p != nil {
		out.Proof = &billingv1.BatchProof{
			ProveTime: timestamppb.New(p.provenAt), Items: p.items, PlanHash: hex.EncodeToString(p.planHash),
			OutcomeHash: hex.EncodeToString(p.outcomeHash), Collected: sumsToProto(p.collected), Holds: p.difference == "", Difference: p.difference,
		}
	}
	return out
}

func planToProto(b *batch) *billingv1.BatchPlan {
	out := &billingv1.BatchPlan{Items: b.items, Rejected: b.rejected, Duplicates: b.duplicates, Hash: hex.EncodeToString(b.planHash)}
	for _, s := range b.sums {
		out.Sums = append(out.Sums, sumToProto(s.planned))
	}
	for _, r := range b.rejections {
		out.Rejections = append(out.Rejections, &billingv1.RejectionCount{Reason: r.reason, Count: r.rows})
	}
	if v := b.variance; v != nil {
		out.Variance = &billingv1.Variance{
			BatchId: v.Earlier.String(), Items: v.Items, Sums: sumsToProto(v.Sums), CustomersNew: v.CustomersNew, CustomersGone: v.CustomersGone,
		}
	}
	return out
}

func itemToProto(i *item) *billingv1.BatchItem {
	out := &billingv1.BatchItem{
		Line: i.line, Reference: i.reference, CustomerId: i.customerID, PaymentMethod: i.paymentMethod, Amount: amountToProto(i.amount),
		Description: i.description, CardScheme: i.cardScheme, State: itemStateToProto(i.state), Reason: i.reason, Detail: i.detail,
		PaymentId: i.paymentID, RetryTime: optionalTime(i.retryAt),
	}
	for _, a := range i.earlier {
		out.Attempts = append(out.Attempts, attemptToProto(a, itemFailed))
	}
	if i.state != itemPlanned && i.state != itemCancelled {
		out.Attempts = append(out.Attempts, attemptToProto(i.attempt, i.state))
	}
	return out
}

func attemptToProto(a attempt, state itemState) *billingv1.ItemAttempt {
	out := &billingv1.ItemAttempt{
		Number: a.number, State: itemStateToProto(state), StartTime: optionalTime(a.begunAt), EndTime: optionalTime(a.knownAt),
		PaymentId: a.paymentID, Reason: a.reason,
	}
	if a.sagaID != nil {
		out.SagaId = sagaText(*a.sagaID)
	}
	return out
}

func sagaText(u uuid.UUID) string { return id.ID[sagaKind](u).String() }

func rejectionToProto(r rejection) *billingv1.BatchRejection {
	return &billingv1.BatchRejection{Line: r.line, Field: r.field, Reason: r.reason, Message: r.message, Raw: r.raw}
}

func duplicateToProto(r billingdb.ListDuplicatesRow) *billingv1.BatchDuplicate {
	return &billingv1.BatchDuplicate{
		Line: r.Line, Reference: r.Reference, EarlierBatchId: BatchID(r.BatchID).String(), EarlierState: itemStateToProto(itemState(r.State)),
		EarlierAmount: amountToProto(money.Amount{Currency: money.Currency(r.Currency), Minor: r.AmountMinor}),
	}
}

func limitToProto(l limit) *billingv1.ProviderLimit {
	return &billingv1.ProviderLimit{
		Account: l.Account, RatePerSecond: l.Rate, Concurrency: l.Concurrency, SetBy: l.SetBy, Reason: l.Reason, UpdateTime: timestamppb.New(l.UpdatedAt),
	}
}
