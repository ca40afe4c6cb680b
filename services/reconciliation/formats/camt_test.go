package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
)

// A camtRead is what was read of one statement.
type camtRead struct {
	Statement Statement
	Lines     []Line
	Proofs    []Proof
	Closing   *Closing
}

// broken are the proofs that do not hold.
func (r camtRead) broken() (broken []string) {
	for _, p := range r.Proofs {
		if !p.Holds() {
			broken = append(broken, p.String())
		}
	}
	return broken
}

func readCamtAll(r io.Reader, f Format) (read []camtRead, err error) {
	for part, err := range Read(r, Options{Name: "file.xml", Format: f}) {
		last := len(read) - 1
		switch {
		case err != nil:
			return read, err
		case part.Statement != nil:
			read = append(read, camtRead{Statement: *part.Statement})
		case part.Line != nil:
			read[last].Lines = append(read[last].Lines, *part.Line)
		case part.Proof != nil:
			read[last].Proofs = append(read[last].Proofs, *part.Proof)
		case part.Closing != nil:
			read[last].Closing = part.Closing
		}
	}
	return read, nil
}

func mustReadCamt(t *testing.T, document string) []camtRead {
	t.Helper()
	f := Camt053
	if strings.Contains(document, "camt.054") {
		f = Camt054
	}
	read, err := readCamtAll(strings.NewReader(document), f)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// camtDocument is a message of statements.
func camtDocument(version string, statements ...string) string {
	return `<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.` + version + `"><BkToCstmrStmt>` +
		`<GrpHdr><MsgId>M</MsgId><CreDtTm>2026-01-15T20:00:00Z</CreDtTm></GrpHdr>` +
		strings.Join(statements, "") + `</BkToCstmrStmt></Document>`
}

// camtStmt is a statement in EUR.
func camtStmt(body ...string) string {
	return `<Stmt><Id>S</Id><Acct><Id><IBAN>DE01</IBAN></Id><Ccy>EUR</Ccy></Acct>` + strings.Join(body, "") + `</Stmt>`
}

// camtBal is a balance of a kind, "OPBD" or "ITBD/OIBD", with an amount "-12.50 EUR".
func camtBal(kind, amount, day string) string {
	code, sub, _ := strings.Cut(kind, "/")
	if sub != "" {
		sub = `<SubTp><Cd>` + sub + `</Cd></SubTp>`
	}
	return `<Bal><Tp><CdOrPrtry><Cd>` + code + `</Cd></CdOrPrtry>` + sub + `</Tp>` + camtAmtSign(amount) + `<Dt><Dt>` + day + `</Dt></Dt></Bal>`
}

// camtAmtSign is an Amt and a CdtDbtInd.
func camtAmtSign(amount string) string {
	unsigned, debit := strings.CutPrefix(amount, "-")
	sign := "CRDT"
	if debit {
		sign = "DBIT"
	}
	return camtAmtOf(unsigned) + `<CdtDbtInd>` + sign + `</CdtDbtInd>`
}

func camtAmtOf(amount string) string {
	decimal, currency, _ := strings.Cut(amount, " ")
	return `<Amt Ccy="` + currency + `">` + decimal + `</Amt>`
}

// camtNtry is a booked entry with a reference.
func camtNtry(amount string, more ...string) string {
	return `<Ntry>` + camtAmtSign(amount) + `<Sts>BOOK</Sts><BookgDt><Dt>2026-01-15</Dt></BookgDt><AcctSvcrRef>REF</AcctSvcrRef>` +
		strings.Join(more, "") + `</Ntry>`
}

func camtDay(s string) time.Time {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return day
}

func camtEUR(minor int64) money.Amount { return money.Amount{Currency: "EUR", Minor: minor} }

func TestCamt_ReadsVersion02(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("testdata/camt/v2.xml")
	if err != nil {
		t.Fatal(err)
	}
	jan15, jan16 := camtDay("2026-01-15"), camtDay("2026-01-16")
	want := []camtRead{{
		Statement: Statement{At: 12, ID: "STMT-10", Account: "NL00TEST0123456789", Currency: "EUR", Sequence: 10, Page: 1,
			Opening: &Balance{At: 22, Amount: camtEUR(10000), Date: camtDay("2026-01-14")}},
		Lines: []Line{
			{At: 97, Number: 1, Kind: KindTransfer, Code: "064", Amount: camtEUR(5000), Booked: jan15, Value: jan16, ID: "BANK-1/1", Key: "ord_1",
				Reference: "M1", Text: `Invoice "17" thanks`, Party: "A. Customer", PartyAccount: "NL00TEST0000000001"},
			{At: 122, Number: 2, Kind: KindTransfer, Code: "064", Amount: camtEUR(2500), Booked: jan15, Value: jan16, ID: "BANK-1/2", Key: "ord_2",
				Reference: "M2"},
			{At: 135, Number: 3, Kind: KindTransfer, Code: "PMNT/IDDT/UPDD", Amount: camtEUR(1750), Booked: jan15, Value: jan15, Reversal: true, Text: "REVERSED"},
			{At: 173, Number: 4, Kind: KindTransfer, Code: "201", Amount: camtEUR(-22500), Booked: jan15, Value: jan15, ID: "BANK-3", Reference: "instr-3", Original: money.Amount{Currency: "USD", Minor: -25000}},
			{At: 156, Number: 5, Kind: KindFee, Code: "201", Amount: camtEUR(-600), Booked: jan15, Value: jan15, ID: "BANK-3/fee"},
			{At: 196, Number: 6, Kind: KindFee, Code: "ACMT/MDOP/CHRG", Amount: camtEUR(-100), Booked: jan15, Value: jan15},
		},
		Proofs: []Proof{
			{At: 75, Rule: RuleEntry, Stated: "75.00 EUR", Computed: "75.00 EUR"},
			{At: 156, Rule: RuleEntry, Stated: "-231.00 EUR", Computed: "-231.00 EUR"},
			{At: 34, Rule: RuleBalance, Stated: "-39.50 EUR", Computed: "-39.50 EUR"},
			{At: 59, Rule: RuleCount, Stated: "4", Computed: "4"},
			{At: 59, Rule: RuleSum, Stated: "324.50 EUR", Computed: "324.50 EUR"},
			{At: 59, Rule: RuleSum, Stated: "-139.50 EUR", Computed: "-139.50 EUR"},
			{At: 65, Rule: RuleCount, Stated: "2", Computed: "2"},
			{At: 65, Rule: RuleSum, Stated: "92.50 EUR", Computed: "92.50 EUR"},
			{At: 69, Rule: RuleCount, Stated: "2", Computed: "2"},
			{At: 69, Rule: RuleSum, Stated: "232.00 EUR", Computed: "232.00 EUR"},
		},
		Closing: &Closing{Balance: &Balance{At: 34, Amount: camtEUR(-3950), Date: jan15}, Last: true, Lines: 6},
	}}
	if diff := cmp.Diff(want, mustReadCamt(t, string(document))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCamt_ReadsVersion08WithPrefixesExtensionsAndPages(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("testdata/camt/v8.prefixed.latin1.xml")
	if err != nil {
		t.Fatal(err)
	}
	jpy := func(minor int64) money.Amount { return money.Amount{Currency: "JPY", Minor: minor} }
	jan31 := camtDay("2026-01-31")
	made := camtDay("2026-02-01")
	want := []camtRead{{
		Statement: Statement{At: 5, ID: "S-2-1", Account: "12-3456", Currency: "JPY", Sequence: 2, Page: 1,
			Opening: &Balance{At: 10, Amount: jpy(1000), Date: jan31}},
		Lines: []Line{
			{At: 12, Number: 1, Kind: KindTransfer, Amount: jpy(500), Booked: jan31, Value: jan31, ID: "R1", Party: "Müller", PartyAccount: "77"},
			{At: 19, Number: 2, Kind: KindTransfer, Amount: jpy(-77), Booked: made, Value: made, Pending: true},
		},
		Proofs:  []Proof{{At: 11, Rule: RuleBalance, Stated: "1500 JPY", Computed: "1500 JPY"}},
		Closing: &Closing{Balance: &Balance{At: 11, Amount: jpy(1500), Date: jan31}, Lines: 2},
	}, {
		Statement: Statement{At: 21, ID: "S-2-2", Account: "12-3456", Currency: "JPY", Sequence: 2, Page: 2,
			Opening: &Balance{At: 26, Amount: jpy(1500), Date: jan31}},
		Lines: []Line{
			{At: 28, Number: 1, Kind: KindReturn, Amount: jpy(-300), Booked: jan31, Value: jan31, ID: "R2", Key: "e2e-2", Party: "Müller"},
		},
		Proofs:  []Proof{{At: 27, Rule: RuleBalance, Stated: "1200 JPY", Computed: "1200 JPY"}},
		Closing: &Closing{Balance: &Balance{At: 27, Amount: jpy(1200), Date: jan31}, Last: true, Lines: 1},
	}}
	if diff := cmp.Diff(want, mustReadCamt(t, string(document))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCamt_ReadsANotificationWithoutBalances(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("testdata/camt/camt054.v4.xml")
	if err != nil {
		t.Fatal(err)
	}
	chf := func(minor int64) money.Amount { return money.Amount{Currency: "CHF", Minor: minor} }
	day := camtDay("2026-01-15")
	want := []camtRead{{
		Statement: Statement{At: 5, ID: "N-1", Account: "CH0000000000000000001", Sequence: 5},
		Lines: []Line{
			{At: 25, Number: 1, Kind: KindTransfer, Code: "PMNT/RCDT/VCOM", Amount: chf(6000), Booked: day, Value: day, ID: "TX1",
				Reference: "210000000003139471430009017", Text: "?REJECT?0"},
			{At: 30, Number: 2, Kind: KindTransfer, Code: "PMNT/RCDT/VCOM", Amount: chf(4000), Booked: day, Value: day, ID: "TX2",
				Reference: "210000000003139471430009033"},
			{At: 13, Number: 3, Kind: KindFee, Code: "PMNT/RCDT/VCOM", Amount: chf(-300), Booked: day, Value: day, ID: "ACSR1/fee"},
		},
		Proofs: []Proof{
			{At: 13, Rule: RuleEntry, Stated: "97.00 CHF", Computed: "97.00 CHF"},
			{At: 11, Rule: RuleCount, Stated: "1", Computed: "1"},
			{At: 11, Rule: RuleSum, Stated: "97.00 CHF", Computed: "97.00 CHF"},
			{At: 11, Rule: RuleSum, Stated: "97.00 CHF", Computed: "97.00 CHF"},
		},
		Closing: &Closing{Last: true, Lines: 3},
	}}
	if diff := cmp.Diff(want, mustReadCamt(t, string(document))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const camtNotSEK = "line %d: balance: the file states -27.00 SEK, its lines come to 27.00 EUR"

// camtRealFiles are the real files, of which README.md beside them says what ties.
var camtRealFiles = map[string]struct {
	lines  [][]string
	broken []string
	err    string
}{
	"camt053.v2.five.decimals.xml": {
		lines:  [][]string{{"8.85 EUR 000000001  Transaction Description"}},
		broken: []string{"line 49: balance: the file states 27.05 EUR, its lines come to 27.00 EUR"},
	},
	"camt053.v2.minimal.xml": {
		lines:  [][]string{{"8.85 EUR  4654654654654654 "}},
		broken: []string{fmt.Sprintf(camtNotSEK, 54)},
	},
	"camt053.v2.multi.statement.xml": {
		lines: [][]string{{"8.85 EUR 000000001  Transaction Description 1"}, {"-7.00 EUR 000000002  Transaction Description 2"}},
	},
	"camt053.v2.wrong.xml": {err: "file.xml:9: BkToCstmrStmt: has no Stmt"},
	"camt053.v3.xml": { // its only transaction is said to be of 105.75 EUR
		lines:  [][]string{{"8.85 EUR  4654654654654654 "}},
		broken: []string{"line 110: entry: the file states 8.85 EUR, its lines come to 105.75 EUR", fmt.Sprintf(camtNotSEK, 74)},
	},
	"camt053.v4.xml": {
		lines:  [][]string{{"8.85 EUR  4654654654654654 "}},
		broken: []string{fmt.Sprintf(camtNotSEK, 74)},
	},
	"camt053.v8.xml": {
		lines:  [][]string{{"8.85 EUR MUELL/FINP/RA12345 4654654654654654 "}},
		broken: []string{fmt.Sprintf(camtNotSEK, 74)},
	},
	"camt054.v4.xml": { // the entry is in SEK, its transactions in CHF: it is one line
		lines: [][]string{{"-200000.00 SEK  UXC06170000006PI00001 Order UXC06170000006PI00001EE00001"}},
	},
}

func TestCamt_FindsWhatTiesInRealFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range camtRealFiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := os.Open(filepath.Join("../../../../shared/data/statements/camt", name))
			if errors.Is(err, os.ErrNotExist) {
				t.Skip("the real statements are not beside the checkout")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			format := Camt053
			if strings.HasPrefix(name, "camt054") {
				format = Camt054
			}
			read, err := readCamtAll(file, format)
			if got := fmt.Sprint(err); got != tt.err && (err != nil || tt.err != "") {
				t.Fatalf("got the error %s, want %s", got, tt.err)
			}
			var lines [][]string
			var broken []string
			for _, r := range read {
				var of []string
				for _, l := range r.Lines {
					text := l.Text
					if strings.HasPrefix(text, "Order ") {
						text = text[:len("Order ")+28]
					}
					of = append(of, fmt.Sprintf("%s %s %s %s", l.Amount, l.Key, l.Reference, text))
				}
				lines = append(lines, of)
				broken = append(broken, r.broken()...)
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.broken, broken); diff != "" {
				t.Errorf("broken proofs (-want +got):\n%s", diff)
			}
		})
	}
}

// camtUnreadable are documents that cannot be read, and how the errors begin.
func camtUnreadable() map[string]struct{ document, want string } {
	opening := camtBal("OPBD", "1.00 EUR", "2026-01-14")
	entry := func(more string) string { return camtDocument("04", "\n"+camtStmt("\n"+opening+"\n", more)) }
	return map[string]struct{ document, want string }{
		"no camt":              {`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"/>`, `file.xml:1: Document: is of the namespace "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03"`},
		"no namespace":         {`<Document/>`, `file.xml:1: Document: is of the namespace ""`},
		"another message":      {`<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.04"/>`, `file.xml:1: Document: is of the namespace`},
		"another Austrian":     {strings.Replace(camtDocument("02"), camtSpace+"camt.053.001.02", "ISO:camt.054.001.02:APC:STUZZA:payments:003", 1), `file.xml:1: Document: is of the namespace`},
		"another version":      {camtDocument("13"), `file.xml:1: Document: is of the namespace`},
		"another root":         {strings.ReplaceAll(camtDocument("04"), "Document", "Envelope"), `file.xml:1: Envelope: is of the namespace`},
		"no statement":         {camtDocument("04"), `file.xml:1: BkToCstmrStmt: has no Stmt`},
		"cut off":              {strings.TrimSuffix(entry(""), "</Stmt></BkToCstmrStmt></Document>"), `file.xml:3: Stmt: ends before all elements are closed`},
		"not well-formed":      {entry("<Ntry><Amt Ccy=\"EUR\"></Ntry>"), `file.xml:4: Stmt/Ntry/Amt: is open where "Ntry" ends`},
		"no account":           {camtDocument("02", "\n<Stmt><Acct><Id/></Acct></Stmt>"), `file.xml:2: Stmt/Acct/Id: is missing`},
		"no currency there is": {camtDocument("02", "\n<Stmt><Acct><Ccy>EURO</Ccy></Acct></Stmt>"), `file.xml:2: Stmt/Acct/Ccy: unknown currency`},
		"a sequence":           {camtDocument("02", "<Stmt>\n<ElctrncSeqNb>1.5</ElctrncSeqNb></Stmt>"), `file.xml:2: Stmt/ElctrncSeqNb: is no number: "1.5"`},
		"a page":               {camtDocument("02", "<Stmt>\n<StmtPgntn><PgNb>-1</PgNb></StmtPgntn></Stmt>"), `file.xml:2: Stmt/StmtPgntn/PgNb: is no number: "-1"`},
		"a last page":          {camtDocument("02", "<Stmt>\n<StmtPgntn><LastPgInd>yes</LastPgInd></StmtPgntn></Stmt>"), `file.xml:2: Stmt/StmtPgntn/LastPgInd: is neither true nor false: "yes"`},
		"a balance's amount":   {entry("\n" + camtBal("CLBD", "x EUR", "2026-01-14")), `file.xml:5: Stmt/Bal/Amt: malformed amount: "x" EUR`},
		"a balance's day":      {entry("\n" + camtBal("CLBD", "1 EUR", "2026-02-30")), `file.xml:5: Stmt/Bal/Dt/Dt: is no day: "2026-02-30"`},
		"no balance's day":     {entry("\n" + camtBal("CLBD", "1 EUR", "")), `file.xml:5: Stmt/Bal/Dt: is missing`},
		"a balance's sign":     {entry("\n" + strings.Replace(camtBal("CLBD", "1 EUR", "2026-01-14"), "CRDT", "", 1)), `file.xml:5: Stmt/Bal/CdtDbtInd: is missing`},
		"no balance's amount":  {entry("\n" + strings.ReplaceAll(camtBal("CLBD", "1 EUR", "2026-01-14"), "Amt", "Bmt")), `file.xml:5: Stmt/Bal/Amt: is missing`},
		"a late opening":       {entry(camtNtry("1 EUR") + "\n" + camtBal("OPBD", "2 EUR", "2026-01-01")), `file.xml:5: Stmt/Bal: is an opening balance behind the entries`},
		"a late sequence":      {entry(camtNtry("1 EUR") + "<LglSeqNb>7</LglSeqNb>"), `file.xml:2: Stmt: says behind its entries what it is of`},
		"a total":              {entry("\n<TxsSummry><TtlNtries><Sum>x</Sum></TtlNtries></TxsSummry>"), `file.xml:5: Stmt/TxsSummry/TtlNtries/Sum: malformed amount: "x" EUR`},
		"a total's count":      {entry("<TxsSummry><TtlNtries>\n<NbOfNtries>x</NbOfNtries></TtlNtries></TxsSummry>"), `file.xml:5: Stmt/TxsSummry/TtlNtries/NbOfNtries: is no number: "x"`},
		"no amount":            {entry("\n<Ntry><Sts>BOOK</Sts></Ntry>"), `file.xml:5: Stmt/Ntry/Amt: is missing`},
		"an empty amount":      {entry("<Ntry>\n<Amt Ccy=\"EUR\"/></Ntry>"), `file.xml:5: Stmt/Ntry/Amt: is empty`},
		"an amount with two":   {entry("<Ntry>\n" + camtAmtOf("1 EUR") + camtAmtOf("2 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Amt: stands there twice`},
		"no currency":          {entry("<Ntry>\n<Amt>1</Amt></Ntry>"), `file.xml:5: Stmt/Ntry/Amt: has no currency`},
		"an unknown currency":  {entry("<Ntry>\n" + camtAmtOf("1 XXX") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Amt: unknown currency`},
		"less than zero":       {entry("<Ntry>\n" + camtAmtOf("-1 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Amt: malformed amount: "-1" EUR`},
		"too many decimals":    {entry("<Ntry>\n" + camtAmtOf("1.001 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Amt: too many decimals: "1.001" EUR`},
		"too much":             {entry("<Ntry>\n" + camtAmtOf("92233720368547758.08 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Amt: amount out of range`},
		"too much together":    {entry(camtNtry("92233720368547758.07 EUR") + "\n" + camtNtry("0.01 EUR")), `file.xml:5: Stmt/Ntry/Amt: amount out of range`},
		"too much to close":    {entry(camtNtry("92233720368547758.07 EUR") + "\n" + camtBal("CLBD", "1 EUR", "2026-01-14")), `file.xml:5: Stmt/Bal: amount out of range`},
		"a sign":               {entry("<Ntry>\n<CdtDbtInd>C</CdtDbtInd></Ntry>"), `file.xml:5: Stmt/Ntry/CdtDbtInd: is neither CRDT nor DBIT: "C"`},
		"no sign":              {entry("\n<Ntry>" + camtAmtOf("1 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/CdtDbtInd: is missing`},
		"no status":            {entry("\n<Ntry>" + camtAmtSign("1 EUR") + "</Ntry>"), `file.xml:5: Stmt/Ntry/Sts: is missing`},
		"a status":             {entry("<Ntry>\n<Sts>DONE</Sts></Ntry>"), `file.xml:5: Stmt/Ntry/Sts: is "DONE", and none of`},
		"a newer status":       {entry("<Ntry>\n<Sts><Cd>DONE</Cd></Sts></Ntry>"), `file.xml:5: Stmt/Ntry/Sts/Cd: is "DONE", and none of`},
		"the bank's status":    {entry("<Ntry>\n<Sts><Prtry>DONE</Prtry></Sts></Ntry>"), `file.xml:5: Stmt/Ntry/Sts/Prtry: is not of ISO 20022`},
		"a day":                {entry("<Ntry><ValDt>\n<DtTm>15.01.2026</DtTm></ValDt></Ntry>"), `file.xml:5: Stmt/Ntry/ValDt/DtTm: is no day: "15.01.2026"`},
		"no day": {strings.Replace(entry("\n"+strings.ReplaceAll(camtNtry("1 EUR"), "2026-01-15", "")), "<CreDtTm>2026-01-15T20:00:00Z</CreDtTm>", "", 1),
			`file.xml:5: Stmt/Ntry/BookgDt: is missing`},
		"a transaction first":   {entry("\n<Ntry><NtryDtls><TxDtls/></NtryDtls></Ntry>"), `file.xml:5: Stmt/Ntry/Amt: is missing`},
		"a transaction's sum":   {entry(camtNtry("1 EUR", camtTxs("\n"+camtAmtOf("92233720368547758.07 EUR"), camtAmtOf("1 EUR")))), `file.xml:5: Stmt/Ntry/NtryDtls/TxDtls: amount out of range`},
		"a transaction's money": {entry(camtNtry("1 EUR", camtTxs("\n<AmtDtls><TxAmt>"+camtAmtOf("1,00 EUR")+"</TxAmt></AmtDtls>"))), `file.xml:5: Stmt/Ntry/NtryDtls/TxDtls/AmtDtls/TxAmt/Amt: malformed amount`},
		"a charge":              {entry(camtNtry("1 EUR", "<Chrgs>\n<Rcrd>"+camtAmtOf("1.234 EUR")+"</Rcrd></Chrgs>")), `file.xml:5: Stmt/Ntry/Chrgs/Rcrd/Amt: too many decimals`},
		"a text":                {entry(camtNtry("1 EUR", "\n<AddtlNtryInf>"+strings.Repeat("x", xmlMaxText+1)+"</AddtlNtryInf>")), `file.xml:5: Stmt/Ntry/AddtlNtryInf: has a text of more than`},
		"elements for a text":   {entry("<Ntry>\n<Amt Ccy=\"EUR\"><Amt>1</Amt></Amt></Ntry>"), `file.xml:5: Stmt/Ntry/Amt/Amt: has elements where a text belongs`},
		"two documents":         {entry("") + camtDocument("04"), `file.xml:4: has "<Document `},
	}
}

func TestCamt_TellsFileLineAndFieldOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, tt := range camtUnreadable() {
		read, err := readCamtAll(strings.NewReader(tt.document), Camt053)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got the error %v, want %s…", name, err, tt.want)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: the error is a %T", name, err)
		}
		if len(read) > 0 && read[len(read)-1].Closing != nil && name != "two documents" {
			t.Errorf("%s: the statement has a closing", name)
		}
	}
}

func TestCamt_GivesTheErrorOfTheStream(t *testing.T) {
	t.Parallel()
	broken := errors.New("the line is dead")
	_, err := readCamtAll(io.MultiReader(strings.NewReader(camtDocument("02", "")[:150]), iotest.ErrReader(broken)), Camt053)
	if _, of := errors.AsType[*Error](err); of || !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestCamt_ReadsTheNamespaceOfAustrianBanks(t *testing.T) {
	t.Parallel()
	document := strings.Replace(camtDocument("02", camtStmt(camtNtry("1 EUR"))), camtSpace+"camt.053.001.02", "ISO:camt.053.001.02:APC:STUZZA:payments:003", 1)
	if read := mustReadCamt(t, document); len(read[0].Lines) != 1 {
		t.Errorf("got %d lines, want one", len(read[0].Lines))
	}
}

func TestCamt_StopsWhenNobodyWantsMore(t *testing.T) {
	t.Parallel()
	document := camtFile(10)
	for want := range 12 {
		got := 0
		for _, err := range Read(bytes.NewReader(document), Options{Format: Camt053}) {
			if err != nil {
				t.Fatal(err)
			}
			if got++; got > want {
				break
			}
		}
		if got != want+1 {
			t.Errorf("got %d parts after the break behind %d", got, want)
		}
	}
}
