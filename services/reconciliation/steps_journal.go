package reconciliation

import (
	"context"
	"fmt"
	"strings"

	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// postJournal implements journalPoster. What is in the ledger already is not posted again: its id is given.
func (o owners) postJournal(ctx context.Context, j journalOrder) (journalID string, err error) {
	r := &paymentv1.PostJournalRequest{IdempotencyKey: j.key, Key: j.key, Reference: j.reference, Reason: j.reason}
	credited, err := j.amount.Neg()
	if err != nil {
		return "", err
	}
	if j.kind == "write_off" {
		r.Kind, r.Account, r.Amount = paymentv1.JournalKind_JOURNAL_KIND_WRITE_OFF, ledgerAccount(j.from), amountToProto(j.amount)
	} else {
		r.Kind = paymentv1.JournalKind_JOURNAL_KIND_CORRECTION
		for _, p := range []struct {
			account string
			amount  money.Amount
		}{{j.to, j.amount}, {j.from, credited}} {
			r.Postings = append(r.Postings, &paymentv1.Posting{Account: ledgerAccount(p.account), Amount: amountToProto(p.amount)})
		}
	}
	answer, err := o.ledger.PostJournal(ctx, r)
	if e, ok := rpcerr.FromError(err); ok && e.Reason == rpcerr.JournalExists {
		return e.Resource, nil
	}
	if err != nil {
		return "", fmt.Errorf("posting journal %s: %w", j.key, err)
	}
	return answer.GetJournalId(), nil
}

// ledgerAccount is an account as the contract has it.
func ledgerAccount(name string) paymentv1.LedgerAccount {
	return paymentv1.LedgerAccount(paymentv1.LedgerAccount_value["LEDGER_ACCOUNT_"+strings.ToUpper(name)])
}
