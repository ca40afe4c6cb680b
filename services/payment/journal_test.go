package payment

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
)

const (
	bank       = paymentv1.LedgerAccount_LEDGER_ACCOUNT_BANK
	clearing   = paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING
	receivable = paymentv1.LedgerAccount_LEDGER_ACCOUNT_CUSTOMER_RECEIVABLE
	fees       = paymentv1.LedgerAccount_LEDGER_ACCOUNT_FEES
	writeOffs  = paymentv1.LedgerAccount_LEDGER_ACCOUNT_WRITE_OFFS
	suspense   = paymentv1.LedgerAccount_LEDGER_ACCOUNT_SUSPENSE

	kindPayout     = paymentv1.JournalKind_JOURNAL_KIND_PAYOUT
	kindFee        = paymentv1.JournalKind_JOURNAL_KIND_FEE
	kindWriteOff   = paymentv1.JournalKind_JOURNAL_KIND_WRITE_OFF
	kindCorrection = paymentv1.JournalKind_JOURNAL_KIND_CORRECTION
)

func posting(a paymentv1.LedgerAccount, minor int64) *paymentv1.Posting {
	return &paymentv1.Posting{Account: a, Amount: gbp(minor)}
}

// decided is a journal of a key, with an idempotency key and a reason of its own.
func decided(kind paymentv1.JournalKind, key string, change func(*paymentv1.PostJournalRequest)) *paymentv1.PostJournalRequest {
	r := &paymentv1.PostJournalRequest{
		IdempotencyKey: fmt.Sprintf("post/%s/%s", kind, key), Kind: kind, Key: key, Reference: "brk_1", Reason: "a test",
	}
	change(r)
	return r
}

func payoutOf(key string, minor int64) *paymentv1.PostJournalRequest {
	return decided(kindPayout, key, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(minor) })
}

func TestPostJournal_PostsWhatTheKindSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	books := openLedger(t, b)
	happened := timestamppb.New(time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC))
	for name, c := range map[string]struct {
		request *paymentv1.PostJournalRequest
		want    []*paymentv1.Posting
	}{
		"a payout": {payoutOf("po_1", 500), []*paymentv1.Posting{posting(bank, 500), posting(clearing, -500)}},
		"a payout with a fee": {decided(kindPayout, "po_2", func(r *paymentv1.PostJournalRequest) {
			r.Amount, r.Fee, r.EffectiveTime = gbp(500), gbp(3), happened
		}), []*paymentv1.Posting{posting(bank, 500), posting(clearing, -500), posting(fees, 3), posting(clearing, -3)}},
		"a fee": {decided(kindFee, "fee_1", func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(200) }),
			[]*paymentv1.Posting{posting(fees, 200), posting(clearing, -200)}},
		"a fee that is given back": {decided(kindFee, "fee_2", func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(-200) }),
			[]*paymentv1.Posting{posting(fees, -200), posting(clearing, 200)}},
		"a difference": {decided(kindCorrection, "brk_1", func(r *paymentv1.PostJournalRequest) {
			r.Postings = []*paymentv1.Posting{posting(suspense, 100), posting(clearing, -100)}
		}), []*paymentv1.Posting{posting(suspense, 100), posting(clearing, -100)}},
		"a difference that is given up": {decided(kindWriteOff, "brk_1", func(r *paymentv1.PostJournalRequest) {
			r.Account, r.Amount = suspense, gbp(100)
		}), []*paymentv1.Posting{posting(writeOffs, 100), posting(suspense, -100)}},
		"a debt that nobody pays, of the most there is": {decided(kindWriteOff, "dp_1", func(r *paymentv1.PostJournalRequest) {
			r.Account, r.Amount = receivable, gbp(-maxMinor)
		}), []*paymentv1.Posting{posting(writeOffs, -maxMinor), posting(receivable, maxMinor)}},
	} {
		answer, err := books.PostJournal(t.Context(), c.request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var want []*paymentv1.Entry
		for i, p := range c.want {
			created := answer.GetEntries()[0].GetCreateTime()
			e := &paymentv1.Entry{
				JournalId: answer.GetJournalId(), Line: int32(i + 1), Account: p.GetAccount(), Amount: p.GetAmount(), Kind: c.request.GetKind(),
				Reference: "brk_1", Key: c.request.GetKey(), EffectiveTime: created, CreateTime: created,
			}
			if c.request.EffectiveTime != nil {
				e.EffectiveTime = c.request.GetEffectiveTime()
			}
			want = append(want, e)
		}
		if diff := cmp.Diff(want, answer.GetEntries(), protocmp.Transform()); diff != "" {
			t.Errorf("%s: entries (-want +got):\n%s", name, diff)
		}
		again, err := books.PostJournal(t.Context(), c.request)
		if diff := cmp.Diff(answer, again, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%s again: error %v (-first +second):\n%s", name, err, diff)
		}
	}
	if n := b.stored(t); n["journal"] != 7 || n["operator_action"] != 7 || n["outbox"] != 7 {
		t.Errorf("got %v; want seven journals, each with an audit row and an event", n)
	}
	b.wantClean(t)
}

func TestPostJournal_LeavesARecordAndTellsOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	answer, err := openLedger(t, b).PostJournal(t.Context(), payoutOf("po_1", 500))
	if err != nil {
		t.Fatal(err)
	}
	records := pgtest.Column[string](t, b.db, `SELECT concat_ws('|', actor, verb, reason, 'jrn_' || journal_id) FROM operator_action`)
	if diff := cmp.Diff([]string{"test|post a payout|a test|" + answer.GetJournalId()}, records); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	told := &eventv1.JournalPosted{}
	data := pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE entity = 'journal' AND name = 'posted' AND reference = 'brk_1'`)
	if err := proto.Unmarshal(data[0], told); err != nil {
		t.Fatal(err)
	}
	want := &eventv1.JournalPosted{
		JournalId: answer.GetJournalId(), Kind: "payout", Key: "po_1", Reference: "brk_1", Actor: "test", Reason: "a test",
		Postings: []*eventv1.JournalPosting{{Account: "bank", Amount: gbp(500)}, {Account: "provider_clearing", Amount: gbp(-500)}},
	}
	if diff := cmp.Diff(want, told, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestPostJournal_TakesOneOfEachKindAndKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	books := openLedger(t, b)
	var wait sync.WaitGroup
	ids, refused := make([]string, 8), make([]error, 8)
	for i := range ids {
		wait.Go(func() {
			r := payoutOf("po_1", 500)
			r.IdempotencyKey = fmt.Sprintf("posted-by-%d", i)
			answer, err := books.PostJournal(t.Context(), r)
			ids[i], refused[i] = answer.GetJournalId(), err
		})
	}
	wait.Wait()
	posted := pgtest.Column[string](t, b.db, `SELECT 'jrn_' || id FROM journal`)
	if len(posted) != 1 {
		t.Fatalf("got journals %v, want one", posted)
	}
	winners := 0
	for i, err := range refused {
		if err == nil {
			winners++
			if ids[i] != posted[0] {
				t.Errorf("request %d was answered %s, and the journal is %s", i, ids[i], posted[0])
			}
			continue
		}
		if e := rpcerrtest.Want(t, err, rpcerr.JournalExists, "key"); e.Resource != posted[0] {
			t.Errorf("the refusal names %q, not %s", e.Resource, posted[0])
		}
	}
	if winners != 1 {
		t.Errorf("%d requests were answered that they had posted it", winners)
	}
	fee := decided(kindFee, "po_1", func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(1) })
	if _, err := books.PostJournal(t.Context(), fee); err != nil {
		t.Errorf("the same key of another kind: %v", err)
	}
	other := payoutOf("po_1", 500)
	other.IdempotencyKey, other.Reason = fee.GetIdempotencyKey(), "another"
	_, err := books.PostJournal(t.Context(), other)
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "kind", "amount", "reason")
	b.wantClean(t)
}

// badJournal is a journal that is refused.
type badJournal struct {
	kind   paymentv1.JournalKind
	change func(*paymentv1.PostJournalRequest)
	reason rpcerr.Reason
	field  string
}

// badJournals are of the kinds that have an amount, badCorrections of the one that has lines.
var badJournals = map[string]badJournal{
	"no kind":             {0, func(*paymentv1.PostJournalRequest) {}, rpcerr.RequestInvalid, "kind"},
	"a capture":           {paymentv1.JournalKind_JOURNAL_KIND_CAPTURE, func(*paymentv1.PostJournalRequest) {}, rpcerr.RequestInvalid, "kind"},
	"a kind of tomorrow":  {9, func(*paymentv1.PostJournalRequest) {}, rpcerr.RequestInvalid, "kind"},
	"no key":              {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Key = gbp(1), "" }, rpcerr.RequestInvalid, "key"},
	"no reason":           {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Reason = gbp(1), "" }, rpcerr.RequestInvalid, "reason"},
	"no idempotency key":  {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount, r.IdempotencyKey = gbp(1), "" }, rpcerr.IdempotencyKeyMissing, "idempotency_key"},
	"no amount":           {kindFee, func(*paymentv1.PostJournalRequest) {}, rpcerr.RequestInvalid, "amount"},
	"a payout of nothing": {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(0) }, rpcerr.RequestInvalid, "amount.minor_units"},
	"a payout that came back": {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(-1) },
		rpcerr.AmountNotPositive, "amount.minor_units"},
	"a fee of nothing": {kindFee, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(0) }, rpcerr.RequestInvalid, "amount.minor_units"},
	"a fee in gold":    {kindFee, func(r *paymentv1.PostJournalRequest) { r.Amount = in("XAU", 1) }, rpcerr.CurrencyUnknown, "amount.currency_code"},
	"a fee of the most": {kindFee, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(math.MaxInt64) },
		rpcerr.AmountOverflow, "amount.minor_units"},
	"a fee of the least": {kindFee, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(math.MinInt64) },
		rpcerr.AmountOverflow, "amount.minor_units"},
	"a payout with a fee of too much": {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Fee = gbp(1), gbp(maxMinor+1) },
		rpcerr.AmountOverflow, "fee.minor_units"},
	"a fee with a fee":        {kindFee, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Fee = gbp(1), gbp(1) }, rpcerr.RequestInvalid, "fee"},
	"a payout of an account":  {kindPayout, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Account = gbp(1), suspense }, rpcerr.RequestInvalid, "account"},
	"a write-off of nobody":   {kindWriteOff, func(r *paymentv1.PostJournalRequest) { r.Amount = gbp(1) }, rpcerr.RequestInvalid, "account"},
	"a write-off of the bank": {kindWriteOff, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Account = gbp(1), bank }, rpcerr.RequestInvalid, "account"},
	"a write-off of what is not in the chart": {kindWriteOff, func(r *paymentv1.PostJournalRequest) { r.Amount, r.Account = gbp(1), 99 },
		rpcerr.RequestInvalid, "account"},
	"a payout with lines": {kindPayout, func(r *paymentv1.PostJournalRequest) {
		r.Amount, r.Postings = gbp(1), []*paymentv1.Posting{posting(bank, 1), posting(clearing, -1)}
	}, rpcerr.RequestInvalid, "postings"},
}

// corrects makes a correction of lines.
func corrects(postings ...*paymentv1.Posting) func(*paymentv1.PostJournalRequest) {
	return func(r *paymentv1.PostJournalRequest) { r.Postings = postings }
}

var badCorrections = map[string]badJournal{
	"a correction of nothing":  {kindCorrection, corrects(), rpcerr.RequestInvalid, "postings"},
	"a correction of one line": {kindCorrection, corrects(posting(bank, 1)), rpcerr.RequestInvalid, "postings"},
	"a correction of nine lines": {kindCorrection, corrects(posting(bank, 1), posting(bank, 1), posting(bank, 1), posting(bank, 1), posting(bank, 1),
		posting(bank, 1), posting(bank, 1), posting(bank, 1), posting(clearing, -8)), rpcerr.RequestInvalid, "postings"},
	"a correction that does not balance": {kindCorrection, corrects(posting(bank, 1), posting(clearing, -2)), rpcerr.JournalUnbalanced, "postings"},
	"a correction that balances in no currency": {kindCorrection,
		corrects(posting(bank, 1), &paymentv1.Posting{Account: clearing, Amount: in("EUR", -1)}), rpcerr.JournalUnbalanced, "postings"},
	"a correction with a line of nothing": {kindCorrection, corrects(posting(bank, 0), posting(clearing, 0)),
		rpcerr.RequestInvalid, "postings[0].amount.minor_units"},
	"a correction to no account": {kindCorrection, corrects(posting(bank, 1), posting(0, -1)), rpcerr.RequestInvalid, "postings[1].account"},
	"a correction of too much": {kindCorrection, corrects(posting(bank, 1), posting(clearing, math.MinInt64)),
		rpcerr.AmountOverflow, "postings[1].amount.minor_units"},
	"a correction of no amount": {kindCorrection, corrects(posting(bank, 1), &paymentv1.Posting{Account: clearing}),
		rpcerr.RequestInvalid, "postings[1].amount"},
	"a correction with an amount": {kindCorrection, func(r *paymentv1.PostJournalRequest) {
		r.Amount, r.Postings = gbp(1), []*paymentv1.Posting{posting(bank, 1), posting(clearing, -1)}
	}, rpcerr.RequestInvalid, "amount"},
	"a time that is none": {kindPayout, func(r *paymentv1.PostJournalRequest) {
		r.Amount, r.EffectiveTime = gbp(1), &timestamppb.Timestamp{Seconds: math.MaxInt64}
	}, rpcerr.RequestInvalid, "effective_time"},
}

func in(code string, minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: code, MinorUnits: minor}
}

func TestPostJournal_RefusesWhatIsNoJournalAndSaysWhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	books := openLedger(t, b)
	before := b.stored(t)
	for _, all := range []map[string]badJournal{badJournals, badCorrections} {
		for name, c := range all {
			t.Run(name, func(t *testing.T) {
				_, err := books.PostJournal(t.Context(), decided(c.kind, "k", c.change))
				rpcerrtest.Want(t, err, c.reason, c.field)
			})
		}
	}
	if diff := cmp.Diff(before, b.stored(t)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
}
