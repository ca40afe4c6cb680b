package reconciliation

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const (
	methodRelease = "ReleaseStatement"
	methodDrop    = "DropStatement"
)

// decision is what a person wants done to what is held.
type decision struct {
	request
	target, reason string
	file           FileID
	statement      StatementID // zero for all of the file
}

// refer finds out what a decision is about.
func (r *reconciliation) refer(ctx context.Context, d *decision) error {
	fid, err := id.Parse[fileKind](d.target)
	if err == nil {
		d.file = fid
		if _, err = r.readFile(ctx, fid); rpcerr.Is(err, rpcerr.NotFound) {
			return rpcerr.ForField(rpcerr.NotFound, "statement_id", "there is no file %s", fid)
		}
		return err
	}
	if d.statement, err = parseStatementID(d.target); err != nil {
		return err
	}
	s, err := r.readStatement(ctx, d.statement)
	if err != nil {
		return err
	}
	d.file = s.fileID
	return nil
}

// change does something to a file that it holds, once, with an audit row, and gives the file after it.
func (r *reconciliation) change(ctx context.Context, d decision, method, verb string,
	do func(context.Context, *pg.Tx, reconciliationdb.LockFileRow, []*entry) error,
) (*file, error) {
	once := d.idem(method, r.keyTTL, idem.Field{Name: "statement_id", Value: d.target}, idem.Field{Name: "reason", Value: d.reason})
	_, err := idem.Once(ctx, r.pool, once, func(ctx context.Context, tx *pg.Tx) (FileID, string, error) {
		st := newStore(tx)
		if err := st.q.LockDecisions(ctx); err != nil {
			return d.file, "", fmt.Errorf("locking decisions: %w", err)
		}
		f, err := st.q.LockFile(ctx, d.file.UUID())
		if errors.Is(err, pgx.ErrNoRows) {
			return d.file, "", noFile(d.file)
		}
		if err != nil {
			return d.file, "", fmt.Errorf("locking file: %w", err)
		}
		own, err := st.entries(ctx, f.ID, "")
		if err != nil {
			return d.file, "", err
		}
		if err := do(ctx, tx, f, own); err != nil {
			return d.file, "", err
		}
		err = st.q.InsertAction(ctx, reconciliationdb.InsertActionParams{
			ID: uuid.Must(uuid.NewV7()), Actor: d.caller, Verb: verb, Target: d.target, Reason: d.reason,
		})
		if err != nil {
			return d.file, "", fmt.Errorf("writing audit row: %w", err)
		}
		return d.file, d.file.String(), nil
	})
	if err != nil {
		return nil, err
	}
	if err := r.clear(ctx, d.file); err != nil {
		return nil, err
	}
	return r.readFile(ctx, d.file)
}

// release takes what is held of a file, or one statement of it, as it is.
func (r *reconciliation) release(ctx context.Context, d decision) (*file, error) {
	if err := r.refer(ctx, &d); err != nil {
		return nil, err
	}
	return r.change(ctx, d, methodRelease, "release", func(ctx context.Context, tx *pg.Tx, f reconciliationdb.LockFileRow, own []*entry) error {
		if fileState(f.State) != fileHeld || f.Clearing {
			return d.refuse(f, "released")
		}
		var changed []*entry
		for _, s := range own {
			if d.statement.IsZero() && s.standing.held() || d.statement.UUID() == s.id {
				changed = append(changed, s)
			}
			if d.statement.UUID() == s.id && !s.standing.held() {
				return rpcerr.New(rpcerr.StatementStateRefused, "statement %s is not held", d.statement)
			}
		}
		if len(changed) == 0 {
			return rpcerr.New(rpcerr.StatementStateRefused, "no statement of file %s is held; it waits for another file", d.file)
		}
		for _, s := range changed {
			s.standing, s.note = standingReleased, ""
		}
		if err := newStore(tx).setStandings(ctx, changed); err != nil {
			return err
		}
		return r.settle(ctx, tx)
	})
}

// drop throws a file away that does not count, or one statement of it.
func (r *reconciliation) drop(ctx context.Context, d decision) (*file, error) {
	if err := r.refer(ctx, &d); err != nil {
		return nil, err
	}
	of, err := r.readFile(ctx, d.file)
	if err != nil {
		return nil, err
	}
	var dropped *file
	err = r.alone(ctx, of.account, of.stage, func(ctx context.Context) error {
		// What is left of imports may count on what is dropped, and nobody brings it at this moment.
		if err := newStore(r.pool).abandonOthers(ctx, header{reading: reading{Account: of.account, Side: of.stage}}, FileID{}); err != nil {
			return err
		}
		dropped, err = r.change(ctx, d, methodDrop, "drop", func(ctx context.Context, tx *pg.Tx, f reconciliationdb.LockFileRow, own []*entry) error {
			return r.dropHeld(ctx, tx, d, f, own)
		})
		return err
	})
	return dropped, err
}

func (r *reconciliation) dropHeld(ctx context.Context, tx *pg.Tx, d decision, f reconciliationdb.LockFileRow, own []*entry) error {
	st := newStore(tx)
	if state := fileState(f.State); state != fileHeld && state != fileQuarantined || f.Clearing {
		return d.refuse(f, "dropped")
	}
	deliveries := []int32{f.DeliveryID}
	if f.PayoutsID != nil {
		deliveries = append(deliveries, *f.PayoutsID)
	}
	leaning, err := st.q.LeaningFile(ctx, deliveries)
	if err == nil {
		e := rpcerr.New(rpcerr.StatementStateRefused, "file %s has lines that are counted as those of file %s: drop that first, and import it again afterwards",
			FileID(leaning), d.file)
		e.Resource = FileID(leaning).String()
		return e
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("looking for files that count on this one: %w", err)
	}
	var changed []*entry
	left := false
	for _, s := range own {
		switch {
		case s.standing == standingDropped:
		case d.statement.IsZero() || d.statement.UUID() == s.id:
			s.standing, s.note = standingDropped, ""
			changed = append(changed, s)
		default:
			left = true
		}
	}
	if left && (stage(f.Stage) == stageProvider || fileState(f.State) == fileQuarantined) {
		return rpcerr.New(rpcerr.StatementStateRefused, "file %s is dropped as a whole or not at all", d.file)
	}
	if len(changed) == 0 && !d.statement.IsZero() {
		return rpcerr.New(rpcerr.StatementStateRefused, "statement %s was dropped before", d.statement)
	}
	if err := st.setStandings(ctx, changed); err != nil {
		return err
	}
	to := fileHeld
	if !left {
		to = fileDropped
	}
	if err := st.setFile(ctx, d.file, to, ""); err != nil {
		return err
	}
	if err := st.q.BeginClearing(ctx, d.file.UUID()); err != nil {
		return fmt.Errorf("writing file: %w", err)
	}
	if err := st.setDeliveries(ctx, d.file); err != nil || to == fileHeld {
		return err // what is left is judged when it is cleared
	}
	return r.seeFile(ctx, tx, d.file)
}

// refuse says that a file is not in a state in which something is possible.
func (d decision) refuse(f reconciliationdb.LockFileRow, what string) error {
	state := fileState(f.State).String()
	if f.Clearing {
		state = "being cleared"
	}
	e := rpcerr.New(rpcerr.StatementStateRefused, "file %s is %s and cannot be %s", d.file, state, what)
	e.Resource = d.file.String()
	return e
}
