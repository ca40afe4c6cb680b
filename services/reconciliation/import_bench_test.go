package reconciliation

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

// importLines is how many lines the files of the benchmarks have.
const importLines = 200_000

// BenchmarkImport takes in a report of Stripe, and a camt.053, of 200,000 lines, on a Postgres that syncs its commits to disk.
func BenchmarkImport(b *testing.B) {
	server := pgtest.Durable(b)
	for name, of := range map[string]struct {
		format formats.Format
		write  func(w io.Writer, n, round int)
	}{
		"stripe":  {formats.Stripe, writeStripe},
		"camt053": {formats.Camt053, writeCamt},
	} {
		b.Run(name, func(b *testing.B) {
			pool, err := pg.Open(b.Context(), pg.Config{DSN: pgtest.DurableDSN(b, server, "import_"+name, Migrations()...)})
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			r := benchmarked(b, pool)
			var most uint64
			done := make(chan struct{})
			watched := make(chan struct{})
			go func() {
				defer close(watched)
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						most = max(most, m.HeapInuse)
					}
				}
			}()
			round := 0
			for b.Loop() {
				round++
				importOnce(b, r, of.format, round, of.write)
			}
			close(done)
			<-watched
			b.ReportMetric(float64(b.N*importLines)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(most)/1e6, "MB-heap")
		})
	}
}

// benchmarked is the service without what surrounds it.
func benchmarked(b *testing.B, pool *pgxpool.Pool) *reconciliation {
	b.Helper()
	imports, err := newImportMetrics(noop.NewMeterProvider().Meter(""))
	if err != nil {
		b.Fatal(err)
	}
	return &reconciliation{pool: pool, read: formats.Read, detect: formats.Detect, pieceRows: pieceRows, imports: imports}
}

// importOnce writes a file and imports it: that of the round, of an account of its own.
func importOnce(b *testing.B, r *reconciliation, format formats.Format, round int, write func(w io.Writer, n, round int)) {
	b.Helper()
	b.StopTimer()
	file, err := os.Create(filepath.Join(b.TempDir(), fmt.Sprint(round)))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	write(w, importLines, round)
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
	h := header{name: "bench", reading: reading{Account: fmt.Sprint("account", round), Format: format}}
	taken, _, err := r.importFile(b.Context(), request{"bench", fmt.Sprintf("import-%06d", round)}, h, file)
	if err != nil {
		b.Skipf("the format is not read: %v", err)
	}
	if taken.movements != importLines || taken.state != fileAccepted {
		b.Fatalf("took in %d movements, and the file is %s: %s", taken.movements, taken.state, taken.note)
	}
}

// writeStripe writes a report of n charges.
func writeStripe(w io.Writer, n, round int) {
	fmt.Fprintln(w, "automatic_payout_id,automatic_payout_effective_at_utc,balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net,"+
		"reporting_category,source_id,charge_id,payment_intent_id,payment_metadata[order_id],payment_metadata[tieout_key]")
	var row bytes.Buffer
	for i := range n {
		row.Reset()
		gross := 1000 + i%9000
		fee := gross / 50
		decimal := func(minor int) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }
		fmt.Fprintf(&row, "po_%07d,2026-01-05 00:00:00,txn_%010d,2026-01-03 10:%02d:%02d,2026-01-05 00:00:00,eur,%s,%s,%s,charge,ch_%010d,ch_%010d,pi_%010d,"+
			"ord_%010d,saga/sag_%d_%010d/charge\n", i/250, i, i/60%60, i%60, decimal(gross), decimal(fee), decimal(gross-fee), i, i, i, i, round, i)
		w.Write(row.Bytes())
	}
}

// writeCamt writes a camt.053 of one statement with n credits of 10.00.
func writeCamt(w io.Writer, n, round int) {
	balance := func(kind string, minor int) string {
		return fmt.Sprintf(`<Bal><Tp><CdOrPrtry><Cd>%s</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">%d.%02d</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-01-05</Dt></Dt></Bal>`,
			kind, minor/100, minor%100)
	}
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><GrpHdr><MsgId>B</MsgId><CreDtTm>2026-01-05T00:00:00Z</CreDtTm></GrpHdr>
<Stmt><Id>B-1</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-01-05T00:00:00Z</CreDtTm><Acct><Id><IBAN>DE8937040044053201%04d</IBAN></Id><Ccy>EUR</Ccy></Acct>
%s
%s
`, round, balance("OPBD", 0), balance("CLBD", n*1000))
	for i := range n {
		fmt.Fprintf(w, `<Ntry><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-01-05</Dt></BookgDt><ValDt><Dt>2026-01-05</Dt></ValDt>`+
			`<AcctSvcrRef>EUR-%09d</AcctSvcrRef><BkTxCd><Prtry><Cd>BENCH</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>E2E-%09d</EndToEndId></Refs>`+
			`<RmtInf><Ustrd>INVOICE %09d</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
`, i, i, i)
	}
	fmt.Fprintln(w, "</Stmt></BkToCstmrStmt></Document>")
}

// BenchmarkImportRows takes in 200,000 lines that cost nothing to read: what of an import is not the format.
func BenchmarkImportRows(b *testing.B) {
	server := pgtest.Durable(b)
	pool, err := pg.Open(b.Context(), pg.Config{DSN: pgtest.DurableDSN(b, server, "import_rows", Migrations()...)})
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	r := benchmarked(b, pool)
	r.read = func(io.Reader, formats.Options) iter.Seq2[formats.Part, error] {
		return func(yield func(formats.Part, error) bool) {
			if !yield(formats.Part{Statement: &formats.Statement{At: 1}}, nil) {
				return
			}
			for i := range importLines {
				l := nthCharge(i)
				l.At, l.Number = i+2, i+1
				if !yield(formats.Part{Line: l}, nil) {
					return
				}
			}
			yield(formats.Part{Closing: &formats.Closing{Last: true, Lines: importLines}}, nil)
		}
	}
	round := 0
	for b.Loop() {
		round++
		importOnce(b, r, formats.Stripe, round, func(w io.Writer, _, round int) { fmt.Fprint(w, round) })
	}
	b.ReportMetric(float64(b.N*importLines)/b.Elapsed().Seconds(), "lines/s")
}
