package reconciliation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// fakePart is a part of a file in the format of the tests, or what is wrong at that place.
type fakePart struct {
	Part  formats.Part
	Line  int
	Field string
	Wrong string
}

// readFake reads the format of the tests.
func readFake(r io.Reader, o formats.Options) iter.Seq2[formats.Part, error] {
	return func(yield func(formats.Part, error) bool) {
		in := gob.NewDecoder(r)
		for {
			var p fakePart
			err := in.Decode(&p)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(formats.Part{}, err)
				return
			case p.Wrong != "":
				yield(formats.Part{}, &formats.Error{File: o.Name, Line: p.Line, Field: p.Field, Err: errors.New(p.Wrong)})
				return
			case !yield(p.Part, nil):
				return
			}
		}
	}
}

// fakeFile writes a file in the format of the tests.
func fakeFile(parts ...fakePart) []byte {
	var b bytes.Buffer
	out := gob.NewEncoder(&b)
	for _, p := range parts {
		if err := out.Encode(p); err != nil {
			panic(err) // into memory
		}
	}
	return b.Bytes()
}

// report is a provider's report of lines.
func reportOf(lines ...*formats.Line) []byte {
	parts := []fakePart{{Part: formats.Part{Statement: &formats.Statement{At: 1}}}}
	for i, l := range lines {
		l.At, l.Number = i+2, i+1
		parts = append(parts, fakePart{Part: formats.Part{Line: l}})
	}
	return fakeFile(append(parts, fakePart{Part: formats.Part{Closing: &formats.Closing{Last: true, Lines: len(lines)}}})...)
}

// charge is a line of a report: 10.00 EUR with a fee of 0.30.
func charge(id, payout string) *formats.Line {
	return &formats.Line{
		Kind: formats.KindCharge, Code: "charge", ID: id, Amount: eur(1000), Fee: 30, Booked: day(3).Add(time.Hour), Value: day(5), ProviderID: "ch_" + id,
		Key: "key-" + id, Reference: "ord-" + id, PayoutID: payout,
	}
}

func eur(minor int64) money.Amount { return money.Amount{Currency: "EUR", Minor: minor} }

// day is a day of January 2026, or behind it.
func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// account is a statement of a bank account. Its closing balance follows from its lines.
type account struct {
	number            string
	id                string
	sequence          int64
	page              int
	opening           int64
	from, to          int // days
	lines             []*formats.Line
	unbalanced, wrong bool
}

func (a account) closing() int64 {
	total := a.opening
	for _, l := range a.lines {
		if !l.Pending {
			total += l.Amount.Minor
		}
	}
	return total
}

func (a account) parts() []fakePart {
	s := &formats.Statement{
		At: 1, ID: a.id, Account: cmp.Or(a.number, "DE01"), Currency: "EUR", Sequence: a.sequence, Page: a.page,
	}
	c := &formats.Closing{Last: true, Lines: len(a.lines)}
	if !a.unbalanced {
		s.Opening = &formats.Balance{At: 1, Amount: eur(a.opening), Date: day(a.from)}
		c.Balance = &formats.Balance{At: 9, Amount: eur(a.closing()), Date: day(a.to)}
	}
	parts := []fakePart{{Part: formats.Part{Statement: s}}}
	for i, l := range a.lines {
		l.At, l.Number = i+2, i+1
		parts = append(parts, fakePart{Part: formats.Part{Line: l}})
	}
	if c.Balance != nil {
		p := &formats.Proof{At: 9, Rule: formats.RuleBalance, Stated: c.Balance.Amount.String(), Computed: c.Balance.Amount.String()}
		if a.wrong {
			c.Balance.Amount.Minor++
			p.Stated = c.Balance.Amount.String()
		}
		parts = append(parts, fakePart{Part: formats.Part{Proof: p}})
	}
	return append(parts, fakePart{Part: formats.Part{Closing: c}})
}

// bankFile is a file of statements.
func bankFile(statements ...account) []byte {
	var parts []fakePart
	for _, a := range statements {
		parts = append(parts, a.parts()...)
	}
	return fakeFile(parts...)
}

// credit is a line of a bank.
func credit(id string, minor int64, on int, text string) *formats.Line {
	return &formats.Line{
		Kind: formats.KindTransfer, Code: "PMNT/RCDT", ID: id, Amount: eur(minor), Booked: day(on), Value: day(on + 1), Text: text, Party: "ACME",
	}
}

// importFixture is the service with the format of the tests.
type importFixture struct {
	*testing.T
	db             *pgxpool.Pool
	dsn            string
	statements     reconciliationv1.StatementServiceClient
	reconciliation *reconciliation
	process        *service.Process
	faults         *pgtest.FaultySwitch // of the process' COMMITs
}

func setupImports(t *testing.T) *importFixture {
	t.Helper()
	t.Parallel()
	return newImports(t)
}

func newImports(t *testing.T) *importFixture {
	t.Helper()
	f := &importFixture{T: t, dsn: pgtest.DSN(t, Migrations()...)}
	var err error
	if f.db, err = pgxpool.New(t.Context(), f.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.db.Close)
	f.start()
	return f
}

// start starts a process on the fixture's database; the one before it may have been stopped.
func (f *importFixture) start() {
	f.Helper()
	f.process = servicetest.Start(f.T, service.Service{
		Name: "reconciliation", Postgres: service.Postgres{DSN: f.dsn, MaxConns: 10}, Migrations: Migrations(),
		Run: func(_ context.Context, env *service.Env) (err error) {
			env.Pool, f.faults = pgtest.Faulty(f.T, env.Pool)
			// Without the duties of others, whose commits would be lost in place of an import's.
			if f.reconciliation, err = newReconciliation(env, DefaultConfig()); err != nil {
				return err
			}
			register(env.GRPC, f.reconciliation)
			f.reconciliation.read = readFake
			return nil
		},
	})
	f.statements = reconciliationv1.NewStatementServiceClient(servicetest.Dial(f.T, f.process, "ann"))
}

// importAs sends a file under a key.
func (f *importFixture) importAs(key string, h *reconciliationv1.StatementHeader, content []byte) (*reconciliationv1.ImportStatementResponse, error) {
	f.Helper()
	stream, err := f.statements.ImportStatement(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return sendFile(stream, key, h, content)
}

func sendFile(stream grpc.ClientStreamingClient[reconciliationv1.ImportStatementRequest, reconciliationv1.ImportStatementResponse], key string, h *reconciliationv1.StatementHeader, content []byte) (*reconciliationv1.ImportStatementResponse, error) {
	err := stream.Send(&reconciliationv1.ImportStatementRequest{IdempotencyKey: key, Part: &reconciliationv1.ImportStatementRequest_Header{Header: h}})
	for piece := range slices.Chunk(content, 60_000) {
		if err == nil {
			err = stream.Send(&reconciliationv1.ImportStatementRequest{Part: &reconciliationv1.ImportStatementRequest_Chunk{Chunk: piece}})
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return stream.CloseAndRecv()
}

func providerHeader(name string) *reconciliationv1.StatementHeader {
	return &reconciliationv1.StatementHeader{Name: name, Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_STRIPE}
}

func bankHeader(name string) *reconciliationv1.StatementHeader {
	return &reconciliationv1.StatementHeader{Name: name, Format: reconciliationv1.StatementFormat_STATEMENT_FORMAT_CAMT053}
}

// take imports a file, and wants a state of it.
func (f *importFixture) take(want string, h *reconciliationv1.StatementHeader, content []byte) *reconciliationv1.StatementFile {
	f.Helper()
	answer, err := f.importAs("import-"+h.GetName(), h, content)
	if err != nil {
		f.Fatalf("importing %s: %v", h.GetName(), err)
	}
	f.wantState(want, answer.GetFile())
	return answer.GetFile()
}

// state is a file's state in short.
func state(file *reconciliationv1.StatementFile) string {
	return strings.ToLower(strings.TrimPrefix(file.GetState().String(), "STATEMENT_FILE_STATE_"))
}

func (f *importFixture) wantState(want string, file *reconciliationv1.StatementFile) {
	f.Helper()
	if got := state(file); got != want {
		f.Errorf("file %s is %s, want %s: %s", file.GetName(), got, want, file.GetNote())
	}
}

// again reads a file.
func (f *importFixture) again(file *reconciliationv1.StatementFile) *reconciliationv1.StatementFile {
	f.Helper()
	answer, err := f.statements.GetStatementFile(f.Context(), &reconciliationv1.GetStatementFileRequest{FileId: file.GetFileId()})
	if err != nil {
		f.Fatal(err)
	}
	return answer.GetFile()
}

// statementsOf lists the statements of a file, one to a page.
func (f *importFixture) statementsOf(file *reconciliationv1.StatementFile) (all []*reconciliationv1.Statement) {
	f.Helper()
	for token := ""; ; {
		page, err := f.statements.ListStatements(f.Context(), &reconciliationv1.ListStatementsRequest{FileId: file.GetFileId(), PageSize: 1, PageToken: token})
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, page.GetStatements()...)
		if token = page.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// standings are what became of a file's statements, in short.
func (f *importFixture) standings(file *reconciliationv1.StatementFile) string {
	f.Helper()
	var all []string
	for _, s := range f.statementsOf(file) {
		all = append(all, strings.ToLower(strings.TrimPrefix(s.GetStanding().String(), "STATEMENT_STANDING_")))
	}
	return strings.Join(all, " ")
}

// moved are the movements that count: side, kind, amount, fee, payout.
func (f *importFixture) moved() []string {
	f.Helper()
	return pgtest.Column[string](f.T, f.db, `
SELECT format('%s %s %s %s %s%s', CASE p.stage WHEN 1 THEN 'provider' ELSE 'bank' END, CASE WHEN m.ours THEN 'ours' ELSE 'theirs' END,
              m.kind, m.amount_minor, m.fee_minor, coalesce(nullif(' ' || m.payout_id, ' '), ''))
  FROM movement m JOIN partition p ON p.id = m.partition_id JOIN delivery d ON d.id = m.id >> 32 AND d.state = 1
 ORDER BY p.stage, m.ours, m.payout_id, m.amount_minor, m.id`)
}

// count gives what a query counts.
func (f *importFixture) count(query string, args ...any) int64 {
	f.Helper()
	return pgtest.Column[int64](f.T, f.db, query, args...)[0]
}

// wantClean checks the invariants.
func (f *importFixture) wantClean() {
	f.Helper()
	if v := pgtest.Violations(f.T, f.db); len(v) > 0 {
		f.Errorf("invariants: %v", v)
	}
}

// charges are n lines of a report, in payouts of 250.
func charges(n int) []*formats.Line {
	lines := make([]*formats.Line, n)
	for i := range lines {
		lines[i] = nthCharge(i)
	}
	return lines
}

func nthCharge(i int) *formats.Line {
	return charge(fmt.Sprintf("txn_%07d", i), fmt.Sprintf("po_%d", i/250))
}

// writeCharges writes a report of n lines, one after the other.
func writeCharges(w io.Writer, n int) error {
	out := gob.NewEncoder(w)
	err := out.Encode(fakePart{Part: formats.Part{Statement: &formats.Statement{At: 1}}})
	for i := 0; i < n && err == nil; i++ {
		l := nthCharge(i)
		l.At, l.Number = i+2, i+1
		err = out.Encode(fakePart{Part: formats.Part{Line: l}})
	}
	if err != nil {
		return err
	}
	return out.Encode(fakePart{Part: formats.Part{Closing: &formats.Closing{Last: true, Lines: n}}})
}

// release takes what is held as it is.
func (f *importFixture) release(target string) *reconciliationv1.StatementFile {
	f.Helper()
	answer, err := f.statements.ReleaseStatement(f.Context(), &reconciliationv1.ReleaseStatementRequest{
		IdempotencyKey: "release-" + target, StatementId: target, Reason: "the bank says so",
	})
	if err != nil {
		f.Fatalf("releasing %s: %v", target, err)
	}
	return answer.GetFile()
}

// drop throws away what is held or quarantined.
func (f *importFixture) drop(target string) *reconciliationv1.StatementFile {
	f.Helper()
	answer, err := f.statements.DropStatement(f.Context(), &reconciliationv1.DropStatementRequest{
		IdempotencyKey: "drop-" + target, StatementId: target, Reason: "it is wrong",
	})
	if err != nil {
		f.Fatalf("dropping %s: %v", target, err)
	}
	return answer.GetFile()
}
