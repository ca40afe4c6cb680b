package reconciliation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// keyed are the keys of all movements, with what they say.
func (f *importFixture) keyed() []string {
	f.Helper()
	return pgtest.Column[string](f.T, f.db, `
SELECT format('%s %s %s %s %s', m.key, m.amount_minor, m.fee_minor, m.line, m.payout_id)
  FROM movement m JOIN delivery d ON d.id = m.id >> 32 AND d.state = 1 ORDER BY m.key`)
}

func hashed(h *reconciliationv1.StatementHeader, content []byte) *reconciliationv1.StatementHeader {
	sum := sha256.Sum256(content)
	h.Sha256 = hex.EncodeToString(sum[:])
	return h
}

// breakOff begins an import and breaks it off when so many pieces are written; whole says that all of it was sent.
func (f *importFixture) breakOff(h *reconciliationv1.StatementHeader, content []byte, pieces int32) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var written atomic.Int32
	f.reconciliation.written = func(*chunk) {
		if written.Add(1) >= pieces {
			cancel()
			<-ctx.Done()
		}
	}
	defer func() { f.reconciliation.written = nil }()
	stream, err := f.statements.ImportStatement(ctx)
	if err != nil {
		f.Fatal(err)
	}
	if answer, err := sendFile(stream, "import-broken", h, content); err == nil {
		f.Fatalf("was to break off, and came to %v", answer)
	}
	// The server lets go of the account when it has noticed.
	if err := f.reconciliation.alone(f.Context(), defaultAccount, stageProvider, func(context.Context) error { return nil }); err != nil {
		f.Fatal(err)
	}
}

func TestImport_ThatBreaksOffGoesOnWhereItWas(t *testing.T) {
	lines := charges(4*pieceRows + 5)
	lines = append(lines, charge("txn_0000007", "po_0"), charge("txn_0000007", "po_0"))
	content := reportOf(lines...)
	undisturbed := setupImports(t)
	want := undisturbed.take("accepted", hashed(providerHeader("report"), content), content)
	wantKeys := undisturbed.keyed()

	f := newImports(t)
	for _, pieces := range []int32{1, 2} {
		f.breakOff(hashed(providerHeader("report"), content), content, pieces)
		left, err := f.statements.ListStatementFiles(t.Context(), &reconciliationv1.ListStatementFilesRequest{
			State: reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_COMING_IN,
		})
		if err != nil || len(left.GetFiles()) != 1 || left.GetFiles()[0].GetLines() < int64(pieces)*pieceRows {
			t.Fatalf("broken off after %d pieces: %v, %v", pieces, left, err)
		}
	}
	var written atomic.Int32
	f.reconciliation.written = func(*chunk) { written.Add(1) }
	got := f.take("accepted", hashed(providerHeader("report"), content), content)
	if got.GetControlHash() != want.GetControlHash() || got.GetMovements() != want.GetMovements() || got.GetLines() != want.GetLines() {
		t.Errorf("resumed: %v\nundisturbed: %v", got, want)
	}
	if n := written.Load(); n > 2 {
		t.Errorf("%d pieces were written again", n)
	}
	if diff := cmp.Diff(wantKeys, f.keyed()); diff != "" {
		t.Errorf("movements differ from those of an import that nothing disturbed")
	}
	f.wantClean()
}

func TestImport_OfOtherContentRemovesWhatIsLeftOfAnother(t *testing.T) {
	f := setupImports(t)
	content := reportOf(charges(3 * pieceRows)...)
	f.breakOff(hashed(providerHeader("report"), content), content, 1)
	// The same lines in another file: those that were left are not in their way.
	other := append(charges(2*pieceRows), charge("another", ""))
	file := f.take("accepted", providerHeader("other"), reportOf(other...))
	if file.GetMovements() != 2*pieceRows+1 || file.GetOverlapping() != 0 {
		t.Errorf("file: %v", file)
	}
	if n := f.count(`SELECT count(*) FROM statement_file`); n != 1 {
		t.Errorf("%d files are there", n)
	}
	f.wantClean()
}

// What is resumed is compared with what was written: a reader that understands the file otherwise begins anew.
func TestImport_DoesNotGoOnWithWhatWasReadOtherwise(t *testing.T) {
	f := setupImports(t)
	content := reportOf(charges(3 * pieceRows)...)
	f.breakOff(hashed(providerHeader("report"), content), content, 1)
	few := false
	f.reconciliation.read = func(r io.Reader, o formats.Options) iter.Seq2[formats.Part, error] {
		return func(yield func(formats.Part, error) bool) {
			for p, err := range readFake(r, o) {
				if p.Line != nil {
					p.Line.Fee = 0
					if few && p.Line.Number > 10 {
						continue
					}
				}
				if !yield(p, err) {
					return
				}
			}
		}
	}
	for _, few = range []bool{false, true} {
		if _, err := f.importAs("import-again", hashed(providerHeader("report"), content), content); !rpcerr.Is(err, rpcerr.IdempotencyKeyInFlight) {
			t.Errorf("went on with what was read otherwise, or with less of it: %v", err)
		}
		f.wantEmpty()
		if !few {
			read := f.reconciliation.read
			f.reconciliation.read = readFake
			f.breakOff(hashed(providerHeader("report"), content), content, 1)
			f.reconciliation.read = read
		}
	}
	few = false
	file := f.take("accepted", hashed(providerHeader("report"), content), content)
	if paid := f.count(`SELECT sum(amount_minor)::bigint FROM movement WHERE ours`); paid != 3*pieceRows*1000 || file.GetMovements() != 3*pieceRows {
		t.Errorf("paid out %d by %v", paid, file)
	}
	f.wantClean()
}

func TestImport_OfADeadProcessIsSwept(t *testing.T) {
	f := setupImports(t)
	content := reportOf(charges(2 * pieceRows)...)
	f.breakOff(hashed(providerHeader("report"), content), content, 1)
	if _, err := f.reconciliation.sweepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.count(`SELECT count(*) FROM statement_file`); n != 1 {
		t.Fatalf("%d files are there: it was swept too early", n)
	}
	if _, err := f.db.Exec(t.Context(), `UPDATE statement_file SET written_at = now() - interval '11 minutes'`); err != nil {
		t.Fatal(err)
	}
	if _, err := f.reconciliation.sweepOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantEmpty()
}

// An import that does not say its hash cannot be resumed, and leaves nothing when it breaks off.
func TestImport_ThatCannotBeResumedLeavesNothing(t *testing.T) {
	f := setupImports(t)
	f.breakOff(providerHeader("report"), reportOf(charges(2*pieceRows)...), 1)
	waittest.Until(t, "nothing is left", func() bool { return f.count(`SELECT count(*) FROM statement_file`) == 0 })
	f.wantEmpty()
}

// heapOf is how much memory an import of n lines holds at most, in bytes.
func (f *importFixture) heapOf(n int) (most uint64) {
	f.Helper()
	in, out := io.Pipe()
	go func() { out.CloseWithError(writeCharges(out, n)) }()
	f.reconciliation.written = func(*chunk) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	h := header{name: fmt.Sprint("report ", n), reading: reading{Account: fmt.Sprint("account ", n), Format: formats.Stripe}}
	file, _, err := f.reconciliation.importFile(f.Context(), request{"ann", fmt.Sprint("import-", n)}, h, in)
	if err != nil || file.movements != int64(n) {
		f.Errorf("%d lines: %v, %v", n, file, err)
	}
	return most
}

func TestImport_NeedsNoMoreMemoryForMoreLines(t *testing.T) {
	f := newImports(t) // alone: the memory of others counts as well
	f.heapOf(3 * pieceRows)
	few, many := f.heapOf(3*pieceRows), f.heapOf(15*pieceRows)
	if grown := int64(many) - int64(few); float64(grown) > 0.3*float64(few) {
		t.Errorf("%d lines hold %.1f MB, five times as many %.1f MB", 3*pieceRows, float64(few)/1e6, float64(many)/1e6)
	}
}

// Whichever COMMIT of an import is lost, before or after it took effect: the same request again ends in what an import that
// nothing disturbs makes.
func TestImport_SurvivesTheLossOfEachCommit(t *testing.T) {
	t.Parallel()
	lines := append(charges(2*pieceRows), charge("txn_0000007", "po_0"), charge("another", "po_9"))
	content := reportOf(lines...)
	undisturbed := newImports(t)
	want := undisturbed.take("accepted", hashed(providerHeader("report"), content), content)
	wantKeys := undisturbed.keyed()
	for name, fault := range pgtest.Faults() {
		for cut := range 4 { // the file, two pieces, the last piece, the decision
			t.Run(fmt.Sprintf("%s/%d", name, cut), func(t *testing.T) {
				f := setupImports(t)
				pieces := 0
				f.reconciliation.written = func(*chunk) {
					if pieces++; pieces == cut {
						f.faults.SetOnce(fault)
					}
				}
				if cut == 0 {
					f.faults.SetOnce(fault)
				}
				h := hashed(providerHeader("report"), content)
				if answer, err := f.importAs("import-report", h, content); err == nil {
					t.Fatalf("lost a commit, and came to %v", answer)
				}
				answer, err := f.importAs("import-report", h, content)
				if err != nil {
					t.Fatal(err)
				}
				got := answer.GetFile()
				if state(got) != "accepted" || got.GetControlHash() != want.GetControlHash() || got.GetMovements() != want.GetMovements() {
					t.Errorf("got %v, want %v", got, want)
				}
				if diff := cmp.Diff(wantKeys, f.keyed()); diff != "" {
					t.Error("movements differ from those of an import that nothing disturbed")
				}
				if n := f.count(`SELECT count(*) FROM statement_file`); n != 1 {
					t.Errorf("%d files are there", n)
				}
				f.wantClean()
			})
		}
	}
}

// Who brings a file is fenced off when somebody else goes on with it.
func TestImport_OfAnEarlierAttemptWritesNothingAnyMore(t *testing.T) {
	f := setupImports(t)
	h := header{name: "report", sha256: make([]byte, sha256.Size), reading: reading{Account: defaultAccount, Format: formats.Stripe, Side: stageProvider}}
	first, err := f.reconciliation.beginImport(t.Context(), request{caller: "ann"}, h, h.reading)
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.reconciliation.beginImport(t.Context(), request{caller: "bob"}, h, h.reading)
	if err != nil || second.w.file != first.w.file || second.w.attempt != 2 {
		t.Fatalf("resumed as %v, attempt %d: %v", second.w.file, second.w.attempt, err)
	}
	m := movement{delivery: first.w.delivery, place: 1, key: uuid.New(), stage: stageProvider, currency: "EUR", kind: 1, otherDay: noDay}
	for name, late := range map[string]func() error{
		"a piece": func() error { return first.w.write(t.Context(), &chunk{rows: []movement{m}}) },
		"an overlap": func() error {
			return first.w.writeWhatIsNew(t.Context(), &chunk{rows: []movement{m}}, reconciliationdb.WritePieceParams{})
		},
		"a decision": func() error { return newStore(f.db).holdFile(t.Context(), first.w.file, first.w.attempt) },
	} {
		if err := late(); !rpcerr.Is(err, rpcerr.IdempotencyKeyInFlight) {
			t.Errorf("%s of the first attempt: %v", name, err)
		}
	}
	if err := second.w.write(t.Context(), &chunk{rows: []movement{m}}); err != nil {
		t.Error(err)
	}
	if n := f.count(`SELECT count(*) FROM movement`); n != 1 {
		t.Errorf("%d movements are there", n)
	}
}
