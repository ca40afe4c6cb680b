package payment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/payment/ledger"
)

const (
	methodPostJournal = "PostJournal"
	// journalOnce is the constraint that keeps a second journal of a kind and key out.
	journalOnce = "journal_once"
)

// decision is a journal that somebody has decided on. What its kind does not need is zero.
type decision struct {
	caller, idempotencyKey string

	kind        ledger.Kind
	key         string // which of its kind it is
	amount, fee money.Amount
	account     ledger.Account // of a write-off
	postings    []ledger.Posting
	reference   string
	reason      string
	effectiveAt time.Time
}

// postJournal posts what was decided, once per request and once per kind and key, and gives its entries. Refused with
// JOURNAL_EXISTS when the ledger has one of the kind and key by another request.
func (s *payments) postJournal(ctx context.Context, d decision) ([]entry, error) {
	j, err := d.journal()
	if err != nil {
		return nil, err
	}
	posted, err := idem.Once(ctx, s.pool, d.request(), func(ctx context.Context, tx *pg.Tx) (JournalID, string, error) {
		journalID := id.New[journalKind]()
		b := booking{id: journalID, journal: j, key: d.key, reference: d.reference, effectiveAt: d.effectiveAt}
		if err := newStore(tx).postDecided(ctx, b); err != nil {
			return JournalID{}, "", err
		}
		s.countBooked(ctx, tx, []booking{b})
		act := action{actor: d.caller, verb: "post a " + d.kind.String(), reason: d.reason, journal: journalID}
		if err := newStore(tx).insertActions(ctx, []action{act}); err != nil {
			return JournalID{}, "", err
		}
		return journalID, journalID.String(), s.outbox.Write(ctx, tx, journalEvent(d, b))
	})
	if err != nil {
		return nil, err
	}
	return s.listEntries(ctx, entryFilter{journal: posted}, pageEnd{}, int32(len(j.Postings())))
}

// postDecided posts a journal that is about no payment, unless there is one of its kind and key.
func (s store) postDecided(ctx context.Context, b booking) error {
	var there JournalID
	err := s.db.QueryRow(ctx, `SELECT id FROM journal WHERE payment_id IS NULL AND kind = $1 AND key = $2`,
		int16(b.journal.Kind()), b.key).Scan(&there)
	switch {
	case err == nil:
		e := rpcerr.ForField(rpcerr.JournalExists, "key", "%s is the %s of this key already", there, b.journal.Kind())
		e.Resource = there.String()
		return e
	case !errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("reading journals: %w", err)
	}
	err = s.post(ctx, []booking{b})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.ConstraintName == journalOnce {
		return groupcommit.ErrAgain // another request was first, and has committed: it is found the next time
	}
	return err
}

// request is the decision as it is kept: the fields in an order that never changes.
func (d decision) request() idem.Request {
	var lines []string
	for _, p := range d.postings {
		lines = append(lines, fmt.Sprintf("%s %d %s", p.Account, p.Amount.Minor, p.Amount.Currency))
	}
	effective := ""
	if !d.effectiveAt.IsZero() {
		effective = d.effectiveAt.UTC().Format(time.RFC3339Nano)
	}
	in := func(a money.Amount) string { return fmt.Sprintf("%d %s", a.Minor, a.Currency) }
	return idem.Request{Caller: d.caller, Method: methodPostJournal, Key: d.idempotencyKey, Fields: []idem.Field{
		{Name: "kind", Value: d.kind.String()}, {Name: "key", Value: d.key},
		{Name: "amount", Value: in(d.amount)}, {Name: "fee", Value: in(d.fee)}, {Name: "account", Value: string(d.account)},
		{Name: "postings", Value: strings.Join(lines, "\n")}, {Name: "reference", Value: d.reference},
		{Name: "reason", Value: d.reason}, {Name: "effective_time", Value: effective},
	}}
}

// journal is what is posted. What no journal can be made of is refused, with the field that is wrong.
func (d decision) journal() (j ledger.Journal, err error) {
	if err := d.checkFields(); err != nil {
		return j, err
	}
	if err := d.checkAmounts(); err != nil {
		return j, err
	}
	switch d.kind {
	case ledger.KindPayout:
		j, err = ledger.Payout(d.amount, d.fee)
	case ledger.KindFee:
		j, err = ledger.Fee(d.amount)
	case ledger.KindWriteOff:
		j, err = ledger.WriteOff(d.account, d.amount)
	case ledger.KindCorrection:
		j, err = ledger.Correction(d.postings...)
	}
	switch {
	case errors.Is(err, ledger.ErrNotWrittenOff):
		return j, rpcerr.ForField(rpcerr.RequestInvalid, "account", "is %s or %s: %s is not written off",
			ledger.CustomerReceivable, ledger.Suspense, d.account)
	case errors.Is(err, ledger.ErrUnbalanced):
		return j, rpcerr.ForField(rpcerr.JournalUnbalanced, "postings", "%v", err)
	case err != nil:
		return j, fmt.Errorf("making journal: %w", err)
	}
	return j, nil
}

// minLines is how many lines a journal has at least: what moves leaves somewhere and arrives somewhere.
const minLines = 2

// checkFields refuses what does not belong to the kind, and what is missing.
func (d decision) checkFields() error {
	if d.kind < ledger.KindPayout || d.kind > ledger.KindCorrection {
		return rpcerr.ForField(rpcerr.RequestInvalid, "kind", "is payout, fee, write_off or correction")
	}
	corrects, none := d.kind == ledger.KindCorrection, money.Amount{}
	var wrong []rpcerr.Field
	for _, f := range []struct {
		path          string
		set, may, has bool // it is there, may be there, must be there
	}{
		{"amount", d.amount != none, !corrects, !corrects},
		{"fee", d.fee != none, d.kind == ledger.KindPayout, false},
		{"account", d.account != "", d.kind == ledger.KindWriteOff, d.kind == ledger.KindWriteOff},
		{"postings", len(d.postings) > 0, corrects, corrects},
	} {
		if f.set && !f.may {
			wrong = append(wrong, rpcerr.Field{Path: f.path, Description: "is not part of a " + d.kind.String()})
		} else if !f.set && f.has {
			wrong = append(wrong, rpcerr.Field{Path: f.path, Description: "is missing from a " + d.kind.String()})
		}
	}
	if corrects && len(d.postings) == 1 {
		wrong = append(wrong, rpcerr.Field{Path: "postings", Description: fmt.Sprintf("are at least %d", minLines)})
	}
	if len(wrong) > 0 {
		return rpcerr.ForFields(rpcerr.RequestInvalid, wrong...)
	}
	return nil
}

// checkAmounts refuses an amount that the ledger does not take.
func (d decision) checkAmounts() error {
	type moved struct {
		path   string
		amount money.Amount
	}
	all := []moved{{"amount", d.amount}, {"fee", d.fee}}
	for i, p := range d.postings {
		all = append(all, moved{fmt.Sprintf("postings[%d].amount", i), p.Amount})
	}
	for _, m := range all {
		if m.amount == (money.Amount{}) {
			continue
		}
		if err := checkMoved(m.path, m.amount); err != nil {
			return err
		}
	}
	if d.kind == ledger.KindPayout && !d.amount.IsPositive() {
		return rpcerr.ForField(rpcerr.AmountNotPositive, "amount.minor_units", "%d is not more than zero", d.amount.Minor)
	}
	return nil
}

// checkMoved refuses an amount that cannot be moved one way or the other.
func checkMoved(path string, a money.Amount) error {
	if _, err := money.ParseCurrency(string(a.Currency)); err != nil {
		return rpcerr.ForField(rpcerr.CurrencyUnknown, path+".currency_code", "%.64q is not an ISO 4217 currency with minor units", string(a.Currency))
	}
	switch {
	case a.IsZero():
		return rpcerr.ForField(rpcerr.RequestInvalid, path+".minor_units", "moves nothing")
	case a.Minor > maxMinor || a.Minor < -maxMinor:
		return rpcerr.ForField(rpcerr.AmountOverflow, path+".minor_units", "%d is more than %d either way", a.Minor, int64(maxMinor))
	}
	return nil
}
