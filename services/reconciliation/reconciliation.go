package reconciliation

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/outbox"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/watch"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// reconciliation holds what the use cases share.
type reconciliation struct {
	pool     *pgxpool.Pool
	outbox   *outbox.Outbox
	watchers *watch.Watchers
	log      *slog.Logger
	keyTTL   time.Duration // of clients' keys

	policy    breaks.Policy            // how breaks are judged
	poster    journalPoster            // nil where journals cannot be posted
	repairers map[breaks.Code]repairer // what drives on what caused a break
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
