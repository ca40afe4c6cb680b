package reconciliation

import (
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// reconciliation holds what the use cases share.
type reconciliation struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	watchers *watch.Watchers
	log      *slog.Logger
	keyTTL   time.Duration // of clients' keys
	imports  importMetrics

	// read and detect are how files are read: those of package formats.
	read      func(io.Reader, formats.Options) iter.Seq2[formats.Part, error]
	detect    func(head []byte, mapped bool) (formats.Format, bool)
	pieceRows int          // how many movements of a file are written at once
	written   func(*piece) // is told of each piece of an import that is written; nil for nobody
}

// stage is where two sides are compared, as in the database.
type stage int16

const (
	stageProvider stage = 1 // what we booked, and the provider's report
	stageBank     stage = 2 // payouts, and the bank statement
)

// String gives the stage as people say it.
func (s stage) String() string {
	return map[stage]string{stageProvider: "provider", stageBank: "bank"}[s]
}

// defaultAccount is the account with the payment provider where nobody says which.
const defaultAccount = "default"

// movementID is a movement's id: its delivery's, and its place in it from 1.
func movementID(delivery, place int32) int64 { return int64(delivery)<<32 | int64(place) }
