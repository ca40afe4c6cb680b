package reconciliation

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// errLost means that a run is not this process' to go on with: it was cancelled, or another process has taken it up.
var errLost = errors.New("the run is another's, or was cancelled")

const (
	// pieceSize is how many matches are written in one transaction.
	pieceSize = 50_000
	// writers are how many pieces, or breaks of partitions, are written at once.
	writers = 2
)

// tenure is a run in the hands of one process.
type tenure struct {
	number, epoch int32
}

// hold makes sure that the run is still the process', and that it stays so to the end of the transaction.
func (s store) hold(ctx context.Context, t tenure) error {
	n, err := s.q.HoldRun(ctx, reconciliationdb.HoldRunParams{Number: t.number, Epoch: t.epoch})
	if err != nil {
		return fmt.Errorf("holding run: %w", err)
	}
	if n == 0 {
		return errLost
	}
	return nil
}

// writer stores what a run comes to. What is there already, from a process that did not come to the end, is not written again.
type writer struct {
	tenure
	pool      *pgxpool.Pool
	pieceSize int
	written   map[pieceID]bool
	results   map[partitionID]reconciliationdb.ListRunPartitionsRow
	// wrote is told after each piece.
	wrote func()
}

// pieceID names a piece of a partition's matches, from 0.
type pieceID struct {
	partition partitionID
	piece     int32
}

// piece is matches that are written in one transaction.
type piece struct {
	pieceID
	pairs              []byte // as COPY takes them
	matches, movements int32
}

// newWriter makes the writer of a run, as far as it has come.
func newWriter(ctx context.Context, pool *pgxpool.Pool, t tenure) (*writer, error) {
	w := &writer{
		tenure: t, pool: pool, pieceSize: pieceSize, wrote: func() {},
		written: map[pieceID]bool{}, results: map[partitionID]reconciliationdb.ListRunPartitionsRow{},
	}
	q := newStore(pool).q
	pieces, err := q.ListPieces(ctx, t.number)
	if err != nil {
		return nil, fmt.Errorf("reading how far the run has come: %w", err)
	}
	for _, p := range pieces {
		w.written[pieceID{p.PartitionID, p.Piece}] = true
	}
	results, err := q.ListRunPartitions(ctx, t.number)
	if err != nil {
		return nil, fmt.Errorf("reading how far the run has come: %w", err)
	}
	for _, r := range results {
		w.results[r.PartitionID] = r
	}
	return w, nil
}

// done implements sink.
func (w *writer) done(account []*part) (matches int64, done bool) {
	for _, p := range account {
		r, there := w.results[p.id]
		if !there {
			return 0, false
		}
		matches += int64(r.Matches)
	}
	return matches, true
}

// matches implements sink.
func (w *writer) matches(ctx context.Context, p *part) error {
	pieces := make(chan *piece)
	g, ctx := errgroup.WithContext(ctx)
	for range writers {
		g.Go(func() error {
			for piece := range pieces {
				if err := w.write(ctx, piece); err != nil {
					return err
				}
				w.wrote()
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(pieces)
		return w.cut(ctx, p, func(made *piece) error {
			select {
			case pieces <- made:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	return g.Wait()
}

// cut makes pieces of matches, and hands on those that are not written.
func (w *writer) cut(ctx context.Context, p *part, hand func(*piece) error) error {
	var made *piece
	place, next := p.first, int32(0)
	finish := func() error {
		if made == nil || w.written[made.pieceID] {
			return ctx.Err()
		}
		return hand(made)
	}
	for m := range p.all() {
		if made == nil || int(made.matches) == w.pieceSize {
			if err := finish(); err != nil {
				return err
			}
			made = &piece{pieceID: pieceID{p.id, next}, pairs: make([]byte, 0, int64(pairSize)*min(int64(w.pieceSize), p.first+p.matches()-place))}
			next++
		}
		made.matches++
		if !w.written[made.pieceID] {
			made.add(p, matchID(w.number, place), m)
		}
		place++
	}
	return finish()
}

// add adds the pairs of a match: one, nearly always.
func (made *piece) add(p *part, id int64, m match.Match) {
	made.movements += int32(len(m.Ours) + len(m.Theirs))
	for i := range max(len(m.Ours), len(m.Theirs)) {
		b := binary.BigEndian.AppendUint16(made.pairs, 10)
		b = appendInt64(b, id)
		b = appendMovement(b, p.oursIDs, m.Ours, i)
		b = appendMovement(b, p.theirsIDs, m.Theirs, i)
		b = appendInt32(b, p.id)
		b = appendInt32(b, int32(i)+1)
		for _, n := range []int16{int16(m.Pass), int16(m.OursBy), int16(m.TheirsBy), m.Score} {
			b = binary.BigEndian.AppendUint32(b, 2)
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(m.Evidence)))
		made.pairs = append(b, m.Evidence...)
	}
}

// pairSize is how many bytes a pair takes whose match has no evidence.
const pairSize = 2 + 3*12 + 2*8 + 4*6 + 4

// pairColumns are the columns of a pair, in the order in which add has them.
const pairColumns = "match_id, ours_id, theirs_id, partition_id, number, pass, ours_by, theirs_by, score, evidence"

// appendMovement appends the id of a movement of one side of a match, or NULL where it has no more.
func appendMovement(b []byte, ids []int64, places []int32, i int) []byte {
	if i >= len(places) {
		return append(b, 0xff, 0xff, 0xff, 0xff)
	}
	return appendInt64(b, ids[places[i]])
}

func appendInt64(b []byte, n int64) []byte {
	b = binary.BigEndian.AppendUint32(b, 8)
	return binary.BigEndian.AppendUint64(b, uint64(n))
}

func appendInt32(b []byte, n int32) []byte {
	b = binary.BigEndian.AppendUint32(b, 4)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// write stores a piece.
func (w *writer) write(ctx context.Context, made *piece) error {
	return pg.InTx(ctx, w.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.hold(ctx, w.tenure); err != nil {
			return err
		}
		err := st.q.InsertPiece(ctx, reconciliationdb.InsertPieceParams{
			RunNumber: w.number, PartitionID: made.partition, Piece: made.piece, Matches: made.matches, Movements: made.movements,
		})
		if err != nil {
			return fmt.Errorf("writing piece: %w", err)
		}
		return copyIn(ctx, tx, "match_pair ("+pairColumns+")", made.pairs)
	})
}

// copyIn writes rows that are encoded as COPY takes them in binary.
func copyIn(ctx context.Context, tx *pg.Tx, table string, rows []byte) error {
	heading := append([]byte(copySignature), make([]byte, copyHeading-len(copySignature))...)
	stream := io.MultiReader(bytes.NewReader(heading), bytes.NewReader(rows), bytes.NewReader([]byte{0xff, 0xff}))
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, stream, "COPY "+table+" FROM STDIN (FORMAT binary)"); err != nil {
		return fmt.Errorf("writing %s: %w", table, err)
	}
	return nil
}
