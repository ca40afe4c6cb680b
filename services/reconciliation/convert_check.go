package reconciliation

import (
	"cmp"
	"encoding/hex"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

func verificationToProto(v *verification) *reconciliationv1.Verification {
	return &reconciliationv1.Verification{
		Holds: v.holds(), Digest: hex.EncodeToString(v.digest), Computed: hex.EncodeToString(v.computed), SignatureHolds: v.signature,
		Matches: v.matches, Differences: v.differences,
	}
}

// simulationToProto lists what would come of a simulation by stage and currency. The numbers of changes are those of the contract.
func simulationToProto(s *simulated) *reconciliationv1.Simulation {
	made := &reconciliationv1.Simulation{RulesVersion: s.version, AsOf: dayText(s.asOf), Movements: s.movements}
	for _, of := range sorted(s.passes, func(a, b passOf) int { return cmp.Or(a.compare(b.place), cmp.Compare(a.pass, b.pass)) }) {
		t := s.passes[of]
		made.Passes = append(made.Passes, &reconciliationv1.SimulatedPass{
			Stage: of.stage.String(), Pass: passToProto(of.pass), Matches: t.count, Amount: amountToProto(of.amountOf(t.minor)), MatchesStored: t.stored,
		})
	}
	for _, of := range sorted(s.codes, func(a, b codeOf) int { return cmp.Or(a.compare(b.place), cmp.Compare(a.code, b.code)) }) {
		t := s.codes[of]
		made.Codes = append(made.Codes, &reconciliationv1.SimulatedCode{
			Stage: of.stage.String(), Code: string(of.code), Count: t.now.count, Amount: amountToProto(of.amountOf(t.now.minor)),
			CountStored: t.stored.count, AmountStored: amountToProto(of.amountOf(t.stored.minor)),
		})
	}
	for _, of := range sorted(s.changes, func(a, b changeOf) int { return cmp.Or(a.compare(b.place), cmp.Compare(a.shift, b.shift)) }) {
		t := s.changes[of]
		made.Changes = append(made.Changes, &reconciliationv1.SimulatedChange{
			Stage: of.stage.String(), Change: reconciliationv1.MovementChange(of.shift), Movements: t.count, Amount: amountToProto(of.amountOf(t.minor)),
		})
	}
	return made
}
