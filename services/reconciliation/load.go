package reconciliation

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// half is one side of a partition, as it was read.
type half struct {
	rows []match.Row
	// open are the ids of those that earlier runs left open, ascending.
	open []int64
	// amount and fees are what the rows come to, in minor units.
	amount, fees int64
	// settled is how many rows were left out because another one says how they ended; settledOpen are the ids of those that earlier runs
	// left open.
	settled     int64
	settledOpen []int64
	// days are what those that no run has looked at come to, by kind and day.
	days map[kindDay]dayTotal
	// originals are what rows were before they were converted, by their ids.
	originals map[int64]money.Amount
	// payouts are the texts of the payouts that rows belong to.
	payouts map[match.Token]string
	// proof is a hash of what all of them say.
	proof []byte

	proofs    [][sha256.Size]byte // of the rows, as they came in
	partition partition
	terms     *rules.Terms // of ours; nil for theirs
}

func newHalf(p partition, rows int64) *half {
	return &half{
		rows: make([]match.Row, 0, rows), proofs: make([][sha256.Size]byte, 0, rows), days: map[kindDay]dayTotal{},
		originals: map[int64]money.Amount{}, payouts: map[match.Token]string{}, partition: p,
	}
}

// kindDay is what a total is of.
type kindDay struct {
	kind match.Kind
	day  match.Day
}

// dayTotal is what movements of a kind come to on a day, in minor units.
type dayTotal struct {
	movements    int32
	amount, fees int64
}

// loader reads rows of one side as COPY sends them in binary: a heading, then each row as its values behind their lengths.
type loader struct {
	ours   bool
	halves map[partitionID]*half
	tokens tokens
	begun  bool
	rest   []byte // of a row that is not whole yet
	last   *half  // most rows are of the same partition as the one before
	seen   func(rows int)
	unsaid int
}

// load reads the rows of a side into its halves, which have room for them.
func (l *loader) load(ctx context.Context, pool *pgxpool.Pool, statement string) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("acquiring connection: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Conn().PgConn().CopyTo(ctx, l, statement); err != nil {
		return fmt.Errorf("reading movements: %w", err)
	}
	for _, h := range l.halves {
		slices.Sort(h.open)
		if err := h.arrange(); err != nil {
			return err
		}
	}
	l.seen(l.unsaid)
	return nil
}

const (
	copySignature = "PGCOPY\n\377\r\n\000"
	copyHeading   = len(copySignature) + 8
	// The fields of a row, in the order of source.rows.
	rowFields = 18
	// firstOptional is the first field that may be NULL. It is no part of what a row says then, so that what rows say does not change
	// with what others may say.
	firstOptional = 16
	// firstProven is the first field that is part of what a row says; those before are names within the database.
	firstProven = 4
	// sayEvery is how many rows are read until somebody is told.
	sayEvery = 1 << 16
)

// epochDays are from 1970-01-01 to 2000-01-01, from which Postgres counts.
const epochDays = 10_957

// Write implements io.Writer: it takes the next bytes of the stream.
func (l *loader) Write(p []byte) (int, error) {
	taken := len(p)
	if len(l.rest) > 0 {
		l.rest = append(l.rest, p...)
		p = l.rest
	}
	if !l.begun {
		if len(p) < copyHeading {
			l.rest = append(l.rest[:0], p...)
			return taken, nil
		}
		p, l.begun = p[copyHeading:], true
	}
	for {
		n, err := l.row(p)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		p = p[n:]
	}
	l.rest = append(l.rest[:0], p...)
	return taken, nil
}

// row takes the row that p begins with, and gives its length; 0 when not all of it is there.
func (l *loader) row(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, nil
	}
	if int16(binary.BigEndian.Uint16(p)) == -1 {
		return 2, nil // the end
	}
	if n := binary.BigEndian.Uint16(p); n != rowFields {
		return 0, fmt.Errorf("a row has %d values, not %d", n, rowFields)
	}
	var fields [rowFields][]byte
	at, proven, said := 2, 0, 0
	for i := range fields {
		if i == firstProven {
			proven = at
		}
		if len(p) < at+4 {
			return 0, nil
		}
		size := int32(binary.BigEndian.Uint32(p[at:]))
		if size < 0 {
			if i < firstOptional {
				return 0, errors.New("a row has a value that is NULL")
			}
			at += 4
			continue
		}
		if len(p) < at+4+int(size) {
			return 0, nil
		}
		fields[i] = p[at+4 : at+4+int(size)]
		at += 4 + int(size)
		said = at
	}
	return at, l.add(&fields, p[proven:said])
}

// add takes one row. What is proven of it are the bytes that its values came in.
func (l *loader) add(fields *[rowFields][]byte, proven []byte) error {
	u16, u32, u64 := binary.BigEndian.Uint16, binary.BigEndian.Uint32, binary.BigEndian.Uint64
	if place := partitionID(u32(fields[2])); l.last == nil || l.last.partition.id != place {
		if l.last = l.halves[place]; l.last == nil {
			return fmt.Errorf("partition %d appeared", place)
		}
	}
	h, id, settled, wasOpen := l.last, int64(u64(fields[1])), fields[0][0] != 0, fields[3][0] != 0
	if settled {
		h.settled++
		if wasOpen {
			h.settledOpen = append(h.settledOpen, id)
		}
		return nil
	}
	row := match.Row{
		ID: id, Key: match.Key(fields[4]), Kind: match.Kind(u16(fields[6])), Standing: match.Standing(u16(fields[7])),
		Amount: int64(u64(fields[8])), Fee: int64(u64(fields[9])), Day: match.Day(int32(u32(fields[10])) + epochDays),
	}
	for c := range match.NumCarriers {
		row.Carriers[c] = l.tokens.of(fields[11+c])
	}
	if wasOpen {
		h.open = append(h.open, row.ID)
	}
	if err := h.count(row, wasOpen); err != nil {
		return fmt.Errorf("movement %s of %s: %w", movementIDOf(row.Key), h.partition, err)
	}
	if fields[firstOptional] != nil {
		h.originals[row.ID] = money.Amount{Currency: money.Currency(fields[firstOptional+1]), Minor: int64(u64(fields[firstOptional]))}
	}
	if payout := row.Carriers[match.CarrierPayout]; !payout.IsZero() {
		if _, known := h.payouts[payout]; !known {
			h.payouts[payout] = string(fields[11+match.CarrierPayout])
		}
	}
	if h.terms != nil {
		row.Due = h.terms.Due(row.Kind, row.Day)
		expected, known, err := h.terms.Fee(row.Kind, row.Amount)
		if err != nil {
			return fmt.Errorf("movement %s of %s: %w", movementIDOf(row.Key), h.partition, err)
		}
		if known {
			row.Fee, row.FeeKnown = expected, true
		}
	}
	h.rows = append(h.rows, row)
	h.proofs = append(h.proofs, sha256.Sum256(proven))
	if l.unsaid++; l.unsaid == sayEvery {
		l.seen(l.unsaid)
		l.unsaid = 0
	}
	return nil
}

// count adds a row to what the half comes to.
func (h *half) count(row match.Row, wasOpen bool) error {
	var err error
	if h.amount, err = plus(h.amount, row.Amount); err != nil {
		return err
	}
	if h.fees, err = plus(h.fees, row.Fee); err != nil {
		return err
	}
	if _, err := plus(row.Amount, -row.Fee); err != nil || row.Fee == math.MinInt64 {
		return errors.New("what arrives of it does not fit 64 bits")
	}
	if wasOpen || h.terms != nil && row.Standing != match.Booked {
		return nil
	}
	return h.onDay(row)
}

// onDay adds a row to what its day comes to.
func (h *half) onDay(row match.Row) (err error) {
	key := kindDay{row.Kind, row.Day}
	t := h.days[key]
	t.movements++
	if t.amount, err = plus(t.amount, row.Amount); err != nil {
		return err
	}
	if t.fees, err = plus(t.fees, row.Fee); err != nil {
		return err
	}
	h.days[key] = t
	return nil
}

// errSum means that amounts do not add up within 64 bits.
var errSum = fmt.Errorf("%w: with it, the sum does not fit 64 bits", money.ErrOverflow)

// plus adds minor units of the same currency.
func plus(a, b int64) (int64, error) {
	s := a + b
	if (s > a) != (b > 0) && b != 0 {
		return 0, errSum
	}
	return s, nil
}

// wasOpen says whether an earlier run left a row open.
func (h *half) wasOpen(id int64) bool {
	_, found := slices.BinarySearch(h.open, id)
	return found
}

// arrange puts the rows in the order of their keys, and makes one hash of what all of them say.
func (h *half) arrange() error {
	order, to := match.Order(h.rows), sha256.New()
	for _, at := range order {
		to.Write(h.proofs[at][:])
	}
	h.proof, h.proofs = to.Sum(nil), nil
	if err := match.Arrange(h.rows, order); err != nil {
		return fmt.Errorf("%s: %w", h.partition, err)
	}
	return nil
}
