package calendar

import "time"

// Action is what is to be done with an occurrence that is due.
type Action string

// The actions there are.
const (
	// ActionRun is to start it now.
	ActionRun Action = "run"
	// ActionWait is to start it when what is ahead of it has ended.
	ActionWait Action = "wait"
	// ActionSkip is not to run it, and to write down why.
	ActionSkip Action = "skip"
)

// Skip is why an occurrence is not run.
type Skip string

// The reasons there are.
const (
	// SkipMissed: it fell due while nobody looked, and what is missed is not made up for.
	SkipMissed Skip = "missed"
	// SkipSuperseded: it was missed, and a later one is due as well.
	SkipSuperseded Skip = "superseded"
	// SkipOverlap: an earlier run of the schedule was still going.
	SkipOverlap Skip = "overlap"
)

// Verdict says what is to be done with an occurrence. Skip is empty unless it is skipped.
type Verdict struct {
	Occurrence Occurrence
	Action     Action
	Skip       Skip
}

// Missed says what becomes of occurrences that were missed.
type Missed string

// What may become of them.
const (
	// MissedRunAll runs every one of them.
	MissedRunAll Missed = "run_all"
	// MissedRunLatest runs the latest, unless one that is due later is not missed at all.
	MissedRunLatest Missed = "run_latest"
	// MissedSkipAll runs none of them.
	MissedSkipAll Missed = "skip_all"
)

// MinGrace is the shortest Misfire.Grace. No scheduler starts anything at the very instant it is due.
const MinGrace = time.Minute

// Misfire is what a schedule wants to happen with what fell due while the service was down.
type Misfire struct {
	Missed Missed
	// Grace is how late an occurrence may be and still counts as on time: it is missed when it is as late as that, or
	// later. MinGrace or more.
	Grace time.Duration
}

// Validate says what is wrong with the policy. The error is Invalid.
func (m Misfire) Validate() error {
	var v Invalid
	v.Require(m.Missed == MissedRunAll || m.Missed == MissedRunLatest || m.Missed == MissedSkipAll, "missed", "must be run_all, run_latest or skip_all")
	v.Require(m.Grace >= MinGrace, "grace", "must be %s or more", MinGrace)
	return v.Err()
}

// Decide gives a verdict on each of the occurrences of one schedule that are due at now and have not been decided on,
// in their order. Those that are not due yet have none.
func (m Misfire) Decide(due []Occurrence, now time.Time) []Verdict {
	var verdicts []Verdict
	var latest Date
	for _, o := range due {
		if o.DueAt.After(now) {
			continue
		}
		verdicts = append(verdicts, Verdict{Occurrence: o, Action: ActionRun})
		if o.Date.After(latest) { // instants are in the order of dates
			latest = o.Date
		}
	}
	for i, v := range verdicts {
		switch {
		case now.Sub(v.Occurrence.DueAt) < m.Grace || m.Missed == MissedRunAll:
		case m.Missed == MissedSkipAll:
			verdicts[i].Action, verdicts[i].Skip = ActionSkip, SkipMissed
		case v.Occurrence.Date != latest:
			verdicts[i].Action, verdicts[i].Skip = ActionSkip, SkipSuperseded
		}
	}
	return verdicts
}

// Overlap says what becomes of an occurrence that falls due while an earlier run of the same schedule is still going.
type Overlap string

// What may become of it.
const (
	// OverlapQueue lets it wait until those ahead of it have ended.
	OverlapQueue Overlap = "queue"
	// OverlapSkip skips it.
	OverlapSkip Overlap = "skip"
	// OverlapAllow runs it beside them.
	OverlapAllow Overlap = "allow"
)

// Validate says what is wrong with the policy. The error is Invalid.
func (o Overlap) Validate() error {
	var v Invalid
	v.Require(o == OverlapQueue || o == OverlapSkip || o == OverlapAllow, "overlap", "must be queue, skip or allow")
	return v.Err()
}

// Decide says what is to be done with an occurrence that is to run while ahead earlier occurrences of its schedule are
// running or waiting. An occurrence that waits is decided on again whenever one of them has ended.
func (o Overlap) Decide(occurrence Occurrence, ahead int) Verdict {
	switch {
	case ahead <= 0 || o == OverlapAllow:
		return Verdict{Occurrence: occurrence, Action: ActionRun}
	case o == OverlapSkip:
		return Verdict{Occurrence: occurrence, Action: ActionSkip, Skip: SkipOverlap}
	}
	return Verdict{Occurrence: occurrence, Action: ActionWait}
}
