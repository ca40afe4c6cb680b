package reconciliation

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// movement is a row of the table, of which another side's columns are left as they are by default.
type movement struct {
	delivery, place int32
	key             uuid.UUID
	stage           stage
	currency        money.Currency
	ours            bool
	kind            match.Kind
	amount, fee     int64
	original        money.Amount // what it was before it was converted; no currency for none
	day, otherDay   match.Day    // otherDay may be noDay
	line            int32

	providerID, parentID, idemKey, reference, payoutID, note string
}

// noDay is where there is no day.
const noDay match.Day = math.MinInt32

// dayOf is the civil day of a time, in UTC.
func dayOf(t time.Time) match.Day {
	s := t.Unix()
	day := s / 86400
	if s%86400 < 0 {
		day--
	}
	return match.Day(day)
}

// pgDay is a day as Postgres counts them.
func pgDay(d match.Day) uint32 { return uint32(d - 10957) } // from 2000-01-01

// movementColumns are what append writes. The first two differ from database to database; the rest says what the movement is.
var movementColumns = []string{
	"id", "partition_id", "key", "ours", "kind", "amount_minor", "fee_minor", "day", "other_day", "line",
	"provider_id", "parent_id", "idem_key", "reference", "payout_id", "note", "original_minor", "original_currency",
}

// placedIn is how many bytes of a row are the number of its columns and the first two of them.
const placedIn = 2 + 4 + 8 + 4 + 4

// append adds the row to b as COPY takes it in its binary format.
func (m *movement) append(b []byte, partition int32) []byte {
	be := binary.BigEndian
	b = be.AppendUint16(b, uint16(len(movementColumns)))
	b = be.AppendUint64(be.AppendUint32(b, 8), uint64(movementID(m.delivery, m.place)))
	b = be.AppendUint32(be.AppendUint32(b, 4), uint32(partition))
	b = append(be.AppendUint32(b, 16), m.key[:]...)
	ours := byte(0)
	if m.ours {
		ours = 1
	}
	b = append(be.AppendUint32(b, 1), ours)
	b = be.AppendUint16(be.AppendUint32(b, 2), uint16(m.kind))
	b = be.AppendUint64(be.AppendUint32(b, 8), uint64(m.amount))
	b = be.AppendUint64(be.AppendUint32(b, 8), uint64(m.fee))
	b = be.AppendUint32(be.AppendUint32(b, 4), pgDay(m.day))
	if m.otherDay == noDay {
		b = be.AppendUint32(b, math.MaxUint32)
	} else {
		b = be.AppendUint32(be.AppendUint32(b, 4), pgDay(m.otherDay))
	}
	b = be.AppendUint32(be.AppendUint32(b, 4), uint32(m.line))
	for _, text := range [...]string{m.providerID, m.parentID, m.idemKey, m.reference, m.payoutID, m.note} {
		b = append(be.AppendUint32(b, uint32(len(text))), text...)
	}
	if m.original.Currency == "" {
		return be.AppendUint32(be.AppendUint32(b, math.MaxUint32), math.MaxUint32)
	}
	b = be.AppendUint64(be.AppendUint32(b, 8), uint64(m.original.Minor))
	return append(be.AppendUint32(b, uint32(len(m.original.Currency))), m.original.Currency...)
}

// copyHead and copyTail stand before and behind the rows of a COPY.
var (
	copyHead = append([]byte("PGCOPY\n\xff\r\n\x00"), 0, 0, 0, 0, 0, 0, 0, 0)
	copyTail = []byte{0xff, 0xff}
)

// copyMovements writes rows that append has made, between copyHead and copyTail. It is several times as fast as handing the
// values to the driver.
func copyMovements(ctx context.Context, tx *pg.Tx, rows []byte) error {
	copying := "COPY movement (" + strings.Join(movementColumns, ", ") + ") FROM STDIN BINARY"
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(rows), copying); err != nil {
		return fmt.Errorf("writing movements: %w", err)
	}
	return nil
}
