package reconciliation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// nth is the n-th statement of an account: on day n, a credit of 100 more.
func nth(n int) account {
	return account{
		id: "S", sequence: int64(n), opening: int64(n) * 100, from: n, to: n, lines: []*formats.Line{credit("", 100, n, "in")},
	}
}

func TestSettle_AcceptsWhatIsHeldWhenTheGapIsClosed(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", bankHeader("first"), bankFile(nth(1)))
	fourth := f.take("held", bankHeader("fourth"), bankFile(nth(4)))
	third := f.take("held", bankHeader("third"), bankFile(nth(3)))
	if f.standings(third) != "gap" || !strings.Contains(third.GetNote(), "is number 3, and before it comes") {
		t.Errorf("third is %s: %s", f.standings(third), third.GetNote())
	}
	if got := f.moved(); len(got) != 1 {
		t.Errorf("what is held counts: %v", got)
	}
	f.take("accepted", bankHeader("second"), bankFile(nth(2)))
	for _, file := range []*reconciliationv1.StatementFile{third, fourth} {
		after := f.again(file)
		f.wantState("accepted", after)
		if after.GetNote() != "" || f.standings(file) != "taken" {
			t.Errorf("%s is %s: %s", file.GetName(), f.standings(file), after.GetNote())
		}
	}
	if got := f.moved(); len(got) != 4 {
		t.Errorf("movements: %v", got)
	}
	f.wantClean()
}

func TestSettle_AcceptsAFileWithAGapInItWhenThatIsClosed(t *testing.T) {
	f := setupImports(t)
	other := account{number: "DE02", opening: 5, from: 1, to: 1, lines: []*formats.Line{credit("", 1, 1, "")}}
	gap := f.take("held", bankHeader("one and three"), bankFile(nth(3), other, nth(1)))
	if got := f.standings(gap); got != "gap taken taken" {
		t.Errorf("its statements are %s", got)
	}
	f.take("accepted", bankHeader("two"), bankFile(nth(2)))
	f.wantState("accepted", f.again(gap))
	f.wantClean()
}

func TestSettle_HoldsWhatIsThereInAnotherFormat(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", bankHeader("camt"), bankFile(nth(1), nth(2)))
	h := bankHeader("mt940")
	h.Format = reconciliationv1.StatementFormat_STATEMENT_FORMAT_MT940
	mt := nth(2)
	mt.id = "other"
	file := f.take("held", h, bankFile(mt, nth(3)))
	if got := f.standings(file); got != "overlap taken" || !strings.Contains(file.GetNote(), "has the balances of stm_") {
		t.Errorf("its statements are %s: %s", got, file.GetNote())
	}
	// The one that is there already is dropped, and the rest counts.
	f.wantState("accepted", f.drop(f.statementsOf(file)[0].GetStatementId()))
	if got := f.standings(file); got != "dropped taken" {
		t.Errorf("its statements are %s", got)
	}
	if got := f.moved(); len(got) != 3 || f.again(file).GetMovements() != 1 {
		t.Errorf("movements: %v of %v", got, f.again(file))
	}
	f.wantClean()
}

func TestSettle_TakesNothingFromAStatementThatRepeatsAnother(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", bankHeader("one and two"), bankFile(nth(1), nth(2)))
	file := f.take("accepted", bankHeader("two and three"), bankFile(nth(2), nth(3)))
	if got := f.standings(file); got != "repeats taken" || file.GetMovements() != 1 || file.GetOverlapping() != 1 {
		t.Errorf("its statements are %s: %v", got, file)
	}
	f.wantClean()
}

func TestSettle_HoldsDaysThatTwoStatementsWithoutBalancesHave(t *testing.T) {
	f := setupImports(t)
	notice := func(id string, lines ...*formats.Line) account {
		return account{id: id, unbalanced: true, lines: lines}
	}
	f.take("accepted", bankHeader("keyed"), bankFile(notice("N-1", credit("K-1", 5, 3, ""))))
	// The same line is known by its key, another day is another day.
	f.take("accepted", bankHeader("keyed again"), bankFile(notice("N-2", credit("K-1", 5, 3, ""), credit("K-2", 6, 3, ""))))
	f.take("accepted", bankHeader("later"), bankFile(notice("N-3", credit("", 7, 9, ""))))
	file := f.take("held", bankHeader("later again"), bankFile(notice("N-4", credit("", 7, 9, ""))))
	if got := f.standings(file); got != "overlap" {
		t.Errorf("is %s: %s", got, file.GetNote())
	}
	f.wantState("dropped", f.drop(file.GetFileId()))
	if got := f.moved(); len(got) != 3 {
		t.Errorf("movements: %v", got)
	}
	f.wantClean()
}

func TestSettle_WaitsForAFileThatHasTheSameLines(t *testing.T) {
	f := setupImports(t)
	other := charge("txn_1", "po_1")
	other.Amount = eur(1001)
	f.take("accepted", providerHeader("first"), reportOf(charge("txn_1", "po_1")))
	held := f.take("held", providerHeader("held"), reportOf(other, charge("txn_2", "po_1")))
	leaning := f.take("held", providerHeader("leaning"), reportOf(charge("txn_2", "po_1"), charge("txn_3", "po_1")))
	if !strings.Contains(leaning.GetNote(), held.GetFileId()+" has, which does not count yet") || f.standings(leaning) != "taken" {
		t.Errorf("is %s: %s", f.standings(leaning), leaning.GetNote())
	}
	_, err := f.statements.DropStatement(t.Context(), &reconciliationv1.DropStatementRequest{
		IdempotencyKey: "drop-held", StatementId: held.GetFileId(), Reason: "wrong",
	})
	if refusal := rpcerrtest.Want(t, err, rpcerr.StatementStateRefused); refusal.Resource != leaning.GetFileId() {
		t.Errorf("refused for %s", refusal.Resource)
	}
	_, err = f.statements.ReleaseStatement(t.Context(), &reconciliationv1.ReleaseStatementRequest{
		IdempotencyKey: "release-leaning", StatementId: leaning.GetFileId(), Reason: "wrong",
	})
	rpcerrtest.Want(t, err, rpcerr.StatementStateRefused)
	f.wantState("accepted", f.release(held.GetFileId()))
	f.wantState("accepted", f.again(leaning))
	if paid := f.count(`SELECT sum(amount_minor)::bigint FROM movement WHERE ours`); paid != 3*970 {
		t.Errorf("paid out %d", paid)
	}
	f.wantClean()
}

func TestRelease_TakesAStatementAsItIs(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", bankHeader("first"), bankFile(nth(1)))
	file := f.take("held", bankHeader("third"), bankFile(nth(3)))
	id := f.statementsOf(file)[0].GetStatementId()
	for range 2 { // the second time it is replayed
		f.wantState("accepted", f.release(id))
	}
	if got := f.standings(file); got != "released" {
		t.Errorf("is %s", got)
	}
	want := []string{"ann release " + id + " the bank says so"}
	if diff := cmp.Diff(want, pgtest.Column[string](t, f.db, `SELECT format('%s %s %s %s', actor, verb, target, reason) FROM operator_action`)); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	// What comes next continues it, and what was missing fits in between.
	f.take("accepted", bankHeader("fourth"), bankFile(nth(4)))
	f.take("accepted", bankHeader("second"), bankFile(nth(2)))
	f.wantClean()
}

func TestDrop_LetsAFileBeImportedAgain(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", bankHeader("first"), bankFile(nth(1)))
	file := f.take("held", bankHeader("third"), bankFile(nth(3)))
	for range 2 {
		f.wantState("dropped", f.drop(file.GetFileId()))
	}
	if n := f.count(`SELECT count(*) FROM movement`); n != 1 {
		t.Errorf("%d movements are there", n)
	}
	answer, err := f.importAs("import-anew", bankHeader("third"), bankFile(nth(3)))
	if err != nil || answer.GetDuplicate() || answer.GetFile().GetFileId() == file.GetFileId() {
		t.Errorf("again: %v, %v", answer, err)
	}
	bad := nth(8)
	bad.number, bad.wrong = "DE08", true
	quarantined := f.take("quarantined", bankHeader("bad"), bankFile(bad))
	f.wantState("dropped", f.drop(quarantined.GetFileId()))
	answer, err = f.importAs("import-bad-anew", bankHeader("bad"), bankFile(bad))
	if err != nil || answer.GetDuplicate() || state(answer.GetFile()) != "quarantined" {
		t.Errorf("again: %v, %v", answer, err)
	}
	f.wantClean()
}

func TestDecisions_AreRefusedWhereThereIsNothingToDecide(t *testing.T) {
	f := setupImports(t)
	accepted := f.take("accepted", bankHeader("first"), bankFile(nth(1)))
	gap := f.take("held", bankHeader("third"), bankFile(nth(3), account{number: "DE02", unbalanced: true}))
	bad := nth(1)
	bad.number, bad.wrong = "DE03", true
	quarantined := f.take("quarantined", bankHeader("bad"), bankFile(bad, nth(9)))
	many := f.take("held", providerHeader("many"), fakeFile(append(contradicting(f), account{unbalanced: true}.parts()...)...))
	for name, test := range map[string]struct {
		target  string
		release bool
		reason  rpcerr.Reason
		fields  []string
	}{
		"release what counts":                   {accepted.GetFileId(), true, rpcerr.StatementStateRefused, nil},
		"drop what counts":                      {accepted.GetFileId(), false, rpcerr.StatementStateRefused, nil},
		"release what is not held":              {f.statementsOf(gap)[1].GetStatementId(), true, rpcerr.StatementStateRefused, nil},
		"release what is quarantined":           {quarantined.GetFileId(), true, rpcerr.StatementStateRefused, nil},
		"drop a part of what is quarantined":    {f.statementsOf(quarantined)[1].GetStatementId(), false, rpcerr.StatementStateRefused, nil},
		"drop a part of a report":               {f.statementsOf(many)[1].GetStatementId(), false, rpcerr.StatementStateRefused, nil},
		"release a file that there is not":      {"stf_00000000-0000-7000-8000-000000000001", true, rpcerr.NotFound, []string{"statement_id"}},
		"drop a file that there is not":         {"stf_00000000-0000-7000-8000-000000000001", false, rpcerr.NotFound, []string{"statement_id"}},
		"release a statement that there is not": {"stm_00000000-0000-7000-8000-000000000001", true, rpcerr.NotFound, []string{"statement_id"}},
		"release what is no id":                 {"x", true, rpcerr.RequestInvalid, []string{"statement_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			if test.release {
				_, err = f.statements.ReleaseStatement(t.Context(), &reconciliationv1.ReleaseStatementRequest{
					IdempotencyKey: "decide-" + name, StatementId: test.target, Reason: "x"})
			} else {
				_, err = f.statements.DropStatement(t.Context(), &reconciliationv1.DropStatementRequest{
					IdempotencyKey: "decide-" + name, StatementId: test.target, Reason: "x"})
			}
			rpcerrtest.Want(t, err, test.reason, test.fields...)
		})
	}
	_, err := f.statements.DropStatement(t.Context(), &reconciliationv1.DropStatementRequest{IdempotencyKey: "without reason", StatementId: accepted.GetFileId()})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "reason")
	f.wantClean()
}

// contradicting takes in a report, and gives one that contradicts it.
func contradicting(f *importFixture) []fakePart {
	f.Helper()
	f.take("accepted", providerHeader("one"), reportOf(charge("txn_1", "po_1")))
	l := charge("txn_1", "po_1")
	l.Amount, l.At = eur(5), 2
	return []fakePart{
		{Part: formats.Part{Statement: &formats.Statement{At: 1}}}, {Part: formats.Part{Line: l}}, {Part: formats.Part{Closing: &formats.Closing{Lines: 1}}},
	}
}

// fileNames lists files, one to a page, and gives their names.
func (f *importFixture) fileNames(r *reconciliationv1.ListStatementFilesRequest) (all []string) {
	f.Helper()
	r.PageSize = 1
	for {
		page, err := f.statements.ListStatementFiles(f.Context(), r)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range page.GetFiles() {
			all = append(all, file.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			return all
		}
	}
}

// places lists statements, one to a page, and gives the names of their files, their accounts and their numbers.
func (f *importFixture) places(r *reconciliationv1.ListStatementsRequest, files ...*reconciliationv1.StatementFile) (all []string) {
	f.Helper()
	r.PageSize = 1
	for {
		page, err := f.statements.ListStatements(f.Context(), r)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range page.GetStatements() {
			for _, file := range files {
				if file.GetFileId() == s.GetFileId() {
					all = append(all, fmt.Sprintf("%s %s %d", file.GetName(), s.GetBankAccount(), s.GetNumber()))
				}
			}
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			return all
		}
	}
}

func TestLists_GiveWhatIsAskedForInPages(t *testing.T) {
	f := setupImports(t)
	files := []*reconciliationv1.StatementFile{
		f.take("accepted", bankHeader("first"), bankFile(nth(1), nth(2))), f.take("held", bankHeader("fourth"), bankFile(nth(4))),
		f.take("accepted", providerHeader("report"), reportOf(charge("txn_1", ""))),
	}
	if diff := cmp.Diff([]string{"report", "fourth", "first"}, f.fileNames(&reconciliationv1.ListStatementFilesRequest{})); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	held := &reconciliationv1.ListStatementFilesRequest{State: reconciliationv1.StatementFileState_STATEMENT_FILE_STATE_HELD, Account: "default"}
	if diff := cmp.Diff([]string{"fourth"}, f.fileNames(held)); diff != "" {
		t.Errorf("files that are held (-want +got):\n%s", diff)
	}
	if got := f.fileNames(&reconciliationv1.ListStatementFilesRequest{Account: "other"}); got != nil {
		t.Errorf("files of another account: %v", got)
	}
	want := []string{"report  1", "fourth DE01 1", "first DE01 1", "first DE01 2"}
	if diff := cmp.Diff(want, f.places(&reconciliationv1.ListStatementsRequest{}, files...)); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	gap := &reconciliationv1.ListStatementsRequest{BankAccount: "DE01", Standing: reconciliationv1.StatementStanding_STATEMENT_STANDING_GAP}
	if diff := cmp.Diff([]string{"fourth DE01 1"}, f.places(gap, files...)); diff != "" {
		t.Errorf("statements with a gap (-want +got):\n%s", diff)
	}
}

func TestReads_RefuseWhatIsNoTokenOrIsNotThere(t *testing.T) {
	f := setupImports(t)
	first := f.take("accepted", bankHeader("first"), bankFile(nth(1)))
	for _, token := range []string{"!", "eA", "c3RmXzE"} {
		_, err := f.statements.ListStatements(t.Context(), &reconciliationv1.ListStatementsRequest{PageToken: token})
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
		_, err = f.statements.ListStatementLines(t.Context(), &reconciliationv1.ListStatementLinesRequest{StatementId: first.GetFileId(), PageToken: token})
		rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "page_token")
	}
	_, err := f.statements.GetStatementFile(t.Context(), &reconciliationv1.GetStatementFileRequest{FileId: "stf_00000000-0000-7000-8000-000000000001"})
	rpcerrtest.Want(t, err, rpcerr.NotFound, "file_id")
	_, err = f.statements.GetStatement(t.Context(), &reconciliationv1.GetStatementRequest{StatementId: "x"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "statement_id")
	_, err = f.statements.ListStatements(t.Context(), &reconciliationv1.ListStatementsRequest{FileId: "x"})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "file_id")
}
