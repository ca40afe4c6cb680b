package reconciliation

import (
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// FileID identifies a file that was taken in.
type FileID = id.ID[fileKind]

type fileKind struct{}

// Prefix implements id.Kind.
func (fileKind) Prefix() string { return "stf" }

// StatementID identifies a statement.
type StatementID = id.ID[statementKind]

type statementKind struct{}

// Prefix implements id.Kind.
func (statementKind) Prefix() string { return "stm" }

// What a delivery brings, as in the database.
const (
	deliveryFile    = 1
	deliveryPayouts = 2
)

// fileState is what became of a file and of its deliveries, as in the database.
type fileState int16

const (
	fileComingIn    fileState = 0
	fileAccepted    fileState = 1
	fileHeld        fileState = 2
	fileQuarantined fileState = 3
	fileDropped     fileState = 4
)

// String gives the state as people say it.
func (s fileState) String() string {
	return map[fileState]string{
		fileComingIn: "coming in", fileAccepted: "accepted", fileHeld: "held", fileQuarantined: "quarantined", fileDropped: "dropped",
	}[s]
}

// standing is what became of a statement, as in the database and the contract.
type standing int16

const (
	standingTaken    standing = 1
	standingGap      standing = 2
	standingOverlap  standing = 3
	standingRepeats  standing = 4
	standingDropped  standing = 5
	standingReleased standing = 6
	standingRefused  standing = 7
)

// held tells whether a statement keeps its file from being accepted.
func (s standing) held() bool { return s == standingGap || s == standingOverlap }

// header is what who brings a file says of it.
type header struct {
	reading
	name   string
	sha256 []byte // nil where it is not said
}

// reading is what of a header decides on what a file says.
type reading struct {
	Account  string         `json:"account"`
	Format   formats.Format `json:"format"` // empty for what its beginning says
	Side     stage          `json:"side,omitempty"`
	Currency money.Currency `json:"currency,omitempty"`
	Mapping  string         `json:"mapping,omitempty"`
}

// file is a file that was taken in.
type file struct {
	id                          FileID
	state                       fileState
	name, account               string
	format                      formats.Format
	stage                       stage
	sha256, control             []byte
	size                        int64
	delivery                    int32
	statements                  int32
	lines, pending, payoutLines int64
	movements, overlapping      int64
	proofs, failing             int64
	failingProofs               []formats.Proof
	note                        string
	repeats                     int64
	createdBy                   string
	createdAt, decidedAt        time.Time
}

// statement is what a file says of one account.
type statement struct {
	id               StatementID
	fileID           FileID
	number           int32
	standing         standing
	note             string
	senderID         string
	bankAccount      string
	series           string
	currency         money.Currency // empty where lines have several
	sequence         int64
	page             int32
	opening, closing *balance
	first, last      match.Day // on which lines were booked; noDay for none

	lines, pending, unkeyed int64
	overlapping             int64
	sums                    []sum
	firstPlace, lastPlace   int64
}

// balance is what an account holds at the beginning or end of a day.
type balance struct {
	minor int64
	day   match.Day
}

// sum is what booked lines in one currency come to, in minor units.
type sum struct {
	Currency string `json:"currency"` // also one that there is not any more, which a Currency does not read
	Credits  int64  `json:"credits"`
	Debits   int64  `json:"debits"` // less than zero
	Fees     int64  `json:"fees"`
}

// line is a movement, as people look at it.
type line struct {
	place                                                    int64
	line                                                     int32
	key                                                      string
	kind                                                     formats.Kind
	amount, original                                         money.Amount // original without a currency for none
	fee                                                      int64
	booked, value                                            match.Day
	providerID, parentID, idemKey, reference, payoutID, note string
}

func parseFileID(s string) (FileID, error) {
	fid, err := id.Parse[fileKind](s)
	if err != nil {
		return fid, rpcerr.ForField(rpcerr.RequestInvalid, "file_id", "%v", err)
	}
	return fid, nil
}

func parseStatementID(s string) (StatementID, error) {
	sid, err := id.Parse[statementKind](s)
	if err != nil {
		return sid, rpcerr.ForField(rpcerr.RequestInvalid, "statement_id", "%v", err)
	}
	return sid, nil
}

func noFile(fid FileID) error {
	return rpcerr.ForField(rpcerr.NotFound, "file_id", "there is no file %s", fid)
}

func noStatement(sid StatementID) error {
	return rpcerr.ForField(rpcerr.NotFound, "statement_id", "there is no statement %s", sid)
}
