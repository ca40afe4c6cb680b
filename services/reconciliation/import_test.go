package reconciliation

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

func amountOf(minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: "EUR", MinorUnits: minor}
}

func TestImport_TakesInABankStatementThatTiesOut(t *testing.T) {
	f := setupImports(t)
	pending := credit("", 99, 4, "announced")
	pending.Pending = true
	debit := credit("B-2", -250, 4, "PSPSIM PAYOUT po20260103eur")
	file := f.take("accepted", bankHeader("january"), bankFile(account{
		id: "S-1", sequence: 7, opening: 100, from: 3, to: 4, lines: []*formats.Line{credit("B-1", 1000, 3, "rent"), debit, pending},
	}))
	if file.GetLines() != 3 || file.GetPending() != 1 || file.GetMovements() != 2 || file.GetProofs() != 1 || file.GetFailing() != 0 ||
		file.GetAccount() != "default" || file.GetSide() != reconciliationv1.StatementSide_STATEMENT_SIDE_BANK || file.GetImportedBy() != "ann" ||
		len(file.GetSha256()) != 64 || len(file.GetControlHash()) != 64 || file.GetSizeBytes() == 0 || file.GetDecideTime() == nil {
		t.Errorf("file: %v", file)
	}
	statements := f.statementsOf(file)
	want := &reconciliationv1.Statement{
		FileId: file.GetFileId(), Number: 1, Standing: reconciliationv1.StatementStanding_STATEMENT_STANDING_TAKEN, SenderId: "S-1",
		BankAccount: "DE01", CurrencyCode: "EUR", Sequence: 7, Opening: amountOf(100), Closing: amountOf(850), OpeningDate: "2026-01-03",
		ClosingDate: "2026-01-04", Lines: 3, Pending: 1,
		Sums: []*reconciliationv1.StatementSum{{Credits: amountOf(1000), Debits: amountOf(-250), Fees: amountOf(0)}},
	}
	if diff := cmp.Diff([]*reconciliationv1.Statement{want}, statements, protocmp.Transform(), protocmp.IgnoreFields(want, "statement_id")); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	got, err := f.statements.GetStatement(t.Context(), &reconciliationv1.GetStatementRequest{StatementId: statements[0].GetStatementId()})
	if diff := cmp.Diff(statements[0], got.GetStatement(), protocmp.Transform()); err != nil || diff != "" {
		t.Errorf("the statement by itself: %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"bank theirs 9 1000 0", "bank theirs 6 -250 0 po20260103eur"}, f.moved()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	f.wantLines(file.GetFileId(), statements[0].GetStatementId())
	f.wantClean()
}

// wantLines lists the lines of that statement, one to a page.
func (f *importFixture) wantLines(targets ...string) {
	f.Helper()
	line := func(place, at int64, id, kind string, minor int64, booked, value, payout, note string) *reconciliationv1.StatementLine {
		return &reconciliationv1.StatementLine{
			Place: place, Line: at, ProviderId: id, Kind: kind, Amount: amountOf(minor), Fee: amountOf(0), BookedDate: booked, ValueDate: value,
			PayoutId: payout, Note: note,
		}
	}
	want := []*reconciliationv1.StatementLine{
		line(1, 2, "B-1", "transfer", 1000, "2026-01-03", "2026-01-04", "", "PMNT/RCDT: rent (ACME)"),
		line(2, 3, "B-2", "payout", -250, "2026-01-04", "2026-01-05", "po20260103eur", "PMNT/RCDT: PSPSIM PAYOUT po20260103eur (ACME)"),
	}
	for _, target := range targets {
		var all []*reconciliationv1.StatementLine
		for token, more := "", true; more; more = token != "" {
			page, err := f.statements.ListStatementLines(f.Context(), &reconciliationv1.ListStatementLinesRequest{StatementId: target, PageSize: 1, PageToken: token})
			if err != nil {
				f.Fatal(err)
			}
			all, token = append(all, page.GetLines()...), page.GetNextPageToken()
		}
		if diff := cmp.Diff(want, all, protocmp.Transform(), protocmp.IgnoreFields(want[0], "movement_key")); diff != "" {
			f.Errorf("lines of %s (-want +got):\n%s", target, diff)
		}
	}
}

// TestImport_KeepsWhatWasConverted has one line tell what it was before, also of a payout that was made at once: what it was is said
// of the line, and of nothing that is made of it.
func TestImport_KeepsWhatWasConverted(t *testing.T) {
	f := setupImports(t)
	dollars := charge("txn_1", "po_1")
	dollars.Original = money.Amount{Currency: "USD", Minor: 1087}
	once := charge("txn_2", "po_1")
	once.Kind, once.ProviderID, once.Amount, once.Fee, once.Original = formats.KindPayout, "po_2", eur(-500), 10, money.Amount{Currency: "USD", Minor: -543}
	file := f.take("accepted", providerHeader("converted"), reportOf(dollars, charge("txn_3", "po_1"), once))
	page, err := f.statements.ListStatementLines(t.Context(), &reconciliationv1.ListStatementLinesRequest{StatementId: file.GetFileId()})
	if err != nil || len(page.GetLines()) != 3 {
		t.Fatalf("got %v, %v", page, err)
	}
	want := &commonv1.Amount{CurrencyCode: "USD", MinorUnits: 1087}
	if diff := cmp.Diff(want, page.GetLines()[0].GetOriginal(), protocmp.Transform()); diff != "" || page.GetLines()[1].GetOriginal() != nil {
		t.Errorf("original (-want +got):\n%s\nand of the others %v", diff, page.GetLines()[1:])
	}
	if n := f.count(`SELECT count(*) FROM movement WHERE original_currency IS NOT NULL`); n != 1 {
		t.Errorf("%d movements were something else", n)
	}
	f.wantClean()
}

func TestImport_OfAReportMakesWhatItPaysOut(t *testing.T) {
	f := setupImports(t)
	refund := charge("txn_3", "po_1")
	refund.Kind, refund.Amount, refund.Fee = formats.KindRefund, eur(-400), 0
	unpaid := charge("txn_4", "")
	own := charge("txn_5", "po_1") // the payout's own row repeats what the others come to
	own.Kind, own.ProviderID, own.Amount, own.Fee = formats.KindPayout, "po_1", eur(-1540), 0
	even1, even2 := charge("txn_6", "po_2"), charge("txn_7", "po_2")
	even1.Fee, even2.Fee, even2.Amount = 0, 0, eur(-1000)
	file := f.take("accepted", providerHeader("report"), reportOf(charge("txn_1", "po_1"), charge("txn_2", "po_1"), refund, unpaid, own, even1, even2))
	if file.GetLines() != 7 || file.GetPayoutLines() != 1 || file.GetMovements() != 6 || file.GetSide() != reconciliationv1.StatementSide_STATEMENT_SIDE_PROVIDER {
		t.Errorf("file: %v", file)
	}
	want := []string{
		"provider theirs 1 1000 30", "provider theirs 2 -400 0 po_1", "provider theirs 1 1000 30 po_1", "provider theirs 1 1000 30 po_1",
		"provider theirs 1 -1000 0 po_2", "provider theirs 1 1000 0 po_2", "bank ours 6 1540 0 po_1",
	}
	if diff := cmp.Diff(want, f.moved()); diff != "" {
		t.Errorf("movements (-want +got):\n%s", diff)
	}
	if days := f.count(`SELECT count(*) FROM movement WHERE ours AND day = '2026-01-05' AND note = 'payout of 3 lines'`); days != 1 {
		t.Error("the payout is not on the day on which its lines are available")
	}
	f.wantClean()
}

// A payout that was made at once, or that came back, is part of the next automatic one.
func TestImport_MovesMoneyFromPayoutToPayout(t *testing.T) {
	f := setupImports(t)
	instant := charge("txn_2", "po_next")
	instant.Kind, instant.ProviderID, instant.Amount, instant.Fee = formats.KindPayout, "po_instant", eur(-500), 5
	back := charge("txn_3", "po_next")
	back.Kind, back.ProviderID, back.Amount, back.Fee = formats.KindPayout, "po_back", eur(200), 0
	file := f.take("accepted", providerHeader("report"), reportOf(charge("txn_1", "po_next"), instant, back))
	want := []string{
		"provider theirs 5 -5 0 po_next", "provider theirs 1 1000 30 po_next",
		"bank ours 6 -200 0 po_back", "bank ours 6 500 0 po_instant", "bank ours 6 -500 0 po_next", "bank ours 6 200 0 po_next", "bank ours 6 965 0 po_next",
	}
	if diff := cmp.Diff(want, f.moved()); diff != "" || file.GetPayoutLines() != 2 {
		t.Errorf("movements of %v (-want +got):\n%s", file, diff)
	}
	f.wantClean()
}

func TestImport_OfTheSameFileChangesNothing(t *testing.T) {
	f := setupImports(t)
	content := reportOf(charge("txn_1", "po_1"), charge("txn_2", "po_1"))
	first := f.take("accepted", providerHeader("report"), content)
	replay, err := f.importAs("import-report", providerHeader("report"), content)
	if err != nil || replay.GetFile().GetFileId() != first.GetFileId() || replay.GetDuplicate() || replay.GetFile().GetRepeats() != 0 {
		t.Errorf("under its key: %v, %v", replay, err)
	}
	h := providerHeader("another name")
	again, err := f.importAs("import-again", h, content)
	if err != nil || again.GetFile().GetFileId() != first.GetFileId() || !again.GetDuplicate() || again.GetFile().GetRepeats() != 1 {
		t.Errorf("under another key: %v, %v", again, err)
	}
	h.Sha256, h.Account = first.GetSha256(), "other"
	early, err := f.importAs("import-early", h, nil) // known by its hash: nothing of it is read
	if err != nil || early.GetFile().GetFileId() != first.GetFileId() || !early.GetDuplicate() || early.GetFile().GetRepeats() != 2 {
		t.Errorf("by its hash: %v, %v", early, err)
	}
	_, err = f.importAs("import-report", providerHeader("report"), reportOf(charge("txn_9", "po_1")))
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyReused, "chunk")
	h.Sha256 = strings.Repeat("0", 64)
	_, err = f.importAs("import-other", h, reportOf(charge("txn_9", "po_1")))
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "header.sha256")
	if n := f.count(`SELECT count(*) FROM movement`); n != 3 {
		t.Errorf("%d movements are there, want 3", n)
	}
	if n := f.count(`SELECT count(*) FROM statement_file`); n != 1 {
		t.Errorf("%d files are there", n)
	}
	f.wantClean()
}

func TestImport_RacingImportsTakeAFileInOnce(t *testing.T) {
	f := setupImports(t)
	content := reportOf(charges(500)...)
	var all sync.WaitGroup
	var mu sync.Mutex
	ids, duplicates := map[string]int{}, 0
	for i := range 6 {
		all.Go(func() {
			h := providerHeader("report")
			h.Account = []string{"", "other"}[i%2] // which are not kept from each other before they end
			answer, err := f.importAs(fmt.Sprintf("import-%04d", i), h, content)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids[answer.GetFile().GetFileId()]++
			if answer.GetDuplicate() {
				duplicates++
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || duplicates != 5 {
		t.Errorf("files %v, %d duplicates", ids, duplicates)
	}
	if n := f.count(`SELECT count(*) FROM movement`); n != 502 {
		t.Errorf("%d movements are there, want 502", n)
	}
	if n := f.count(`SELECT count(*) FROM delivery`); n != 2 {
		t.Errorf("%d deliveries are there", n)
	}
	f.wantClean()
}

func TestImport_KeepsALineThatAFileHasTwiceAndNotOneThatTwoFilesHave(t *testing.T) {
	f := setupImports(t)
	many := charges(pieceRows + 10)
	twice := append(many, charge("txn_0000003", "po_0"), charge("txn_0000003", "po_0"), charge("txn_0000004", "po_0")) // in the second piece
	first := f.take("accepted", providerHeader("first"), reportOf(twice...))
	if first.GetMovements() != pieceRows+13 || first.GetOverlapping() != 0 {
		t.Errorf("first: %v", first)
	}
	// The second one has some lines of the first, one of them once more than that, and one that is new.
	second := f.take("accepted", providerHeader("second"), reportOf(charge("txn_0000004", "po_0"), charge("txn_0000004", "po_0"), charge("txn_0000004", "po_0"),
		charge("txn_0000005", "po_0"), charge("new", "po_0")))
	if second.GetMovements() != 2 || second.GetOverlapping() != 3 || second.GetLines() != 5 {
		t.Errorf("second: %v", second)
	}
	third := f.take("accepted", providerHeader("third"), reportOf(charge("new", "po_0"), charge("txn_0000003", "po_0")))
	if third.GetMovements() != 0 || third.GetOverlapping() != 2 || f.standings(third) != "repeats" {
		t.Errorf("third: %v, %s", third, f.standings(third))
	}
	if paid := f.count(`SELECT sum(amount_minor)::bigint FROM movement WHERE ours AND payout_id = 'po_0'`); paid != (250+3+2)*970 {
		t.Errorf("paid out %d", paid)
	}
	f.wantClean()
	if n := f.count(`SELECT count(*) FROM repeated_key`); n != 0 {
		t.Errorf("%d repeated keys are left", n)
	}
}

func TestImport_HoldsALineThatSaysSomethingElseElsewhere(t *testing.T) {
	f := setupImports(t)
	f.take("accepted", providerHeader("first"), reportOf(charge("txn_1", "po_1")))
	other := charge("txn_1", "po_1")
	other.Amount = eur(1001)
	second := f.take("held", providerHeader("second"), reportOf(other, charge("txn_2", "po_1")))
	if !strings.Contains(second.GetNote(), "line 2 says 10.01 EUR") || !strings.Contains(second.GetNote(), "10.00 EUR") {
		t.Errorf("why: %s", second.GetNote())
	}
	f.wantState("accepted", f.release(second.GetFileId()))
	if got := f.moved(); len(got) != 4 { // two charges, and what each report pays
		t.Errorf("movements: %v", got)
	}
	f.wantClean()
}

func TestImport_QuarantinesAsAWholeWhatDoesNotTieOut(t *testing.T) {
	f := setupImports(t)
	good := account{number: "DE02", opening: 0, from: 3, to: 3, lines: []*formats.Line{credit("G-1", 5, 3, "")}}
	bad := account{opening: 100, from: 3, to: 4, wrong: true, lines: []*formats.Line{credit("B-1", 1000, 3, "rent")}}
	file := f.take("quarantined", bankHeader("bad"), bankFile(good, bad))
	want := []*reconciliationv1.StatementProof{{Line: 9, Rule: "balance", Stated: "11.01 EUR", Computed: "11.00 EUR"}}
	if diff := cmp.Diff(want, file.GetFailingProofs(), protocmp.Transform()); diff != "" || file.GetFailing() != 1 || file.GetProofs() != 2 {
		t.Errorf("proofs of %v (-want +got):\n%s", file, diff)
	}
	if got := f.standings(file); got != "refused refused" {
		t.Errorf("its statements are %s", got)
	}
	if n := f.count(`SELECT count(*) FROM movement`); n != 0 || f.again(file).GetMovements() != 0 {
		t.Errorf("%d movements are left", n)
	}
	again, err := f.importAs("import-again", bankHeader("bad"), bankFile(good, bad))
	if err != nil || !again.GetDuplicate() || again.GetFile().GetFileId() != file.GetFileId() {
		t.Errorf("again: %v, %v", again, err)
	}
	bad.wrong = false
	f.take("accepted", bankHeader("corrected"), bankFile(good, bad))
	f.wantClean()
}

func TestImport_ProvesBalancesThatAFormatDoesNot(t *testing.T) {
	f := setupImports(t)
	parts := account{opening: 100, from: 3, to: 4, lines: []*formats.Line{credit("B-1", 1000, 3, "rent")}}.parts()
	for i, p := range parts {
		if p.Part.Closing != nil {
			parts[i].Part.Closing.Balance.Amount.Minor = 7
		}
	}
	file := f.take("quarantined", bankHeader("bad"), fakeFile(parts...))
	if p := file.GetFailingProofs(); len(p) != 1 || p[0].GetComputed() != "11.00 EUR" || p[0].GetStated() != "0.07 EUR" {
		t.Errorf("proofs: %v", p)
	}
}

func TestImport_RefusesWhatCannotBeReadAndLeavesNothing(t *testing.T) {
	f := setupImports(t)
	line := func(change func(*formats.Line)) []byte {
		l := charge("txn_1", "po_1")
		change(l)
		return reportOf(append(charges(pieceRows+1), l)...) // a piece of it is written when it is found
	}
	for name, test := range map[string]struct {
		content     []byte
		field, text string
	}{
		"what the format cannot read": {fakeFile(fakePart{Line: 3, Field: ":61:", Wrong: "is no line"}), ":61:", "bad:3: :61:: is no line"},
		"what nobody can tell": {fakeFile(fakePart{Line: 3, Field: "\xff", Wrong: strings.Repeat("x", 9000)}), "\uFFFD",
			"bad:3: \uFFFD: " + strings.Repeat("x", maxSaid-len("bad:3: \uFFFD: "))},
		"a reference that is too long": {line(func(l *formats.Line) { l.Reference = strings.Repeat("x", maxID+1) }), "reference",
			"bad:20003: reference: has 501 bytes, and more than 500 are too many"},
		"an id with a NUL":     {line(func(l *formats.Line) { l.ProviderID = "a\x00b" }), "provider_id", "bad:20003: provider_id: is no text"},
		"an id of no encoding": {line(func(l *formats.Line) { l.ParentID = "\xff" }), "parent_id", "bad:20003: parent_id: is no text"},
		"a line of no day":     {line(func(l *formats.Line) { l.Booked = day(1).AddDate(-3000, 0, 0) }), "booked", "bad:20003: booked: is no day between the years 1 and 9999"},
		"a value day that is none": {line(func(l *formats.Line) { l.Value = day(1).AddDate(9000, 0, 0) }), "value",
			"bad:20003: value: is no day between the years 1 and 9999"},
		"a kind that there is not": {line(func(l *formats.Line) { l.Kind = "gift" }), "kind", `bad:20003: kind: is "gift", which is none`},
		"more than fits": {line(func(l *formats.Line) { l.Amount = eur(1<<63 - 1) }), "amount",
			"bad:20003: amount: makes the sum of the lines more than fits in 64 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.importAs("import-"+name, providerHeader("bad"), test.content)
			refusal := rpcerrtest.Want(t, err, rpcerr.FileMalformed, "chunk")
			if !strings.HasSuffix(refusal.Message, test.text) || refusal.Metadata["field"] != test.field || refusal.Metadata["file"] != "bad" {
				t.Errorf("got %s, %v; want %s", refusal.Message, refusal.Metadata, test.text)
			}
		})
	}
	many := make([]account, maxStatements+1)
	for i := range many {
		many[i] = account{number: fmt.Sprint("DE", i), unbalanced: true}
	}
	_, err := f.importAs("import-statements", bankHeader("bad"), bankFile(many...))
	rpcerrtest.Want(t, err, rpcerr.FileMalformed, "chunk")
	f.wantEmpty()
}

// wantEmpty wants nothing to be there of any file.
func (f *importFixture) wantEmpty() {
	f.Helper()
	if n := f.count(`SELECT (SELECT count(*) FROM movement) + (SELECT count(*) FROM statement_file) + (SELECT count(*) FROM statement)
	                      + (SELECT count(*) FROM delivery) + (SELECT count(*) FROM repeated_key)`); n != 0 {
		f.Errorf("%d rows are left", n)
	}
}

func TestImport_RefusesAHeaderThatSaysTooLittleOrTheWrongThing(t *testing.T) {
	f := setupImports(t)
	csv := reconciliationv1.StatementFormat_STATEMENT_FORMAT_CSV
	for name, test := range map[string]struct {
		header *reconciliationv1.StatementHeader
		reason rpcerr.Reason
		field  string
	}{
		"no name":             {&reconciliationv1.StatementHeader{}, rpcerr.RequestInvalid, "header.name"},
		"a hash that is none": {&reconciliationv1.StatementHeader{Name: "x", Sha256: "xyz"}, rpcerr.RequestInvalid, "header.sha256"},
		"a currency that is none": {&reconciliationv1.StatementHeader{Name: "x", CurrencyCode: "EUX"}, rpcerr.CurrencyUnknown,
			"header.currency_code"},
		"a mapping that is none": {&reconciliationv1.StatementHeader{Name: "x", Format: csv, Mapping: "{"}, rpcerr.RequestInvalid, "header.mapping"},
		"CSV of nobody":          {&reconciliationv1.StatementHeader{Name: "x", Format: csv}, rpcerr.RequestInvalid, "header.side"},
		"a bank's report": {&reconciliationv1.StatementHeader{Name: "x", Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_STRIPE,
			Side: reconciliationv1.StatementSide_STATEMENT_SIDE_BANK}, rpcerr.RequestInvalid, "header.side"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.importAs("import-"+name, test.header, reportOf())
			rpcerrtest.Want(t, err, test.reason, test.field)
		})
	}
	_, err := f.importAs("", providerHeader("x"), reportOf())
	rpcerrtest.Want(t, err, rpcerr.IdempotencyKeyMissing, "idempotency_key")
	f.wantEmpty()
	empty := f.take("accepted", providerHeader("a report of nothing"), reportOf())
	if empty.GetLines() != 0 || empty.GetStatements() != 1 {
		t.Errorf("a report of nothing: %v", empty)
	}
	f.wantClean()
}
