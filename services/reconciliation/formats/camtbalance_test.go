package formats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCamt_ChoosesWhatAStatementOpensAndClosesWith(t *testing.T) {
	t.Parallel()
	const day1, day2, day3 = "2026-01-14", "2026-01-15", "2026-01-16"
	page := func(n int, last bool) string {
		return fmt.Sprintf(`<StmtPgntn><PgNb>%d</PgNb><LastPgInd>%t</LastPgInd></StmtPgntn>`, n, last)
	}
	tests := map[string]struct{ body, want string }{
		"opening and closing": {camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day2), "1.00 EUR 2.00 EUR"},
		"debit balances":      {camtBal("OPBD", "-1 EUR", day1) + camtBal("CLBD", "-2 EUR", day2), "-1.00 EUR -2.00 EUR"},
		"no balances":         {"", "- -"},
		"no opening":          {camtBal("CLBD", "2 EUR", day2), "- 2.00 EUR"},
		"no closing":          {camtBal("OPBD", "2 EUR", day2), "2.00 EUR -"},
		"previous closing":    {camtBal("PRCD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day2), "1.00 EUR 2.00 EUR"},
		"both":                {camtBal("PRCD", "9 EUR", day1) + camtBal("OPBD", "1 EUR", day2) + camtBal("CLBD", "2 EUR", day2), "1.00 EUR 2.00 EUR"},
		"not booked": {camtBal("OPAV", "8 EUR", day1) + camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day2) +
			camtBal("CLAV", "9 EUR", day2) + camtBal("FWAV", "7 EUR", day3) + camtBal("XPCD", "6 EUR", day3) + camtBal("INFO", "x XAU", ""), "1.00 EUR 2.00 EUR"},
		"of the bank's own type": {strings.ReplaceAll(camtBal("OPBD", "1 EUR", day1), "Cd>", "Prtry>"), "- -"},
		"other currencies": {camtBal("OPBD", "100 USD", day1) + camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day2) + camtBal("CLBD", "100 JPY", day2),
			"1.00 EUR 2.00 EUR"},
		"only other currencies": {camtBal("OPBD", "100 USD", day1) + camtBal("CLBD", "100 JPY", day2), "100.00 USD 100 JPY"},
		"several days": {camtBal("OPBD", "2 EUR", day2) + camtBal("CLBD", "3 EUR", day2) + camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day1),
			"1.00 EUR 3.00 EUR"},
		"a part of it":      {camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD/BLCK", "9 EUR", day2) + camtBal("CLBD", "2 EUR", day2), "1.00 EUR 2.00 EUR"},
		"only a part of it": {camtBal("OPBD/XXXX", "1 EUR", day1), "1.00 EUR -"},
		"a first page":      {page(1, false) + camtBal("OPBD", "1 EUR", day1) + camtBal("CLBD/INTM", "2 EUR", day1) + camtBal("CLBD", "9 EUR", day1), "1.00 EUR 2.00 EUR"},
		"a middle page":     {page(2, false) + camtBal("OPBD", "9 EUR", day1) + camtBal("OPBD/INTM", "1 EUR", day1) + camtBal("CLBD/INTM", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"a last page":       {page(3, true) + camtBal("OPBD/INTM", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"a first page, ITBD": {page(1, false) + camtBal("OPBD", "1 EUR", day1) + camtBal("ITBD", "2 EUR", day1),
			"1.00 EUR 2.00 EUR"},
		"a middle page, ITBD": {page(2, false) + camtBal("ITBD", "1 EUR", day1) + camtBal("ITBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"a last page, ITBD":   {page(3, true) + camtBal("OPBD", "9 EUR", day1) + camtBal("ITBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"no page, first":      {camtBal("PRCD", "1 EUR", day1) + camtBal("ITBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"no page, last":       {camtBal("ITBD", "1 EUR", day1) + camtBal("CLBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
		"a Finnish page":      {page(2, false) + camtBal("ITBD/CIBD", "2 EUR", day1) + camtBal("ITBD/OIBD", "1 EUR", day1), "1.00 EUR 2.00 EUR"},
		"behind the entries":  {camtBal("OPBD", "1 EUR", day1) + camtNtry("1 EUR") + camtBal("CLBD", "2 EUR", day1), "1.00 EUR 2.00 EUR"},
	}
	for name, tt := range tests {
		read := mustReadCamt(t, camtDocument("08", camtStmt(tt.body)))
		balance := func(b *Balance) string {
			if b == nil {
				return "-"
			}
			return b.Amount.String()
		}
		if got := balance(read[0].Statement.Opening) + " " + balance(read[0].Closing.Balance); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestCamt_TakesTheCurrencyOfTheBalancesWhereTheAccountHasNone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ balances, want string }{
		"of the opening": {camtBal("OPBD", "1 USD", "2026-01-14") + camtBal("CLBD", "2 EUR", "2026-01-14") + camtBal("CLBD", "2 USD", "2026-01-14"), "USD 2.00 USD"},
		"of the closing": {camtBal("CLBD", "2 EUR", "2026-01-14"), "EUR 2.00 EUR"},
		"of none":        {"", " -"},
	}
	for name, tt := range tests {
		r := mustReadCamt(t, camtDocument("08", strings.Replace(camtStmt(tt.balances), "<Ccy>EUR</Ccy>", "", 1)))[0]
		got := string(r.Statement.Currency) + " -"
		if r.Closing.Balance != nil {
			got = string(r.Statement.Currency) + " " + r.Closing.Balance.Amount.String()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestCamt_ProvesWhatIsBooked(t *testing.T) {
	t.Parallel()
	opens := camtBal("OPBD", "10 EUR", "2026-01-14")
	closes := func(amount string) string { return camtBal("CLBD", amount, "2026-01-15") }
	status := func(entry, status string) string { return strings.Replace(entry, "BOOK", status, 1) }
	totals := func(of, total string) string { return `<TxsSummry><` + of + `>` + total + `</` + of + `></TxsSummry>` }
	holds := func(rules ...string) []string { return rules }
	tests := map[string]struct {
		body string
		want []string
	}{
		"nothing happened": {opens + closes("10 EUR"), holds("balance 10.00 EUR")},
		"nothing happened, and it is another balance": {opens + closes("11 EUR"),
			[]string{"line 1: balance: the file states 11.00 EUR, its lines come to 10.00 EUR"}},
		"up and down":       {opens + closes("-5 EUR") + camtNtry("5 EUR") + camtNtry("-20 EUR"), holds("balance -5.00 EUR")},
		"no opening":        {closes("-5 EUR") + camtNtry("5 EUR"), nil},
		"what is pending":   {opens + closes("15 EUR") + camtNtry("5 EUR") + status(camtNtry("7 EUR"), "PDNG"), holds("balance 15.00 EUR")},
		"what is told only": {opens + closes("15 EUR") + camtNtry("5 EUR") + status(camtNtry("7 EUR"), "<Cd>INFO</Cd>"), holds("balance 15.00 EUR")},
		"a currency":        {opens + closes("15 USD") + camtNtry("5 EUR"), []string{"line 1: balance: the file states 15.00 USD, its lines come to 15.00 EUR"}},
		"entries in several": {opens + closes("15 EUR") + camtNtry("5 EUR") + camtNtry("5 USD"),
			[]string{"line 1: balance: the file states 15.00 EUR, its lines come to 15.00 EUR and entries in other currencies"}},
		"all entries": {totals("TtlNtries", `<NbOfNtries>2</NbOfNtries><Sum>25.0</Sum><TtlNetNtryAmt>15</TtlNetNtryAmt><CdtDbtInd>DBIT</CdtDbtInd>`) +
			camtNtry("5 EUR") + camtNtry("-20 EUR"), holds("count 2", "sum 25.00 EUR", "sum -15.00 EUR")},
		"all since version 04": {totals("TtlNtries", `<TtlNetNtry>`+camtAmtSign("-15 EUR")+`</TtlNetNtry>`) + camtNtry("5 EUR") + camtNtry("-20 EUR"),
			holds("sum -15.00 EUR")},
		"a net without a sign": {totals("TtlNtries", `<TtlNetNtryAmt>15</TtlNetNtryAmt>`) + camtNtry("5 EUR") + camtNtry("-20 EUR"), holds("sum -15.00 EUR")},
		"too many": {totals("TtlNtries", `<NbOfNtries>1</NbOfNtries><Sum>5</Sum>`) + camtNtry("5 EUR") + camtNtry("-20 EUR"),
			[]string{"line 1: count: the file states 1, its lines come to 2", "line 1: sum: the file states 5.00 EUR, its lines come to 25.00 EUR"}},
		"credits":       {totals("TtlCdtNtries", `<NbOfNtries>1</NbOfNtries><Sum>5</Sum>`) + camtNtry("5 EUR") + camtNtry("-20 EUR"), holds("count 1", "sum 5.00 EUR")},
		"debits":        {totals("TtlDbtNtries", `<NbOfNtries>1</NbOfNtries><Sum>20</Sum>`) + camtNtry("5 EUR") + camtNtry("-20 EUR"), holds("count 1", "sum 20.00 EUR")},
		"with pending":  {totals("TtlNtries", `<NbOfNtries>2</NbOfNtries><Sum>12</Sum>`) + camtNtry("5 EUR") + status(camtNtry("7 EUR"), "PDNG"), holds("count 2", "sum 12.00 EUR")},
		"booked only":   {totals("TtlNtries", `<NbOfNtries>1</NbOfNtries><Sum>5</Sum>`) + camtNtry("5 EUR") + status(camtNtry("7 EUR"), "PDNG"), holds("count 1", "sum 5.00 EUR")},
		"two of a kind": {totals("TtlNtries", `<NbOfNtries>2</NbOfNtries><Sum>12</Sum>`) + camtNtry("5 EUR") + camtNtry("7 USD"), holds("count 2")},
		"a batch is one entry": {totals("TtlNtries", `<NbOfNtries>1</NbOfNtries><Sum>5</Sum>`) + camtNtry("5 EUR", camtTxs(camtAmtOf("2 EUR"), camtAmtOf("3 EUR"))),
			holds("entry 5.00 EUR", "count 1", "sum 5.00 EUR")},
		"of all pages": {`<StmtPgntn><PgNb>2</PgNb></StmtPgntn>` + totals("TtlNtries", `<NbOfNtries>7</NbOfNtries><Sum>5</Sum>`) + camtNtry("5 EUR"),
			holds("sum 5.00 EUR")},
		"nothing stated": {totals("TtlNtries", `<NbOfNtries/><Sum/>`) + camtNtry("5 EUR"), nil},
	}
	for name, tt := range tests {
		var got []string
		for _, p := range mustReadCamt(t, camtDocument("04", camtStmt(tt.body)))[0].Proofs {
			if p.Holds() {
				got = append(got, fmt.Sprintf("%s %s", p.Rule, p.Stated))
			} else {
				got = append(got, p.String())
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestCamt_TakesPagesOfTheMessageWhereTheStatementHasNone(t *testing.T) {
	t.Parallel()
	const pages = `<MsgPgntn><PgNb>3</PgNb><LastPgInd>0</LastPgInd></MsgPgntn></GrpHdr>`
	read := mustReadCamt(t, strings.Replace(camtDocument("08", camtStmt(), camtStmt(`<StmtPgntn><PgNb>1</PgNb></StmtPgntn>`)), "</GrpHdr>", pages, 1))
	for i, want := range []string{"3 false", "1 true"} {
		if got := fmt.Sprint(read[i].Statement.Page, " ", read[i].Closing.Last); got != want {
			t.Errorf("statement %d: got page %s, want %s", i+1, got, want)
		}
	}
}

func TestCamtMinor_ReadsWhatXMLSchemaTakesForADecimal(t *testing.T) {
	t.Parallel()
	good := map[string]int64{
		"0": 0, "12": 1200, "12.3": 1230, "12.34": 1234, "12.340000": 1234, "000012.34": 1234, "+12.34": 1234, "12.": 1200, ".5": 50,
		"92233720368547758.07": 1<<63 - 1,
	}
	for text, want := range good {
		if got, err := camtMinor([]byte(text), 2); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "-1", "-0", "+", "++1", "1,5", "1e3", "1 000", "1.2.3", "0x1", "١", "12.345", "12.3400001", "92233720368547758.08", strings.Repeat("9", 99)} {
		if got, err := camtMinor([]byte(text), 2); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

func TestCamt_TakesTheDayThatWasWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"2026-01-15", "2026-01-15Z", "2026-01-15+14:00", "2026-01-15-05:00", "2026-01-15T00:00:00", "2026-01-15T23:59:59.999+14:00", "2026-01-15T23:59:59Z"} {
		entry := strings.Replace(camtNtry("1 EUR"), "2026-01-15", text, 1)
		if l := mustReadCamt(t, camtDocument("04", camtStmt(entry)))[0].Lines[0]; !l.Booked.Equal(camtDay("2026-01-15")) || !l.Value.Equal(l.Booked) {
			t.Errorf("%s: got %v, of value %v", text, l.Booked, l.Value)
		}
	}
}
