package billing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct{ q *billingdb.Queries }

func newStore(db billingdb.DBTX) store { return store{billingdb.New(db)} }

// plan is what an upload comes to.
type plan struct {
	id         BatchID
	hash       []byte
	items      int64
	rejected   int64
	duplicates int64
	sums       []sum
	variance   *variance
}

func (s store) beginUpload(ctx context.Context, bid BatchID, h header, by string, from origin) error {
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encoding header: %w", err)
	}
	p := billingdb.BeginUploadParams{
		ID: bid.UUID(), Name: h.Name, Series: h.Series, Header: text, ProviderAccount: h.Account, CutOffAt: h.CutOffAt,
		CreatedBy: by, Origin: int16(from), LeaseSeconds: uploadLease.Seconds(),
	}
	if earlier, err := id.Parse[batchKind](h.Repeats); err == nil {
		u := earlier.UUID()
		p.Repeats = &u
	}
	if err := s.q.BeginUpload(ctx, p); err != nil {
		return fmt.Errorf("beginning upload: %w", err)
	}
	return nil
}

// renewUpload tells whether the upload is still there.
func (s store) renewUpload(ctx context.Context, bid BatchID) (bool, error) {
	n, err := s.q.RenewUpload(ctx, billingdb.RenewUploadParams{ID: bid.UUID(), LeaseSeconds: uploadLease.Seconds()})
	if err != nil {
		return false, fmt.Errorf("renewing upload: %w", err)
	}
	return n == 1, nil
}

// insertItems writes payments as items. It gives the lines that became some, and where the references of the others
// stand for the first time.
func (s store) insertItems(ctx context.Context, bid BatchID, payments []paymentfile.Payment) (became map[int64]bool, first map[string]int64, err error) {
	p := billingdb.InsertItemsParams{BatchID: bid.UUID()}
	for _, r := range payments {
		p.Lines, p.Refs = append(p.Lines, int64(r.Line)), append(p.Refs, r.Reference)
		p.CustomerIds, p.PaymentMethods = append(p.CustomerIds, r.CustomerID), append(p.PaymentMethods, r.PaymentMethod)
		p.Currencies, p.AmountsMinor = append(p.Currencies, string(r.Amount.Currency)), append(p.AmountsMinor, r.Amount.Minor)
		p.Descriptions, p.CardSchemes = append(p.Descriptions, r.Description), append(p.CardSchemes, r.CardScheme)
	}
	lines, err := s.q.InsertItems(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("writing items: %w", err)
	}
	became = make(map[int64]bool, len(lines))
	for _, line := range lines {
		became[line] = true
	}
	if len(lines) == len(payments) {
		return became, nil, nil
	}
	var double []string
	for _, r := range payments {
		if !became[int64(r.Line)] {
			double = append(double, r.Reference)
		}
	}
	rows, err := s.q.LinesOfReferences(ctx, billingdb.LinesOfReferencesParams{BatchID: bid.UUID(), Refs: double})
	if err != nil {
		return nil, nil, fmt.Errorf("looking for references: %w", err)
	}
	first = make(map[string]int64, len(rows))
	for _, r := range rows {
		first[r.Reference] = r.Line
	}
	return became, first, nil
}

func (s store) insertRejections(ctx context.Context, bid BatchID, rejections []rejection) error {
	p := billingdb.InsertRejectionsParams{BatchID: bid.UUID()}
	for _, r := range rejections {
		p.Lines, p.Fields, p.Reasons = append(p.Lines, r.line), append(p.Fields, r.field), append(p.Reasons, r.reason)
		p.Messages, p.Raws = append(p.Messages, r.message), append(p.Raws, r.raw)
	}
	if err := s.q.InsertRejections(ctx, p); err != nil {
		return fmt.Errorf("writing rejections: %w", err)
	}
	return nil
}

func (s store) insertSums(ctx context.Context, bid BatchID, sums []sum) error {
	p := billingdb.InsertSumsParams{BatchID: bid.UUID()}
	for _, t := range sums {
		p.Currencies, p.Items = append(p.Currencies, string(t.Currency)), append(p.Items, t.Items)
		p.SumsMinor = append(p.SumsMinor, t.Minor)
	}
	if err := s.q.InsertSums(ctx, p); err != nil {
		return fmt.Errorf("writing sums: %w", err)
	}
	return nil
}

// variance compares a plan with the last batch of its series; nil when there is none.
func (s store) variance(ctx context.Context, series string, p plan) (*variance, error) {
	if series == "" {
		return nil, nil //nolint:nilnil // no series, nothing to compare with
	}
	last, err := s.q.LastOfSeries(ctx, billingdb.LastOfSeriesParams{Series: series, Before: p.id.UUID()})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil //nolint:nilnil // the first one
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the last batch of the series: %w", err)
	}
	customers, err := s.q.CompareCustomers(ctx, billingdb.CompareCustomersParams{BatchID: p.id.UUID(), Earlier: last.ID})
	if err != nil {
		return nil, fmt.Errorf("comparing customers: %w", err)
	}
	earlier, err := s.q.ListSums(ctx, []uuid.UUID{last.ID})
	if err != nil {
		return nil, fmt.Errorf("reading sums: %w", err)
	}
	v := &variance{
		Earlier: BatchID(last.ID), Items: p.items - last.Items, CustomersNew: customers.CustomersNew, CustomersGone: customers.CustomersGone,
	}
	v.Sums = append(v.Sums, p.sums...)
	for _, e := range earlier {
		v.less(sum{e.Items, money.Amount{Currency: money.Currency(e.Currency), Minor: e.SumMinor}})
	}
	return v, nil
}

// less takes what an earlier batch came to from the sums.
func (v *variance) less(e sum) {
	for i := range v.Sums {
		if t := &v.Sums[i]; t.Currency == e.Currency { // both are positive: it fits
			t.Items, t.Minor = t.Items-e.Items, t.Minor-e.Minor
			return
		}
	}
	v.Sums = append(v.Sums, sum{-e.Items, money.Amount{Currency: e.Currency, Minor: -e.Minor}})
}

func (s store) lockContent(ctx context.Context, hash []byte) error {
	if err := s.q.LockContent(ctx, hash); err != nil {
		return fmt.Errorf("locking content: %w", err)
	}
	return nil
}

func (s store) batchOfContent(ctx context.Context, hash []byte) (bid BatchID, found bool, err error) {
	row, err := s.q.BatchOfContent(ctx, hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return bid, false, nil
	}
	if err != nil {
		return bid, false, fmt.Errorf("looking for the content: %w", err)
	}
	return BatchID(row), true, nil
}

// plan makes a batch of an upload.
func (s store) plan(ctx context.Context, p plan) error {
	var text json.RawMessage
	if p.variance != nil {
		var err error
		if text, err = json.Marshal(p.variance); err != nil {
			return fmt.Errorf("encoding variance: %w", err)
		}
	}
	n, err := s.q.Plan(ctx, billingdb.PlanParams{
		ID: p.id.UUID(), PlanHash: p.hash, Items: p.items, Rejected: p.rejected, Duplicates: p.duplicates, Variance: text,
	})
	if err != nil {
		return fmt.Errorf("writing plan: %w", err)
	}
	if n == 0 {
		return errSwept
	}
	return nil
}

// lock holds a batch to the end of the transaction.
func (s store) lock(ctx context.Context, bid BatchID) (*batch, error) {
	row, err := s.q.LockBatch(ctx, bid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noBatch(bid)
	}
	if err != nil {
		return nil, fmt.Errorf("locking batch: %w", err)
	}
	return batchOf(billingdb.GetBatchRow(row))
}

func (s store) batch(ctx context.Context, bid BatchID) (*batch, error) {
	row, err := s.q.GetBatch(ctx, bid.UUID())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noBatch(bid)
	}
	if err != nil {
		return nil, fmt.Errorf("reading batch: %w", err)
	}
	return batchOf(row)
}

func (s store) batches(ctx context.Context, before BatchID, n int32) ([]*batch, error) {
	rows, err := s.q.ListBatches(ctx, billingdb.ListBatchesParams{Before: before.UUID(), N: n})
	if err != nil {
		return nil, fmt.Errorf("listing batches: %w", err)
	}
	all := make([]*batch, len(rows))
	for i, row := range rows {
		if all[i], err = batchOf(billingdb.GetBatchRow(row)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func batchOf(row billingdb.GetBatchRow) (*batch, error) {
	b := &batch{
		id: BatchID(row.ID), state: batchState(row.State), planHash: row.PlanHash, items: row.Items, rejected: row.Rejected,
		duplicates: row.Duplicates, planned: row.Planned, running: row.Running, succeeded: row.Succeeded, failed: row.Failed,
		unknown: row.Unknown, cancelled: row.Cancelled, createdBy: row.CreatedBy, startedBy: row.StartedBy, note: row.Note, retrying: row.Retrying,
		createdAt: row.CreatedAt, startedAt: timeOf(row.StartedAt), cancelledAt: timeOf(row.CancelledAt), endedAt: timeOf(row.EndedAt),
	}
	err := json.Unmarshal(row.Header, &b.header)
	if err == nil && row.Variance != nil {
		err = json.Unmarshal(row.Variance, &b.variance)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding batch %s: %w", b.id, err)
	}
	return b, nil
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// complete reads what belongs to batches and is in other tables.
func (s store) complete(ctx context.Context, batches ...*batch) error {
	ids, byID := make([]uuid.UUID, len(batches)), make(map[uuid.UUID]*batch, len(batches))
	for i, b := range batches {
		ids[i], byID[b.id.UUID()] = b.id.UUID(), b
	}
	sums, err := s.q.ListSums(ctx, ids)
	if err != nil {
		return fmt.Errorf("reading sums: %w", err)
	}
	for _, r := range sums {
		c, b := money.Currency(r.Currency), byID[r.BatchID]
		b.sums = append(b.sums, collection{
			sum{r.Items, money.Amount{Currency: c, Minor: r.SumMinor}}, sum{r.CollectedItems, money.Amount{Currency: c, Minor: r.CollectedMinor}},
		})
	}
	rejections, err := s.q.CountRejections(ctx, ids)
	if err != nil {
		return fmt.Errorf("counting rejections: %w", err)
	}
	for _, r := range rejections {
		b := byID[r.BatchID]
		b.rejections = append(b.rejections, rejectionCount{r.Reason, r.Rows})
	}
	proofs, err := s.q.LastProofs(ctx, ids)
	if err != nil {
		return fmt.Errorf("reading proofs: %w", err)
	}
	for _, r := range proofs {
		p := &proof{provenAt: r.ProvenAt, items: r.Items, planHash: r.PlanHash, outcomeHash: r.OutcomeHash, difference: r.Difference}
		if err := json.Unmarshal(r.Collected, &p.collected); err != nil {
			return fmt.Errorf("decoding proof: %w", err)
		}
		byID[r.BatchID].proof = p
	}
	return nil
}

func (s store) insertAction(ctx context.Context, actor, verb, target, reason string) error {
	err := s.q.InsertAction(ctx, billingdb.InsertActionParams{
		ID: uuid.Must(uuid.NewV7()), Actor: actor, Verb: verb, Target: target, Reason: reason,
	})
	if err != nil {
		return fmt.Errorf("writing audit row: %w", err)
	}
	return nil
}
