package reconciliation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

var (
	// errTakenOver says that somebody else brings the file, or that what was written of it was removed.
	errTakenOver = rpcerr.New(rpcerr.IdempotencyKeyInFlight, "somebody else has begun to bring the file; send it again")
	// errOtherContent says that what was written of a file is not what it says. It was removed.
	errOtherContent = rpcerr.New(rpcerr.IdempotencyKeyInFlight, "what was left of an earlier attempt was of another content, and is removed; send the file again")
)

// copier writes a file's pieces, one behind the other, while the next one is read.
type copier struct {
	r                 *reconciliation
	account           string
	file              FileID
	attempt           int32
	delivery, payouts int32

	pieces     int32             // that have come
	control    [sha256.Size]byte // over their lines
	done       int32             // pieces that were written by an earlier attempt
	doneUp     []byte            // their control
	partitions map[partitionKey]int32
	buffer     []byte
}

// uniqueViolation is what Postgres calls a key that is there already.
const uniqueViolation = "23505"

// partitionKey names a partition of the copier's account.
type partitionKey struct {
	stage    stage
	currency money.Currency
}

// start gives the function that hands over a piece and gives an empty one, and one that waits until all are written.
func (w *copier) start(ctx context.Context) (hand func(*chunk) (*chunk, error), wait func() error) {
	full, empty, ended := make(chan *chunk), make(chan *chunk, 2), make(chan struct{})
	empty <- &chunk{}
	empty <- &chunk{}
	var failed error
	go func() {
		defer close(ended)
		for p := range full {
			if failed = w.write(ctx, p); failed != nil {
				return
			}
			p.rows = p.rows[:0]
			empty <- p
		}
	}()
	hand = func(p *chunk) (*chunk, error) {
		if p != nil {
			select {
			case full <- p:
			case <-ended:
				return nil, failed
			}
		}
		select {
		case next := <-empty:
			return next, nil
		case <-ended:
			return nil, failed
		}
	}
	return hand, func() error {
		close(full)
		<-ended
		return failed
	}
}

// write writes a piece, unless an earlier attempt did.
func (w *copier) write(ctx context.Context, p *chunk) error {
	if err := w.encode(ctx, p); err != nil {
		return err
	}
	w.pieces++
	if w.pieces <= w.done {
		if w.pieces == w.done && !bytes.Equal(w.control[:], w.doneUp) {
			return errOtherContent
		}
		return nil
	}
	written := reconciliationdb.WritePieceParams{
		ID: w.file.UUID(), Attempt: w.attempt, Pieces: w.pieces, Control: w.control[:], Lines: p.lines, LeansOn: []int32{},
	}
	for i := range p.rows {
		if p.rows[i].delivery == w.delivery {
			written.Movements++
		}
	}
	err := pg.InTx(ctx, w.r.pool, func(tx *pg.Tx) error {
		if err := newStore(tx).writePiece(ctx, written); err != nil || len(p.rows) == 0 {
			return err
		}
		return copyMovements(ctx, tx, w.buffer)
	})
	if violated, ok := errors.AsType[*pgconn.PgError](err); ok && violated.Code == uniqueViolation {
		err = w.writeWhatIsNew(ctx, p, written)
	}
	if err == nil && w.r.written != nil {
		w.r.written(p)
	}
	return err
}

// encode makes the rows of a piece as they are written, and counts them into the control.
func (w *copier) encode(ctx context.Context, p *chunk) error {
	control := sha256.New()
	control.Write(w.control[:])
	w.buffer = append(w.buffer[:0], copyHead...)
	for i := range p.rows {
		m := &p.rows[i]
		partition, err := w.partition(ctx, m.stage, m.currency)
		if err != nil {
			return err
		}
		begin := len(w.buffer)
		w.buffer = m.append(w.buffer, partition)
		control.Write(w.buffer[begin+placedIn:])
		w.buffer = append(w.buffer, m.currency...)
		end := len(w.buffer) - len(m.currency)
		control.Write(w.buffer[end:])
		w.buffer = w.buffer[:end]
	}
	w.buffer = append(w.buffer, copyTail...)
	control.Sum(w.control[:0])
	return nil
}

// partition gives the number of a partition of the account, which is made where there is none.
func (w *copier) partition(ctx context.Context, s stage, c money.Currency) (int32, error) {
	key := partitionKey{s, c}
	if found, known := w.partitions[key]; known {
		return found, nil
	}
	made, err := newStore(w.r.pool).partition(ctx, s, w.account, c)
	if err == nil {
		w.partitions[key] = made
	}
	return made, err
}

func (s store) partition(ctx context.Context, at stage, account string, c money.Currency) (int32, error) {
	made, err := s.q.PutPartitions(ctx, reconciliationdb.PutPartitionsParams{Stage: int16(at), Accounts: []string{account}, Currencies: []string{string(c)}})
	if err != nil || len(made) != 1 {
		return 0, fmt.Errorf("making a partition: %w", err)
	}
	return made[0].ID, nil
}

// writePiece notes that a piece is written. It fails with errTakenOver unless the attempt is the last one.
func (s store) writePiece(ctx context.Context, p reconciliationdb.WritePieceParams) error {
	n, err := s.q.WritePiece(ctx, p)
	if err != nil {
		return fmt.Errorf("writing a piece: %w", err)
	}
	if n == 0 {
		return errTakenOver
	}
	return nil
}

// holdFile holds the row of a file for an attempt to bring it. It fails with errTakenOver unless that is the last one.
func (s store) holdFile(ctx context.Context, fid FileID, attempt int32) error {
	n, err := s.q.TouchFile(ctx, reconciliationdb.TouchFileParams{ID: fid.UUID(), Attempt: attempt})
	if err != nil {
		return fmt.Errorf("holding a file: %w", err)
	}
	if n == 0 {
		return errTakenOver
	}
	return nil
}

// writeWhatIsNew writes those movements of a piece that are not there yet. A key that is there already is a line of this file
// again, which is an occurrence of its own, or a line that another file has brought, which is not taken in again.
func (w *copier) writeWhatIsNew(ctx context.Context, p *chunk, written reconciliationdb.WritePieceParams) error {
	return pg.InTx(ctx, w.r.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		if err := st.holdFile(ctx, w.file, w.attempt); err != nil {
			return err
		}
		a := again{copier: w, st: st, next: map[[16]byte]int32{}, there: map[[16]byte]reconciliationdb.FindMovementsRow{}, written: &written}
		fresh, err := a.sort(ctx, p.rows)
		if err != nil {
			return err
		}
		if len(fresh) > 0 {
			rows := append([]byte{}, copyHead...)
			for i := range fresh {
				rows = fresh[i].append(rows, w.partitions[partitionKey{fresh[i].stage, fresh[i].currency}])
			}
			if err := copyMovements(ctx, tx, append(rows, copyTail...)); err != nil {
				return err
			}
		}
		return st.writePiece(ctx, written)
	})
}
