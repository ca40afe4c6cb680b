// Package reconciling follows reconciliations, and says what came of them.
package reconciling

import (
	"cmp"
	"context"
	"math"
	"strings"

	"github.com/tieout/tieout/cmd/tieout/resend"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// Summary is what came of a run.
type Summary struct {
	RunID  string `json:"run_id"`
	Number int32  `json:"number"`
	State  string `json:"state"`
	AsOf   string `json:"as_of"`
	// Matched is how many matches the run made, MatchedByPass the same by pass.
	Matched       int64            `json:"matched"`
	MatchedByPass map[string]int64 `json:"matched_by_pass"`
	// Breaks is what it found, by code; Timing is what is merely not due yet, and no break.
	Breaks map[string]int64 `json:"breaks"`
	// Ambiguous is how often several were equally good.
	Ambiguous int64  `json:"ambiguous"`
	Digest    string `json:"digest"`
	// DurationS is how long the run took, in seconds, and RowsPerS how many movements it looked at in one of them.
	DurationS float64 `json:"duration_s"`
	RowsPerS  float64 `json:"rows_per_s"`
}

// The codes that are told apart.
const (
	codeTiming    = "TIMING_OPEN"
	codeAmbiguous = "AMBIGUOUS"
)

// Summarize gives what came of a run.
func Summarize(r *reconciliationv1.Run) Summary {
	s := Summary{
		RunID: r.GetRunId(), Number: r.GetNumber(), AsOf: r.GetAsOf(), Matched: r.GetMatched(), Digest: r.GetDigest(),
		State:         strings.ToLower(strings.TrimPrefix(r.GetState().String(), "RUN_STATE_")),
		MatchedByPass: map[string]int64{}, Breaks: map[string]int64{},
	}
	for _, p := range r.GetMatchedByPass() {
		s.MatchedByPass[strings.ToLower(strings.TrimPrefix(p.GetPass().String(), "PASS_"))] = p.GetMatches()
	}
	for _, c := range r.GetBreaks() {
		s.Breaks[c.GetCode()] = c.GetCount()
	}
	s.Ambiguous = s.Breaks[codeAmbiguous]
	if r.GetEndTime() != nil {
		took := r.GetEndTime().AsTime().Sub(r.GetStartTime().AsTime()).Seconds()
		s.DurationS = math.Round(took*1000) / 1000
		s.RowsPerS = math.Round(float64(r.GetMovements()) / cmp.Or(took, 1))
	}
	return s
}

// Unexplained is how many breaks there are, without what is merely not due yet.
func (s Summary) Unexplained() (n int64) {
	for code, count := range s.Breaks {
		if code != codeTiming {
			n += count
		}
	}
	return n
}

// Follow watches a run until it has ended, and gives it as it stood then. Each is told how it stands, again and again. A stream
// that breaks is resumed for as long as the resender's patience lasts.
func Follow(ctx context.Context, client reconciliationv1.ReconciliationServiceClient, r *resend.Resender, runID string, each func(*reconciliationv1.Run)) (*reconciliationv1.Run, error) {
	var last *reconciliationv1.Run
	err := resend.Follow(ctx, r, func(ctx context.Context) (resend.Stream[*reconciliationv1.WatchRunResponse], error) {
		return client.WatchRun(ctx, &reconciliationv1.WatchRunRequest{RunId: runID})
	}, func(answer *reconciliationv1.WatchRunResponse) (bool, error) {
		last = answer.GetRun()
		each(last)
		return last.GetEndTime() != nil, nil
	})
	return last, err
}
