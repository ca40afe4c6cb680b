package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/reconciling"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

const (
	runStatePrefix = "RUN_STATE_"
	passPrefix     = "PASS_"
	changePrefix   = "MOVEMENT_CHANGE_"
)

var runView = output.View[*reconciliationv1.Run]{
	JSON: output.Message[*reconciliationv1.Run],
	Columns: []output.Column[*reconciliationv1.Run]{
		{Name: "run_id", Value: (*reconciliationv1.Run).GetRunId},
		{Name: "number", Value: func(r *reconciliationv1.Run) string { return pieces(int64(r.GetNumber())) }},
		{Name: "state", Value: func(r *reconciliationv1.Run) string { return enum(r.GetState(), runStatePrefix) }},
		{Name: "as_of", Value: (*reconciliationv1.Run).GetAsOf},
		{Name: "rules", Value: func(r *reconciliationv1.Run) string { return pieces(int64(r.GetRulesVersion())) }},
		{Name: "movements", Value: func(r *reconciliationv1.Run) string { return pieces(r.GetMovements()) }},
		{Name: "matched", Value: func(r *reconciliationv1.Run) string { return pieces(r.GetMatched()) }},
		{Name: "breaks", Value: func(r *reconciliationv1.Run) string { return counts(reconciling.Summarize(r).Breaks) }},
		{Name: "start_time", Value: func(r *reconciliationv1.Run) string { return instant(r.GetStartTime()) }},
	},
	Fields: []output.Column[*reconciliationv1.Run]{
		{Name: "matched_by_pass", Value: func(r *reconciliationv1.Run) string { return counts(reconciling.Summarize(r).MatchedByPass) }},
		{Name: "end_time", Value: func(r *reconciliationv1.Run) string { return instant(r.GetEndTime()) }},
		{Name: "begun_by", Value: (*reconciliationv1.Run).GetBegunBy},
		{Name: "cancelled", Value: (*reconciliationv1.Run).GetCancelNote},
		{Name: "trouble", Value: (*reconciliationv1.Run).GetTrouble},
		{Name: "digest", Value: (*reconciliationv1.Run).GetDigest},
		{Name: "signature", Value: (*reconciliationv1.Run).GetSignature},
		{Name: "public_key", Value: (*reconciliationv1.Run).GetPublicKey},
	},
	Sections: func(w io.Writer, r *reconciliationv1.Run) error {
		type part = *reconciliationv1.RunPartition
		return output.Section(w, "Partitions", []output.Column[part]{
			{Name: "account", Value: part.GetAccount},
			{Name: "stage", Value: part.GetStage},
			{Name: "currency", Value: part.GetCurrencyCode},
			{Name: "ours", Value: func(p part) string { return of(p.GetOursMatched(), p.GetOurs()) }},
			{Name: "theirs", Value: func(p part) string { return of(p.GetTheirsMatched(), p.GetTheirs()) }},
			{Name: "matches", Value: func(p part) string { return pieces(p.GetMatches()) }},
			{Name: "breaks", Value: func(p part) string { return counts(codeCounts(p.GetBreaks())) }},
		}, r.GetPartitions())
	},
}

// of is how many of how many.
func of(some, all int64) string { return fmt.Sprintf("%d of %d", some, all) }

func codeCounts(all []*reconciliationv1.CodeCount) map[string]int64 {
	byCode := map[string]int64{}
	for _, c := range all {
		byCode[c.GetCode()] = c.GetCount()
	}
	return byCode
}

// counts are numbers by name: "AMOUNT_OVER 2, FEE_VARIANCE 1".
func counts(byName map[string]int64) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if byName[name] > 0 {
			texts = append(texts, fmt.Sprintf("%s %d", name, byName[name]))
		}
	}
	return strings.Join(texts, ", ")
}

var runSummaryView = output.View[reconciling.Summary]{
	JSON: output.Value[reconciling.Summary],
	Columns: []output.Column[reconciling.Summary]{
		{Name: "run_id", Value: func(s reconciling.Summary) string { return s.RunID }},
		{Name: "state", Value: func(s reconciling.Summary) string { return s.State }},
		{Name: "as_of", Value: func(s reconciling.Summary) string { return s.AsOf }},
		{Name: "matched", Value: func(s reconciling.Summary) string { return pieces(s.Matched) }},
		{Name: "matched_by_pass", Value: func(s reconciling.Summary) string { return counts(s.MatchedByPass) }},
		{Name: "breaks", Value: func(s reconciling.Summary) string { return counts(s.Breaks) }},
		{Name: "ambiguous", Value: func(s reconciling.Summary) string { return pieces(s.Ambiguous) }},
		{Name: "digest", Value: func(s reconciling.Summary) string { return s.Digest }},
		{Name: "duration_s", Value: func(s reconciling.Summary) string { return decimal(s.DurationS) }},
		{Name: "rows_per_s", Value: func(s reconciling.Summary) string { return decimal(s.RowsPerS) }},
	},
}

var matchView = output.View[*reconciliationv1.Match]{
	JSON: output.Message[*reconciliationv1.Match],
	Columns: []output.Column[*reconciliationv1.Match]{
		{Name: "match_id", Value: (*reconciliationv1.Match).GetMatchId},
		{Name: "stage", Value: (*reconciliationv1.Match).GetStage},
		{Name: "pass", Value: func(m *reconciliationv1.Match) string { return enum(m.GetPass(), passPrefix) }},
		{Name: "by", Value: func(m *reconciliationv1.Match) string {
			if m.GetPass() != reconciliationv1.Pass_PASS_STRONG_ID {
				return ""
			}
			return m.GetOursBy() + " = " + m.GetTheirsBy()
		}},
		{Name: "score", Value: func(m *reconciliationv1.Match) string { return pieces(int64(m.GetScore())) }},
		{Name: "active", Value: func(m *reconciliationv1.Match) string { return strconv.FormatBool(m.GetActive()) }},
		{Name: "movements", Value: func(m *reconciliationv1.Match) string {
			var texts []string
			for _, v := range m.GetMovements() {
				side := "theirs"
				if v.GetOurs() {
					side = "ours"
				}
				texts = append(texts, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", side, v.GetKind(), amount(v.GetAmount()), strings.TrimSpace(v.GetProviderId()+" "+v.GetPayoutId()))))
			}
			return strings.Join(texts, "; ")
		}},
		{Name: "evidence", Value: (*reconciliationv1.Match).GetEvidence},
	},
}

var verificationView = output.View[*reconciliationv1.Verification]{
	JSON: output.Message[*reconciliationv1.Verification],
	Columns: []output.Column[*reconciliationv1.Verification]{
		{Name: "holds", Value: func(v *reconciliationv1.Verification) string { return strconv.FormatBool(v.GetHolds()) }},
		{Name: "digest", Value: (*reconciliationv1.Verification).GetDigest},
		{Name: "computed", Value: (*reconciliationv1.Verification).GetComputed},
		{Name: "signature_holds", Value: func(v *reconciliationv1.Verification) string { return strconv.FormatBool(v.GetSignatureHolds()) }},
		{Name: "matches", Value: func(v *reconciliationv1.Verification) string { return pieces(v.GetMatches()) }},
		{Name: "differences", Value: func(v *reconciliationv1.Verification) string { return strings.Join(v.GetDifferences(), "; ") }},
	},
}

var simulationView = output.View[*reconciliationv1.Simulation]{
	JSON: output.Message[*reconciliationv1.Simulation],
	Columns: []output.Column[*reconciliationv1.Simulation]{
		{Name: "rules", Value: func(s *reconciliationv1.Simulation) string { return pieces(int64(s.GetRulesVersion())) }},
		{Name: "as_of", Value: (*reconciliationv1.Simulation).GetAsOf},
		{Name: "movements", Value: func(s *reconciliationv1.Simulation) string { return pieces(s.GetMovements()) }},
	},
	Sections: func(w io.Writer, s *reconciliationv1.Simulation) error {
		type pass = *reconciliationv1.SimulatedPass
		err := output.Section(w, "Matches", []output.Column[pass]{
			{Name: "stage", Value: pass.GetStage},
			{Name: "pass", Value: func(p pass) string { return enum(p.GetPass(), passPrefix) }},
			{Name: "matches", Value: func(p pass) string { return pieces(p.GetMatches()) }},
			{Name: "stored", Value: func(p pass) string { return pieces(p.GetMatchesStored()) }},
			{Name: "amount", Value: func(p pass) string { return amount(p.GetAmount()) }},
		}, s.GetPasses())
		if err != nil {
			return err
		}
		type code = *reconciliationv1.SimulatedCode
		err = output.Section(w, "Breaks", []output.Column[code]{
			{Name: "stage", Value: code.GetStage},
			{Name: "code", Value: code.GetCode},
			{Name: "count", Value: func(c code) string { return pieces(c.GetCount()) }},
			{Name: "amount", Value: func(c code) string { return amount(c.GetAmount()) }},
			{Name: "stored", Value: func(c code) string { return pieces(c.GetCountStored()) }},
			{Name: "amount_stored", Value: func(c code) string { return amount(c.GetAmountStored()) }},
		}, s.GetCodes())
		if err != nil {
			return err
		}
		type change = *reconciliationv1.SimulatedChange
		return output.Section(w, "Would change", []output.Column[change]{
			{Name: "stage", Value: change.GetStage},
			{Name: "change", Value: func(c change) string { return enum(c.GetChange(), changePrefix) }},
			{Name: "movements", Value: func(c change) string { return pieces(c.GetMovements()) }},
			{Name: "amount", Value: func(c change) string { return amount(c.GetAmount()) }},
		}, s.GetChanges())
	},
}

var reportView = output.View[*reconciliationv1.Report]{
	JSON: output.Message[*reconciliationv1.Report],
	Columns: []output.Column[*reconciliationv1.Report]{
		{Name: "account", Value: (*reconciliationv1.Report).GetAccount},
		{Name: "from", Value: (*reconciliationv1.Report).GetFrom},
		{Name: "to", Value: (*reconciliationv1.Report).GetTo},
		{Name: "opening", Value: func(r *reconciliationv1.Report) string { return amount(r.GetOpening()) }},
		{Name: "effects", Value: func(r *reconciliationv1.Report) string {
			var texts []string
			for _, e := range r.GetEffects() {
				texts = append(texts, fmt.Sprintf("%s %s (%d)", e.GetKind(), amount(e.GetAmount()), e.GetCount()))
			}
			return strings.Join(texts, ", ")
		}},
		{Name: "fees", Value: func(r *reconciliationv1.Report) string { return amount(r.GetFees()) }},
		{Name: "arrived", Value: func(r *reconciliationv1.Report) string { return amount(r.GetArrived()) }},
		{Name: "timing", Value: func(r *reconciliationv1.Report) string { return amount(r.GetTiming()) }},
		{Name: "closing", Value: func(r *reconciliationv1.Report) string { return amount(r.GetClosing()) }},
		{Name: "closing_theirs", Value: func(r *reconciliationv1.Report) string { return amount(r.GetClosingTheirs()) }},
		{Name: "drift", Value: func(r *reconciliationv1.Report) string { return amount(r.GetDrift()) }},
		{Name: "unexplained", Value: func(r *reconciliationv1.Report) string { return amount(r.GetUnexplained()) }},
	},
	Fields: []output.Column[*reconciliationv1.Report]{
		{Name: "run_id", Value: (*reconciliationv1.Report).GetRunId},
		{Name: "digest", Value: (*reconciliationv1.Report).GetDigest},
		{Name: "movements_waiting", Value: func(r *reconciliationv1.Report) string { return pieces(r.GetMovementsWaiting()) }},
	},
	Sections: func(w io.Writer, r *reconciliationv1.Report) error {
		type explanation = *reconciliationv1.ReportExplanation
		return output.Section(w, "The drift", []output.Column[explanation]{
			{Name: "stage", Value: explanation.GetStage},
			{Name: "code", Value: explanation.GetCode},
			{Name: "lines", Value: func(e explanation) string { return pieces(e.GetCount()) }},
			{Name: "amount", Value: func(e explanation) string { return amount(e.GetAmount()) }},
		}, r.GetExplanations())
	},
}

var reportLineView = output.View[*reconciliationv1.ReportLine]{
	JSON: output.Message[*reconciliationv1.ReportLine],
	Columns: []output.Column[*reconciliationv1.ReportLine]{
		{Name: "stage", Value: (*reconciliationv1.ReportLine).GetStage},
		{Name: "code", Value: (*reconciliationv1.ReportLine).GetCode},
		{Name: "amount", Value: func(l *reconciliationv1.ReportLine) string { return amount(l.GetAmount()) }},
		{Name: "day", Value: (*reconciliationv1.ReportLine).GetDay},
		{Name: "until", Value: (*reconciliationv1.ReportLine).GetUntil},
		{Name: "movements", Value: func(l *reconciliationv1.ReportLine) string { return pieces(l.GetMovements()) }},
		{Name: "reference", Value: (*reconciliationv1.ReportLine).GetReference},
		{Name: "provider_id", Value: (*reconciliationv1.ReportLine).GetProviderId},
		{Name: "payment_id", Value: (*reconciliationv1.ReportLine).GetPaymentId},
	},
}

var rulesView = output.View[*reconciliationv1.RuleSet]{
	JSON: output.Message[*reconciliationv1.RuleSet],
	Columns: []output.Column[*reconciliationv1.RuleSet]{
		{Name: "version", Value: func(s *reconciliationv1.RuleSet) string { return pieces(int64(s.GetVersion())) }},
		{Name: "active", Value: func(s *reconciliationv1.RuleSet) string { return strconv.FormatBool(s.GetActive()) }},
		{Name: "note", Value: (*reconciliationv1.RuleSet).GetNote},
		{Name: "created_by", Value: (*reconciliationv1.RuleSet).GetCreatedBy},
		{Name: "create_time", Value: func(s *reconciliationv1.RuleSet) string { return instant(s.GetCreateTime()) }},
		{Name: "hash", Value: (*reconciliationv1.RuleSet).GetHash},
	},
	Sections: func(w io.Writer, s *reconciliationv1.RuleSet) error {
		_, err := fmt.Fprintf(w, "\nDocument\n%s\n", s.GetDocument())
		return err
	},
}
