package reconciliation

import (
	"crypto/ed25519"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// reconciliation holds what the use cases share.
type reconciliation struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	watchers *watch.Watchers
	log      *slog.Logger
	metrics  metrics
	imports  importMetrics
	runner   *runner
	slot     chan struct{}      // of capacity 1; see takeSlot
	stopping <-chan struct{}    // closes when the process begins to stop
	key      ed25519.PrivateKey // that runs are signed with; nil for one that is in the database
	keyTTL   time.Duration      // of clients' keys

	// read and detect are how files are read: those of package formats.
	read      func(io.Reader, formats.Options) iter.Seq2[formats.Part, error]
	detect    func(head []byte, mapped bool) (formats.Format, bool)
	pieceRows int          // how many movements of a file are written at once
	written   func(*chunk) // is told of each piece of an import that is written; nil for nobody

	// Of the internal side.
	tieOut     TieOutConfig
	ties       *ties    // nil where it does not run
	currencies sync.Map // whose partitions at the provider are known to be there

	// Of breaks.
	judging   atomic.Pointer[judging]  // how they are judged
	poster    journalPoster            // nil where journals cannot be posted
	repairers map[breaks.Code]repairer // what drives on what caused one
	breakBell periodic.Bell            // there may be journals to post, or an operation to carry out
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
