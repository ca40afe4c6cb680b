package reconciliation

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

const methodImport = "ImportStatement"

var (
	errNoSide = rpcerr.ForField(rpcerr.RequestInvalid, "header.side", "a CSV file does not say whether it is the provider's or the bank's")
	// errNotThere ends the look for a file that is there already.
	errNotThere = errors.New("the content is new")
)

// imported is what is answered to an import.
type imported struct {
	File FileID `json:"file_id"`
	// Duplicate says that the file was there before.
	Duplicate bool `json:"duplicate"`
}

// content is what a file has been so far.
type content struct {
	hash.Hash
	size int64
}

// Write implements io.Writer.
func (c *content) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.Hash.Write(p)
}

// importFile takes a file in, and tells whether it was there before.
func (r *reconciliation) importFile(ctx context.Context, from request, h header, in io.Reader) (*file, bool, error) {
	mapping, err := h.check()
	if err != nil {
		return nil, false, err
	}
	said, err := h.fields()
	if err != nil {
		return nil, false, err
	}
	answer, err := r.known(ctx, from, h, said)
	if errors.Is(err, errNotThere) {
		answer, err = r.bring(ctx, from, h, mapping, said, in)
	}
	if broken, ok := errors.AsType[*formats.Error](err); ok {
		err = malformed(broken)
	}
	if err != nil {
		return nil, false, err
	}
	found, err := r.readFile(ctx, answer.File)
	if err == nil && !answer.Duplicate && found.state == fileHeld {
		r.imports.decided(ctx, fileHeld, 0)
	}
	return found, answer.Duplicate, err
}

// malformed is a file that cannot be read, as who brings it is told: in a header, which takes text, and not much of it.
func malformed(e *formats.Error) error {
	said := func(text string) string { return clip(strings.ToValidUTF8(text, "\uFFFD"), maxSaid) }
	return rpcerr.ForField(rpcerr.FileMalformed, "chunk", "%s", said(e.Error())).
		With("file", e.File).With("line", strconv.Itoa(e.Line)).With("field", said(e.Field))
}

// maxSaid is how much is told of what is wrong with a file, in bytes.
const maxSaid = 600

// check refuses what the contract cannot, and reads the mapping.
func (h header) check() (*formats.Mapping, error) {
	if h.Currency != "" {
		if _, err := money.ParseCurrency(string(h.Currency)); err != nil {
			return nil, rpcerr.ForField(rpcerr.CurrencyUnknown, "header.currency_code", "%v", err)
		}
	}
	if h.Mapping == "" {
		return nil, nil //nolint:nilnil // without a mapping
	}
	mapping, err := formats.ParseMapping([]byte(h.Mapping))
	if err != nil {
		return nil, rpcerr.ForField(rpcerr.RequestInvalid, "header.mapping", "%v", err)
	}
	return mapping, nil
}

// be says whose a file is, where its format says it.
func (h *header) be(side stage) error {
	if h.Side != 0 && h.Side != side {
		return rpcerr.ForField(rpcerr.RequestInvalid, "header.side", "files of format %s are the %s's", h.Format, side)
	}
	h.Side = side
	return nil
}

// fields are the fingerprint of a header.
func (h header) fields() ([]idem.Field, error) {
	text, err := json.Marshal(struct {
		reading
		Name string `json:"name"`
	}{h.reading, h.name})
	if err != nil {
		return nil, fmt.Errorf("encoding header: %w", err)
	}
	return []idem.Field{{Name: "header", Value: string(text)}}, nil
}

// known answers for a file that is there already, by the hash that it is said to have; else it is errNotThere.
func (r *reconciliation) known(ctx context.Context, from request, h header, said []idem.Field) (imported, error) {
	if h.sha256 == nil {
		return imported{}, errNotThere
	}
	once := from.idem(methodImport, r.keyTTL, append(said, idem.Field{Name: "chunk", Value: hex.EncodeToString(h.sha256)})...)
	return idem.Once(ctx, r.pool, once, func(ctx context.Context, tx *pg.Tx) (imported, string, error) {
		first, found, err := r.repeat(ctx, tx, h, h.sha256)
		if err == nil && !found {
			err = errNotThere
		}
		return imported{first, true}, first.String(), err
	})
}

// repeat looks for a file of the same content, and counts that it came again.
func (r *reconciliation) repeat(ctx context.Context, tx *pg.Tx, h header, sum []byte) (first FileID, found bool, err error) {
	st := newStore(tx)
	if err := st.q.LockDecisions(ctx); err != nil {
		return first, false, fmt.Errorf("locking decisions: %w", err)
	}
	said, err := json.Marshal(h.reading)
	if err != nil {
		return first, false, fmt.Errorf("encoding header: %w", err)
	}
	row, err := st.q.FileOfContent(ctx, reconciliationdb.FileOfContentParams{Sha256: sum, Reading: said})
	if errors.Is(err, pgx.ErrNoRows) {
		return first, false, nil
	}
	if err != nil {
		return first, false, fmt.Errorf("looking for the content: %w", err)
	}
	first = FileID(row)
	account, err := st.q.CountRepeat(ctx, row)
	if err != nil {
		return first, false, fmt.Errorf("counting repeats: %w", err)
	}
	tx.AfterCommit(func() { r.imports.repeated(ctx) })
	return first, true, r.sightRepeat(ctx, tx, first, account)
}

// bring takes in a file that is not known to be there.
func (r *reconciliation) bring(ctx context.Context, from request, h header, mapping *formats.Mapping, said []idem.Field, in io.Reader) (answer imported, err error) {
	read := &content{Hash: sha256.New()}
	buffered := bufio.NewReaderSize(io.TeeReader(in, read), detectWithin)
	asked := h.reading // as it was said, and not as it was found out
	if err := r.settleFormat(&h, buffered, mapping); err != nil {
		return answer, err
	}
	err = r.alone(ctx, h.Account, h.Side, func(ctx context.Context) error {
		// Whoever came in before may have brought it.
		if answer, err = r.known(ctx, from, header{reading: asked, sha256: h.sha256}, said); !errors.Is(err, errNotThere) {
			return err
		}
		b, err := r.beginImport(ctx, from, h, asked)
		if err != nil {
			return err
		}
		if err = b.take(ctx, mapping, buffered); err == nil {
			err = b.verify(h, read)
		}
		if err == nil {
			answer, err = b.finish(ctx, from, said, read)
		}
		b.leave(ctx, answer, err)
		return err
	})
	return answer, err
}

// bringing is a file on its way in.
type bringing struct {
	r     *reconciliation
	h     header
	asked reading
	w     *copier
	t     *taking
}

// beginImport makes a file, or takes up what is left of one, when the same content was brought before and broke off. What is left of
// others of the account is removed: nobody goes on with it as long as this one comes in.
func (r *reconciliation) beginImport(ctx context.Context, from request, h header, asked reading) (*bringing, error) {
	said, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("encoding header: %w", err)
	}
	w := &copier{r: r, account: h.Account, partitions: map[partitionKey]int32{}}
	err = pg.InTx(ctx, r.pool, func(tx *pg.Tx) error {
		st := newStore(tx)
		found, err := st.resume(ctx, w, from, h, said)
		if err == nil && !found {
			err = st.beginFile(ctx, w, from, h, said)
		}
		if err != nil {
			return err
		}
		return st.abandonOthers(ctx, h, w.file)
	})
	if err != nil {
		return nil, err
	}
	if err := r.clearAll(ctx, h.Account, h.Side); err != nil {
		return nil, err
	}
	return &bringing{r: r, h: h, asked: asked, w: w}, nil
}

// take reads the file and writes what it says.
func (b *bringing) take(ctx context.Context, mapping *formats.Mapping, in io.Reader) error {
	hand, wait := b.w.start(ctx)
	b.t = &taking{
		h: b.h, delivery: b.w.delivery, payouts: b.w.payouts, pieceRows: b.r.pieceRows, hand: hand, moved: map[money.Currency]int64{},
	}
	options := formats.Options{Name: b.h.name, Format: b.h.Format, Currency: b.h.Currency, Mapping: mapping}
	err := b.t.run(b.r.read(in, options))
	if failed := wait(); failed != nil {
		return failed
	}
	if err == nil && b.w.pieces < b.w.done {
		err = errOtherContent
	}
	if err != nil {
		return err
	}
	// What follows the last line belongs to the content as well.
	_, err = io.Copy(io.Discard, in)
	return err
}

// verify compares the content with what it was said to be.
func (b *bringing) verify(h header, read *content) error {
	if h.sha256 != nil && !bytes.Equal(h.sha256, read.Sum(nil)) {
		return rpcerr.ForField(rpcerr.RequestInvalid, "header.sha256", "the content has the hash %x", read.Sum(nil))
	}
	return nil
}

// leave removes what was written of a file that came to nothing. Of one that broke off, and that is known by its hash, it is
// left for the next attempt, until a duty removes it.
func (b *bringing) leave(ctx context.Context, answer imported, err error) {
	if err == nil && answer.File == b.w.file {
		return
	}
	_, refused := errors.AsType[*formats.Error](err)
	if err != nil && !refused && !errors.Is(err, errOtherContent) && b.h.sha256 != nil {
		if e, ok := errors.AsType[*rpcerr.Error](err); !ok || !e.Definite() {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	st := newStore(b.r.pool)
	err = st.q.AbandonFile(ctx, reconciliationdb.AbandonFileParams{ID: b.w.file.UUID(), Attempt: b.w.attempt})
	if err == nil {
		err = b.r.clearAll(ctx, b.h.Account, b.h.Side)
	}
	if err != nil {
		b.r.log.WarnContext(ctx, "an import that came to nothing is left for later", slog.String("file_id", b.w.file.String()), slog.Any("error", err))
	}
}

// alone does something while no other file of the account and side comes in or is dropped, in any process. Whoever dies lets
// go of it at once.
func (r *reconciliation) alone(ctx context.Context, account string, side stage, do func(context.Context) error) error {
	key := new(identity).of("import", account, side.String()).key()
	lock := pg.NewSessionLock(r.pool, int64(binary.BigEndian.Uint64(key[:8])))
	defer lock.Release()
	for {
		held, err := lock.Acquire(ctx)
		if err != nil {
			return err
		}
		if held {
			return do(ctx)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lockPause is how often an import asks whether the one before it has ended.
const lockPause = 100 * time.Millisecond

// beginFile makes a file with its deliveries.
func (s store) beginFile(ctx context.Context, w *copier, from request, h header, said []byte) error {
	w.file, w.attempt = id.New[fileKind](), 1
	p := reconciliationdb.BeginFileParams{
		ID: w.file.UUID(), Account: h.Account, Stage: int16(h.Side), Format: string(h.Format), Name: h.name, Reading: said,
		Sha256: append([]byte{}, h.sha256...), CreatedBy: from.caller,
	}
	var err error
	if w.delivery, err = s.q.BeginDelivery(ctx, reconciliationdb.BeginDeliveryParams{Kind: deliveryFile, State: int16(fileComingIn)}); err != nil {
		return fmt.Errorf("beginning a delivery: %w", err)
	}
	if h.Side == stageProvider {
		if w.payouts, err = s.q.BeginDelivery(ctx, reconciliationdb.BeginDeliveryParams{Kind: deliveryPayouts, State: int16(fileComingIn)}); err != nil {
			return fmt.Errorf("beginning a delivery: %w", err)
		}
		p.PayoutsID = &w.payouts
	}
	p.DeliveryID = w.delivery
	if err := s.q.BeginFile(ctx, p); err != nil {
		return fmt.Errorf("beginning a file: %w", err)
	}
	return nil
}

// resume takes up what is left of a file, if there is something.
func (s store) resume(ctx context.Context, w *copier, from request, h header, said []byte) (bool, error) {
	if h.sha256 == nil {
		return false, nil
	}
	row, err := s.q.ResumeFile(ctx, reconciliationdb.ResumeFileParams{
		Name: h.name, CreatedBy: from.caller, Account: h.Account, Stage: int16(h.Side), Format: string(h.Format), Reading: said, Sha256: h.sha256,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for an import that broke off: %w", err)
	}
	w.file, w.attempt, w.delivery, w.done, w.doneUp = FileID(row.ID), row.Attempt, row.DeliveryID, row.Pieces, row.Control
	if row.PayoutsID != nil {
		w.payouts = *row.PayoutsID
	}
	return true, nil
}

// abandonOthers marks what is left of other files of the account and side.
func (s store) abandonOthers(ctx context.Context, h header, kept FileID) error {
	err := s.q.AbandonFiles(ctx, reconciliationdb.AbandonFilesParams{Account: h.Account, Stage: int16(h.Side), Kept: kept.UUID()})
	if err != nil {
		return fmt.Errorf("abandoning imports: %w", err)
	}
	return nil
}
