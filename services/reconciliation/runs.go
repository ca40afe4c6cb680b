package reconciliation

import (
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// RunID identifies a run.
type RunID = id.ID[runKind]

type runKind struct{}

// Prefix implements id.Kind.
func (runKind) Prefix() string { return "run" }

// MovementID identifies a movement, by its key: it is the same in every database.
type MovementID = id.ID[movementKind]

type movementKind struct{}

// Prefix implements id.Kind.
func (movementKind) Prefix() string { return "mov" }

// movementIDOf gives the id of the movement with a key.
func movementIDOf(key match.Key) MovementID { return MovementID(key) }

// runState is how far a run has come, as in the database and the contract.
type runState int16

const (
	runRunning   runState = 1
	runFinished  runState = 2
	runCancelled runState = 3
)

// String gives the state as people say it.
func (s runState) String() string {
	return map[runState]string{runRunning: "running", runFinished: "finished", runCancelled: "cancelled"}[s]
}

// ended tells whether nothing more happens by itself.
func (s runState) ended() bool { return s != runRunning }

// run is a reconciliation.
type run struct {
	id        RunID
	number    int32
	state     runState
	asOf      match.Day
	rules     int32 // the version
	movements int64
	telling   bool

	begunBy, cancelling, trouble string
	startedAt, endedAt           time.Time
	digest, publicKey, signature []byte

	matched, movementsMatched int64
	byPass                    []int64 // from pass 1 on
	breaks                    []codeCount
	partitions                []*partitionResult // not in lists
}

// codeCount is how often something was found.
type codeCount struct {
	code  breaks.Code
	count int64
}

// partition is what is matched by itself: an account and a currency at a stage.
type partition struct {
	id                partitionID
	stage             stage
	account, currency string
}

// String names the partition for people.
func (p partition) String() string { return fmt.Sprintf("%s %s %s", p.account, p.stage, p.currency) }

// partitionResult is what a run came to in a partition.
type partitionResult struct {
	partition
	ours, theirs, oursMatched, theirsMatched, settled, matches int64
	breaks                                                     []codeCount
	digest                                                     []byte
}

// matchID is a match's id: its run's number, and its place in the run from 1.
func matchID(run int32, place int64) int64 { return int64(run)<<32 | place }

// maxPlace is the last place there may be. Matches that people make have ids less than zero.
const maxPlace = 1<<31 - 1

// parseDay reads a day of a request.
func parseDay(field, text string) (match.Day, error) {
	var d breaks.Day
	if err := d.UnmarshalText([]byte(text)); err != nil || d.Time().Year() < 1 {
		return 0, rpcerr.ForField(rpcerr.RequestInvalid, field, "%.20q is not a day like 2026-12-25", text)
	}
	return match.Day(d), nil
}

func parseRunID(s string) (RunID, error) {
	rid, err := id.Parse[runKind](s)
	if err != nil {
		return rid, rpcerr.ForField(rpcerr.RequestInvalid, "run_id", "%v", err)
	}
	return rid, nil
}

func noRun(rid RunID) error {
	return rpcerr.ForField(rpcerr.NotFound, "run_id", "there is no run %s", rid)
}

// refuse says that a run is not in a state in which something is possible.
func (r *run) refuse(what string) error {
	state := r.state.String()
	switch {
	case r.state == runRunning && r.cancelling != "":
		state = "being cancelled"
	case r.telling && r.state == runRunning:
		state = "matched, and what it found is becoming breaks,"
	}
	e := rpcerr.New(rpcerr.RunStateRefused, "run %s is %s and cannot be %s", r.id, state, what)
	e.Resource = r.id.String()
	return e
}
