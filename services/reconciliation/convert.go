package reconciliation

import (
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/match"
)

func amountToProto(a money.Amount) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: string(a.Currency), MinorUnits: a.Minor}
}

// timeToProto is unset for the zero time.
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// passToProto gives the pass of the contract, where no pass is zero.
func passToProto(p match.Pass) reconciliationv1.Pass {
	if p == match.PassByHand {
		return reconciliationv1.Pass_PASS_BY_HAND
	}
	return reconciliationv1.Pass(p)
}

// runToProto is a run with what it came to. The numbers of states are those of the contract.
func runToProto(r *run) *reconciliationv1.Run {
	m := runInList(r)
	for _, p := range r.partitions {
		m.Partitions = append(m.Partitions, &reconciliationv1.RunPartition{
			Account: p.account, Stage: p.stage.String(), CurrencyCode: p.currency, Ours: p.ours, Theirs: p.theirs, OursMatched: p.oursMatched,
			TheirsMatched: p.theirsMatched, Settled: p.settled, Matches: p.matches, Breaks: codesToProto(p.breaks), Digest: hex.EncodeToString(p.digest),
		})
	}
	return m
}

func runInList(r *run) *reconciliationv1.Run {
	m := &reconciliationv1.Run{
		RunId: r.id.String(), Number: r.number, State: reconciliationv1.RunState(r.state), AsOf: dayText(r.asOf), RulesVersion: r.rules,
		Movements: r.movements, MovementsMatched: r.movementsMatched, Matched: r.matched, Digest: hex.EncodeToString(r.digest),
		Signature: hex.EncodeToString(r.signature), PublicKey: hex.EncodeToString(r.publicKey), BegunBy: r.begunBy,
		CancelNote: r.cancelling, Trouble: r.trouble, StartTime: timeToProto(r.startedAt), EndTime: timeToProto(r.endedAt),
	}
	if r.state != runFinished {
		return m
	}
	m.Breaks = codesToProto(r.breaks)
	for i, n := range r.byPass {
		if n > 0 {
			m.MatchedByPass = append(m.MatchedByPass, &reconciliationv1.PassCount{Pass: passToProto(match.Pass(i + 1)), Matches: n})
		}
	}
	return m
}

func codesToProto(all []codeCount) []*reconciliationv1.CodeCount {
	made := make([]*reconciliationv1.CodeCount, len(all))
	for i, c := range all {
		made[i] = &reconciliationv1.CodeCount{Code: string(c.code), Count: c.count}
	}
	return made
}

// carrierName is empty for what is no carrier, as of a match by another pass.
func carrierName(m *matched, c match.Carrier) string {
	if m.pass != match.PassStrongID || c >= match.NumCarriers {
		return ""
	}
	return c.String()
}

// matchText is the id of a match as people see it.
func matchText(id int64) string {
	if id < 0 {
		return fmt.Sprintf("mat_hand_%d", -id)
	}
	return fmt.Sprintf("mat_%d_%d", id>>32, id&(1<<32-1))
}

func matchToProto(m *matched) *reconciliationv1.Match {
	made := &reconciliationv1.Match{
		MatchId: matchText(m.id), RunNumber: int32(max(m.id, 0) >> 32), Pass: passToProto(m.pass), OursBy: carrierName(m, m.oursBy),
		TheirsBy: carrierName(m, m.theirsBy), Score: int32(m.score), Evidence: m.evidence, Active: m.active,
		Account: m.partition.account, Stage: m.partition.stage.String(),
	}
	for _, v := range m.movements {
		made.Movements = append(made.Movements, &reconciliationv1.MatchedMovement{
			MovementId: v.id.String(), Ours: v.ours, Kind: v.kind.String(), Amount: amountToProto(v.amount),
			Fee: amountToProto(money.Amount{Currency: v.amount.Currency, Minor: v.fee}), Day: dayText(v.day), ProviderId: v.providerID,
			Reference: v.reference, PayoutId: v.payoutID, PaymentId: v.payment,
		})
	}
	return made
}

func ruleSetToProto(r *ruleSet) *reconciliationv1.RuleSet {
	made := &reconciliationv1.RuleSet{
		Version: r.version, Document: r.document, Hash: hex.EncodeToString(r.hash), Note: r.note, CreatedBy: r.createdBy,
		CreateTime: timeToProto(r.createdAt), Active: r.active,
	}
	for _, a := range r.activations {
		made.Activations = append(made.Activations, &reconciliationv1.RuleActivation{
			ActivateTime: timeToProto(a.At), ActivatedBy: a.ActivatedBy, Reason: a.Reason,
		})
	}
	return made
}
