package billing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rowfile"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/billingdb"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

const (
	methodUpload = "UploadBatch"
	// uploadPiece is how many rows are written at once.
	uploadPiece = 2000
	// uploadLease is how long an upload may say nothing before its rows are removed.
	uploadLease = 10 * time.Minute
)

// errSwept says that an upload took so long that its rows were removed.
var errSwept = errors.New("the upload was removed, for it said nothing for too long")

// upload is a file on its way into the database.
type upload struct {
	billing *billing
	id      BatchID
	header  header
	content hash.Hash // of the file
	plan    hash.Hash // of its items
	sums    map[money.Currency]sum

	rejected int64
	items    []paymentfile.Payment
	rejects  []rejection
}

// uploaded takes a file in and plans it.
func (b *billing) uploaded(ctx context.Context, from request, h header, file io.Reader) (*batch, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	u := &upload{
		billing: b, id: id.New[batchKind](), header: h, content: sha256.New(), plan: sha256.New(), sums: map[money.Currency]sum{},
	}
	if err := newStore(b.pool).beginUpload(ctx, u.id, h, from.caller, originFile); err != nil {
		return nil, err
	}
	planned, err := u.take(ctx, from, io.TeeReader(file, u.content))
	if err != nil || planned != u.id { // another one is the answer of an earlier upload under the key
		// What is left is removed by a duty; it does not wait for a lease that nobody renews.
		u.abandon(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, err
	}
	return b.readBatch(ctx, planned)
}

// check refuses what the proto cannot.
func (h header) check() error {
	for column := range h.Columns {
		if !slices.Contains(paymentfile.Columns(), column) {
			return rpcerr.ForField(rpcerr.RequestInvalid, "header.columns", "%q is none of %s", column, strings.Join(paymentfile.Columns(), ", "))
		}
	}
	if h.CutOffAt != nil && !h.CutOffAt.After(time.Now()) {
		return rpcerr.ForField(rpcerr.RequestInvalid, "header.cut_off_time", "is not in the future")
	}
	if h.Dunning != nil && h.CutOffAt != nil {
		return rpcerr.ForField(rpcerr.RequestInvalid, "header.dunning", "of a batch with a cut-off time, no item is tried again later")
	}
	if h.Dunning != nil {
		if err := h.Dunning.check("header.dunning."); err != nil {
			return err
		}
	}
	if h.Repeats != "" {
		if _, err := id.Parse[batchKind](h.Repeats); err != nil {
			return rpcerr.ForField(rpcerr.RequestInvalid, "header.repeats_batch_id", "%v", err)
		}
	}
	return nil
}

// take reads the file and makes a batch of it. It gives the batch, which is an earlier one when the key was used for
// the same file before.
func (u *upload) take(ctx context.Context, from request, file io.Reader) (BatchID, error) {
	options := paymentfile.Options{Format: paymentfile.Format(u.header.Format), Mapping: u.header.Columns}
	for row, err := range paymentfile.Read(file, options) {
		if broken, ok := errors.AsType[*rowfile.FileError](err); ok {
			return BatchID{}, rpcerr.ForField(rpcerr.FileMalformed, "chunk", "%v", broken)
		}
		if err != nil {
			return BatchID{}, err
		}
		if row.Rejection != nil {
			r := row.Rejection
			u.reject(rejection{int64(r.Line), r.Field, string(r.Reason), r.Text, r.Raw})
		} else {
			u.items = append(u.items, row.Payment)
		}
		if len(u.items)+len(u.rejects) >= uploadPiece {
			if err := u.write(ctx); err != nil {
				return BatchID{}, err
			}
		}
	}
	// What follows the last row belongs to the content as well.
	if _, err := io.Copy(io.Discard, file); err != nil {
		return BatchID{}, err
	}
	if err := u.write(ctx); err != nil {
		return BatchID{}, err
	}
	return u.finish(ctx, from)
}

func (u *upload) reject(r rejection) {
	u.rejected++
	u.rejects = append(u.rejects, r)
}

// write writes what was read since the last time. A payment whose reference is in the file already is no item.
func (u *upload) write(ctx context.Context) error {
	var became map[int64]bool
	err := pg.InTx(ctx, u.billing.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		alive, err := st.renewUpload(ctx, u.id)
		if err != nil {
			return err
		}
		if !alive {
			return errSwept
		}
		var first map[string]int64
		if became, first, err = st.insertItems(ctx, u.id, u.items); err != nil {
			return err
		}
		for _, p := range u.items {
			if !became[int64(p.Line)] {
				u.reject(rejection{
					line: int64(p.Line), field: "reference", reason: referenceDuplicate,
					message: fmt.Sprintf("line %d has the same reference", first[p.Reference]), raw: p.Reference,
				})
			}
		}
		return st.insertRejections(ctx, u.id, u.rejects)
	})
	if err != nil {
		return err
	}
	for _, p := range u.items {
		if became[int64(p.Line)] {
			if err := u.count(p); err != nil {
				return err
			}
		}
	}
	u.items, u.rejects = u.items[:0], u.rejects[:0]
	return nil
}

// referenceDuplicate is the reason of a row whose reference an earlier row of the file has.
const referenceDuplicate = "REFERENCE_DUPLICATE"

// count adds an item to the totals and to the control hash.
func (u *upload) count(p paymentfile.Payment) error {
	if err := into(u.sums, p.Amount); err != nil {
		return rpcerr.ForField(rpcerr.AmountOverflow, "chunk", "line %d: the sum of the items in %s does not fit in 64 bits", p.Line, p.Amount.Currency)
	}
	hashItem(u.plan, int64(p.Line), p.Reference, p.CustomerID, p.PaymentMethod, p.Amount, p.Description)
	return nil
}

// hashItem adds to a control hash what is to be paid: each value behind its length.
func hashItem(h hash.Hash, line int64, reference, customer, method string, amount money.Amount, description string) {
	fmt.Fprintf(h, "%d", line)
	for _, value := range []string{reference, customer, method, string(amount.Currency), fmt.Sprint(amount.Minor), description} {
		fmt.Fprintf(h, " %d %s", len(value), value)
	}
	h.Write([]byte{'\n'})
}

// finish makes a batch of what was written, with its plan.
func (u *upload) finish(ctx context.Context, from request) (BatchID, error) {
	fields, err := u.header.fields()
	if err != nil {
		return BatchID{}, err
	}
	r := from.idem(methodUpload, u.billing.keyTTL, append(fields, idem.Field{Name: "chunk", Value: hex.EncodeToString(u.content.Sum(nil))})...)
	return idem.Once(ctx, u.billing.pool, r, func(ctx context.Context, tx *pg.Tx) (BatchID, string, error) {
		st := newStore(tx)
		sums := byCurrency(u.sums)
		p := plan{id: u.id, hash: u.plan.Sum(nil), rejected: u.rejected, sums: sums}
		for _, s := range sums {
			p.items += s.Items
		}
		if err := st.insertSums(ctx, u.id, sums); err != nil {
			return u.id, "", err
		}
		var err error
		if p.duplicates, err = st.q.CountDuplicates(ctx, u.id.UUID()); err != nil {
			return u.id, "", fmt.Errorf("counting duplicates: %w", err)
		}
		if p.variance, err = st.variance(ctx, u.header.Series, p); err != nil {
			return u.id, "", err
		}
		if err := u.sameContent(ctx, st, p); err != nil {
			return u.id, "", err
		}
		if err := st.plan(ctx, p); err != nil {
			return u.id, "", err
		}
		return u.id, u.id.String(), u.billing.outbox.Write(ctx, tx, eventPlanned(p))
	})
}

// sameContent refuses items that another batch has, unless that batch was named. Of two uploads that come to this
// at the same time, the second one waits for the first, and is refused when that has become a batch.
func (u *upload) sameContent(ctx context.Context, st store, p plan) error {
	if p.items == 0 {
		return nil
	}
	if err := st.lockContent(ctx, p.hash); err != nil {
		return err
	}
	other, found, err := st.batchOfContent(ctx, p.hash)
	if err != nil || !found || other.String() == u.header.Repeats {
		return err
	}
	e := rpcerr.New(rpcerr.BatchDuplicate, "batch %s has the same payments; to charge them again on purpose, name it as the one that is repeated", other)
	e.Resource = other.String()
	return e
}

// fields are the fingerprint of a header.
func (h header) fields() ([]idem.Field, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding header: %w", err)
	}
	return []idem.Field{{Name: "header", Value: string(text)}}, nil
}

// abandon removes what an upload has written, as far as it can.
func (u *upload) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := u.billing.drop(ctx, u.id); err != nil {
		u.billing.log.WarnContext(ctx, "an upload that came to nothing is left for later", slog.String("batch_id", u.id.String()), slog.Any("error", err))
	}
}

// drop removes the rows of an upload, some at a time.
func (b *billing) drop(ctx context.Context, bid BatchID) error {
	q := newStore(b.pool).q
	for {
		n, err := q.DropItems(ctx, billingdb.DropItemsParams{BatchID: bid.UUID(), N: 10_000})
		if err != nil {
			return fmt.Errorf("removing an upload: %w", err)
		}
		if n == 0 {
			if err := q.DropUpload(ctx, bid.UUID()); err != nil {
				return fmt.Errorf("removing an upload: %w", err)
			}
			return nil
		}
	}
}

// sweepOnce removes the uploads that nobody goes on with.
func (b *billing) sweepOnce(ctx context.Context) (again bool, err error) {
	left, err := newStore(b.pool).q.ListLeftUploads(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for uploads that broke off: %w", err)
	}
	for _, u := range left {
		if err := b.drop(ctx, BatchID(u)); err != nil {
			return false, err
		}
	}
	return len(left) > 0, nil
}
