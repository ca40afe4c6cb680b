package reconciliation

import (
	"encoding/hex"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
)

func reportToProto(r *balanceReport) *reconciliationv1.Report {
	of := func(minor int64) *commonv1.Amount {
		return amountToProto(money.Amount{Currency: money.Currency(r.currency), Minor: minor})
	}
	m := &reconciliationv1.Report{
		Account: r.account, From: dayText(r.from), To: dayText(r.to), Opening: of(r.opening), Fees: of(r.fees), Arrived: of(r.arrived),
		Timing: of(r.timing), Closing: of(r.closing), ClosingTheirs: of(r.closingTheirs), Drift: of(r.drift), Unexplained: of(r.unexplained),
		MovementsWaiting: r.waiting,
	}
	if r.run != nil {
		m.RunId, m.RunNumber = RunID(r.run.ID).String(), r.run.Number
		m.RunAsOf, m.Digest = dayText(dayIn(r.run.AsOf)), hex.EncodeToString(r.run.Digest)
	}
	for _, e := range r.effects {
		m.Effects = append(m.Effects, &reconciliationv1.ReportEffect{Kind: e.kind.String(), Count: e.count, Amount: of(e.amount)})
	}
	for _, e := range r.explanations {
		m.Explanations = append(m.Explanations, &reconciliationv1.ReportExplanation{Stage: e.stage.String(), Code: e.code, Count: e.count, Amount: of(e.amount)})
	}
	return m
}

func reportLineToProto(l *reportLine, currency string) *reconciliationv1.ReportLine {
	m := &reconciliationv1.ReportLine{
		Stage: l.stage.String(), Code: l.code, Amount: amountToProto(money.Amount{Currency: money.Currency(currency), Minor: l.amount}),
		Day: dayText(l.day), Movements: l.movements, Reference: l.reference, ProviderId: l.providerID, PaymentId: l.paymentID,
	}
	if l.until != 0 {
		m.Until = dayText(l.until)
	}
	for _, id := range l.ids {
		m.MovementIds = append(m.MovementIds, id.String())
	}
	return m
}
