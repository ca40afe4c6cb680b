package payment

import (
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/services/payment/ledger"
)

// decisionFromProto leaves what is unset zero.
func decisionFromProto(caller string, r *paymentv1.PostJournalRequest) (decision, error) {
	d := decision{
		caller: caller, idempotencyKey: r.GetIdempotencyKey(), kind: ledger.Kind(r.GetKind()), key: r.GetKey(),
		amount: amountFromProto(r.GetAmount()), fee: amountFromProto(r.GetFee()), account: accountFromProto(r.GetAccount()),
		reference: r.GetReference(), reason: r.GetReason(),
	}
	for _, p := range r.GetPostings() {
		d.postings = append(d.postings, ledger.Posting{Account: accountFromProto(p.GetAccount()), Amount: amountFromProto(p.GetAmount())})
	}
	var err error
	d.effectiveAt, err = timeFromProto("effective_time", r.GetEffectiveTime())
	return d, err
}

func journalToProto(entries []entry) *paymentv1.PostJournalResponse {
	out := &paymentv1.PostJournalResponse{}
	for _, e := range entries {
		out.JournalId = e.Journal.String()
		out.Entries = append(out.Entries, entryToProto(e))
	}
	return out
}
