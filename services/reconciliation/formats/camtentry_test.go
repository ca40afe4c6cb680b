package formats

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// camtTxs are the details of an entry, with a transaction each.
func camtTxs(transactions ...string) string {
	return `<NtryDtls><TxDtls>` + strings.Join(transactions, `</TxDtls><TxDtls>`) + `</TxDtls></NtryDtls>`
}

// camtRef is a transaction's end-to-end id.
func camtRef(id string) string { return `<Refs><EndToEndId>` + id + `</EndToEndId></Refs>` }

// camtDetail is one of AmtDtls.
func camtDetail(name, amount string) string {
	return `<AmtDtls><` + name + `>` + camtAmtOf(amount) + `</` + name + `></AmtDtls>`
}

// camtCharge is a charge since version 03.
func camtCharge(amount string) string {
	return `<Chrgs><Rcrd>` + camtAmtSign(amount) + `</Rcrd></Chrgs>`
}

// camtLines are lines as "amount kind id key", and the proofs of entries.
func camtLines(t *testing.T, document string) (lines []string) {
	t.Helper()
	for _, r := range mustReadCamt(t, document) {
		for _, l := range r.Lines {
			lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %s %s %s", l.Amount, l.Kind, cmp.Or(l.ID, "-"), l.Key), " "))
		}
		for _, p := range r.Proofs {
			if p.Rule == RuleEntry {
				lines = append(lines, p.String())
			}
		}
	}
	return lines
}

// TestCamt_SaysWhatWasConverted reads what was instructed, or else what the transaction was, in another currency than the entry's.
func TestCamt_SaysWhatWasConverted(t *testing.T) {
	t.Parallel()
	exchange := `<CcyXchg><SrcCcy>USD</SrcCcy><TrgtCcy>EUR</TrgtCcy><XchgRate>0.92</XchgRate></CcyXchg>`
	details := func(inside string) string { return `<AmtDtls>` + inside + `</AmtDtls>` }
	instructed := `<InstdAmt>` + camtAmtOf("100.00 USD") + exchange + `</InstdAmt>`
	for name, tt := range map[string]struct{ entry, want string }{
		"instructed":          {camtNtry("92.00 EUR", camtTxs(details(instructed+`<TxAmt>`+camtAmtOf("92.00 EUR")+`</TxAmt>`))), "100.00 USD"},
		"that went out":       {camtNtry("-92.00 EUR", camtTxs(details(instructed))), "-100.00 USD"},
		"the transaction":     {camtNtry("92.00 EUR", camtTxs(details(`<TxAmt>`+camtAmtOf("100.00 USD")+`</TxAmt>`))), "100.00 USD"},
		"before it":           {camtNtry("92.00 EUR", camtTxs(details(instructed+`<TxAmt>`+camtAmtOf("15000 JPY")+`</TxAmt>`))), "100.00 USD"},
		"behind it":           {camtNtry("92.00 EUR", camtTxs(details(`<TxAmt>`+camtAmtOf("15000 JPY")+`</TxAmt>`+instructed))), "100.00 USD"},
		"its counter value":   {camtNtry("92.00 EUR", camtTxs(camtDetail("CntrValAmt", "100.00 USD"))), ""},
		"the same currency":   {camtNtry("92.00 EUR", camtTxs(camtDetail("InstdAmt", "100.00 EUR"))), ""},
		"of no currency":      {camtNtry("92.00 EUR", camtTxs(camtDetail("InstdAmt", "100.00 XYZ"))), ""},
		"that is none":        {camtNtry("92.00 EUR", camtTxs(camtDetail("InstdAmt", "1,00 USD"))), ""},
		"of several together": {camtNtry("92.00 EUR", camtTxs(camtDetail("InstdAmt", "50.00 USD"), camtDetail("InstdAmt", "50.00 USD"))), ""},
		"of several by themselves": {camtNtry("184.00 EUR", camtTxs(camtAmtOf("92.00 EUR")+details(instructed), camtAmtOf("92.00 EUR")+details(instructed))),
			"100.00 USD, 100.00 USD"},
	} {
		var was []string
		for _, r := range mustReadCamt(t, camtDocument("04", camtStmt(tt.entry))) {
			for _, l := range r.Lines {
				if l.Original.Currency != "" {
					was = append(was, l.Original.String())
				}
			}
		}
		if got := strings.Join(was, ", "); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// A camtLinesCase is an entry, and its lines and proofs.
type camtLinesCase struct {
	entry string
	want  []string
}

func checkCamtLines(t *testing.T, cases map[string]camtLinesCase) {
	t.Helper()
	for name, tt := range cases {
		if diff := gocmp.Diff(tt.want, camtLines(t, camtDocument("04", camtStmt(tt.entry)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

const camtHolds = "line 1: entry holds: "

func TestCamt_SplitsAnEntryIntoTransactionsThatComeToIt(t *testing.T) {
	t.Parallel()
	checkCamtLines(t, map[string]camtLinesCase{
		"no transactions": {camtNtry("10.00 EUR"), []string{"10.00 EUR transfer REF"}},
		"details without transactions": {camtNtry("10.00 EUR", `<NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch></NtryDtls>`),
			[]string{"10.00 EUR transfer REF"}},
		"one without an amount": {camtNtry("10.00 EUR", camtTxs(camtRef("a"))), []string{"10.00 EUR transfer REF a"}},
		"one with it":           {camtNtry("10.00 EUR", camtTxs(camtRef("a")+camtAmtOf("10 EUR"))), []string{"10.00 EUR transfer REF a"}},
		"one in another currency": {camtNtry("10.00 EUR", camtTxs(camtRef("a")+camtAmtOf("11 USD"))),
			[]string{"10.00 EUR transfer REF a"}},
		"two": {camtNtry("10.00 EUR", camtTxs(camtRef("a")+camtAmtOf("7 EUR"), camtRef("b")+camtAmtOf("3 EUR"))),
			[]string{"7.00 EUR transfer REF/1 a", "3.00 EUR transfer REF/2 b", camtHolds + "10.00 EUR"}},
		"two of zero together": {camtNtry("0.00 EUR", camtTxs(camtRef("a")+camtAmtSign("7 EUR"), camtRef("b")+camtAmtSign("-7 EUR"))),
			[]string{"7.00 EUR transfer REF/1 a", "-7.00 EUR transfer REF/2 b", camtHolds + "0.00 EUR"}},
		"several details": {camtNtry("10.00 EUR", camtTxs(camtRef("a")+camtAmtOf("7 EUR")), camtTxs(camtRef("b")+camtAmtOf("3 EUR"))),
			[]string{"7.00 EUR transfer REF/1 a", "3.00 EUR transfer REF/2 b", camtHolds + "10.00 EUR"}},
		"by version 02": {camtNtry("-10.00 EUR", camtTxs(camtRef("a")+camtDetail("TxAmt", "7 EUR"), camtRef("b")+camtDetail("TxAmt", "3 EUR"))),
			[]string{"-7.00 EUR transfer REF/1 a", "-3.00 EUR transfer REF/2 b", camtHolds + "-10.00 EUR"}},
		"by the counter value": {camtNtry("-10.00 EUR", camtTxs(camtAmtOf("8 USD")+camtDetail("CntrValAmt", "7 EUR"), camtAmtOf("3 EUR")+camtDetail("CntrValAmt", "3 EUR"))),
			[]string{"-7.00 EUR transfer REF/1", "-3.00 EUR transfer REF/2", camtHolds + "-10.00 EUR"}},
		"by what was instructed": {camtNtry("10.00 EUR", camtTxs(camtDetail("InstdAmt", "7 EUR"), camtDetail("InstdAmt", "3 EUR"))),
			[]string{"7.00 EUR transfer REF/1", "3.00 EUR transfer REF/2", camtHolds + "10.00 EUR"}},
		"by the amounts that tie": {camtNtry("10.00 EUR", camtTxs(camtAmtOf("9 EUR")+camtDetail("TxAmt", "7 EUR"), camtAmtOf("9 EUR")+camtDetail("TxAmt", "3 EUR"))),
			[]string{"7.00 EUR transfer REF/1", "3.00 EUR transfer REF/2", camtHolds + "10.00 EUR"}},
		"with signs of their own": {camtNtry("10.00 EUR", camtTxs(camtRef("a")+camtAmtSign("17 EUR"), camtRef("b")+camtAmtSign("-7 EUR"))),
			[]string{"17.00 EUR transfer REF/1 a", "-7.00 EUR transfer REF/2 b", camtHolds + "10.00 EUR"}},
		"told from the other side": {camtNtry("-10.00 EUR", camtTxs(camtAmtSign("7 EUR"), camtAmtSign("3 EUR"))),
			[]string{"-7.00 EUR transfer REF/1", "-3.00 EUR transfer REF/2", camtHolds + "-10.00 EUR"}},
		"references of their own": {camtNtry("10.00 EUR", camtTxs(`<Refs><AcctSvcrRef>T1</AcctSvcrRef></Refs>`+camtAmtOf("7 EUR"), `<Refs><AcctSvcrRef>T2</AcctSvcrRef></Refs>`+camtAmtOf("3 EUR"))),
			[]string{"7.00 EUR transfer T1", "3.00 EUR transfer T2", camtHolds + "10.00 EUR"}},
		"the reference of all": {camtNtry("10.00 EUR", camtTxs(`<Refs><AcctSvcrRef>REF</AcctSvcrRef></Refs>`+camtAmtOf("7 EUR"), `<Refs><AcctSvcrRef>REF</AcctSvcrRef></Refs>`+camtAmtOf("3 EUR"))),
			[]string{"7.00 EUR transfer REF/1", "3.00 EUR transfer REF/2", camtHolds + "10.00 EUR"}},
	})
}

func TestCamt_MakesALineOfCharges(t *testing.T) {
	t.Parallel()
	checkCamtLines(t, map[string]camtLinesCase{
		"charged within one": {camtNtry("95.00 EUR", camtTxs(camtRef("a")+camtAmtOf("100 EUR")+camtCharge("-5 EUR"))),
			[]string{"100.00 EUR transfer REF a", "-5.00 EUR fee REF/fee", camtHolds + "95.00 EUR"}},
		"charged on top": {camtNtry("-1526.00 EUR", camtTxs(camtAmtOf("1500 EUR")+camtCharge("-26 EUR"))),
			[]string{"-1500.00 EUR transfer REF", "-26.00 EUR fee REF/fee", camtHolds + "-1526.00 EUR"}},
		"charged, but not here": {camtNtry("100.00 EUR", camtTxs(camtAmtOf("100 EUR")+camtCharge("-5 EUR"))),
			[]string{"100.00 EUR transfer REF"}},
		"charged for the entry": {camtNtry("95.00 EUR", camtCharge("-5 EUR"), camtTxs(camtAmtOf("60 EUR"), camtAmtOf("40 EUR"))),
			[]string{"60.00 EUR transfer REF/1", "40.00 EUR transfer REF/2", "-5.00 EUR fee REF/fee", camtHolds + "95.00 EUR"}},
		"charged, and told of twice": {camtNtry("95.00 EUR", camtCharge("-5 EUR"), camtTxs(camtAmtOf("60 EUR")+camtCharge("-2 EUR"), camtAmtOf("40 EUR")+camtCharge("-3 EUR"))),
			[]string{"60.00 EUR transfer REF/1", "40.00 EUR transfer REF/2", "-5.00 EUR fee REF/fee", camtHolds + "95.00 EUR"}},
		"charged for both": {camtNtry("93.00 EUR", camtCharge("-5 EUR"), camtTxs(camtAmtOf("100 EUR")+camtCharge("-2 EUR"))),
			[]string{"100.00 EUR transfer REF", "-7.00 EUR fee REF/fee", camtHolds + "93.00 EUR"}},
		"charged with tax": {camtNtry("94.00 EUR", camtTxs(camtAmtOf("100 EUR")+`<Chrgs><TtlChrgsAndTaxAmt Ccy="EUR">6</TtlChrgsAndTaxAmt><Rcrd>`+camtAmtOf("5 EUR")+`</Rcrd></Chrgs>`)),
			[]string{"100.00 EUR transfer REF", "-6.00 EUR fee REF/fee", camtHolds + "94.00 EUR"}},
		"charged by version 02": {camtNtry("94.00 EUR", camtTxs(camtDetail("TxAmt", "100 EUR")+`<Chrgs>`+camtAmtOf("5 EUR")+`</Chrgs><Chrgs>`+camtAmtSign("-1 EUR")+`</Chrgs>`)),
			[]string{"100.00 EUR transfer REF", "-6.00 EUR fee REF/fee", camtHolds + "94.00 EUR"}},
		"a charge given back": {camtNtry("105.00 EUR", camtTxs(camtAmtOf("100 EUR")+camtCharge("5 EUR"))),
			[]string{"100.00 EUR transfer REF", "5.00 EUR fee REF/fee", camtHolds + "105.00 EUR"}},
	})
}

func TestCamt_LeavesAnEntryWholeThatItsTransactionsDoNotComeTo(t *testing.T) {
	t.Parallel()
	const whole = "10.00 EUR transfer REF"
	fails := func(computed string) string {
		return "line 1: entry: the file states 10.00 EUR, its lines come to " + computed
	}
	checkCamtLines(t, map[string]camtLinesCase{
		"some have no amount":                 {camtNtry("10.00 EUR", camtTxs(camtAmtOf("7 EUR"), "")), []string{whole}},
		"some are in another currency":        {camtNtry("10.00 EUR", camtTxs(camtAmtOf("7 EUR"), camtAmtOf("3 USD"))), []string{whole}},
		"what was ordered was something else": {camtNtry("10.00 EUR", camtTxs(camtDetail("InstdAmt", "7 EUR"), camtDetail("InstdAmt", "4 EUR"))), []string{whole}},
		"all are zero":                        {camtNtry("10.00 EUR", camtTxs(camtAmtOf("0 EUR"), camtAmtOf("0 EUR"))), []string{whole}},
		"charges in another currency":         {camtNtry("10.00 EUR", camtTxs(camtAmtOf("11 EUR")+camtCharge("-1.20 USD"))), []string{whole}},
		"amounts that do not tie":             {camtNtry("10.00 EUR", camtTxs(camtAmtOf("7 EUR"), camtAmtOf("4 EUR"))), []string{whole, fails("11.00 EUR")}},
		"amounts of version 02":               {camtNtry("10.00 EUR", camtTxs(camtDetail("TxAmt", "7 EUR"))), []string{whole, fails("7.00 EUR")}},
		"charges that do not":                 {camtNtry("10.00 EUR", camtTxs(camtAmtOf("12 EUR")+camtCharge("-1 EUR"))), []string{whole, fails("11.00 EUR")}},
	})
}

func TestCamt_GathersWhatTransactionsHaveInCommon(t *testing.T) {
	t.Parallel()
	tx := func(id, text string) string {
		return `<Refs><InstrId>I</InstrId><EndToEndId>` + id + `</EndToEndId></Refs><RltdPties><Dbtr><Nm>Payer</Nm></Dbtr></RltdPties>` +
			`<RmtInf><Ustrd>` + text + `</Ustrd><Strd><CdtrRefInf><Ref>RF` + id + `</Ref></CdtrRefInf></Strd></RmtInf>`
	}
	read := mustReadCamt(t, camtDocument("04", camtStmt(
		camtNtry("10.00 EUR", camtTxs(tx("a", "one"), tx("b", "two")), `<AddtlNtryInf>collected</AddtlNtryInf>`),
		camtNtry("10.00 EUR", `<NtryDtls><Btch><MsgId>M</MsgId><PmtInfId>B</PmtInfId></Btch></NtryDtls>`, camtTxs(tx("a", "one"), tx("a", "one"))),
		camtNtry("10.00 EUR", camtTxs(tx("a", strings.Repeat("x", 2*camtMaxGathered)), tx("b", "two"))),
	)))
	want := []Line{
		{Reference: "I", Text: "collected a I one RFa b I two RFb", Party: "Payer"},
		{Reference: "B", Key: "a", Text: "a I one RFa a I one RFa", Party: "Payer"},
		{Reference: "I", Text: "a I RFa b I two RFb", Party: "Payer"},
	}
	for i, l := range read[0].Lines {
		got := Line{Reference: l.Reference, Key: l.Key, Text: l.Text, Party: l.Party}
		if diff := gocmp.Diff(want[i], got); diff != "" {
			t.Errorf("entry %d (-want +got):\n%s", i+1, diff)
		}
	}
}

func TestCamt_TakesReferencesInOrder(t *testing.T) {
	t.Parallel()
	const (
		instr = `<InstrId>instr</InstrId>`
		rest  = `<MsgId>msg</MsgId><PmtInfId>pmt</PmtInfId><TxId>tx</TxId><ClrSysRef>clr</ClrSysRef>`
		ref   = `<RmtInf><Strd><RfrdDocInf><Nb>doc</Nb></RfrdDocInf><CdtrRefInf><Ref>rf</Ref></CdtrRefInf></Strd></RmtInf>`
		doc   = `<RmtInf><Strd><RfrdDocInf><Nb>doc</Nb></RfrdDocInf><RfrdDocInf><Nb>doc2</Nb></RfrdDocInf></Strd></RmtInf>`
	)
	tests := map[string]struct{ amount, refs, info, reference, text string }{
		"in, all":         {"1 EUR", rest + instr, ref, "rf", "doc"},
		"in, documents":   {"1 EUR", rest + instr, doc, "doc", "doc2"},
		"in, instruction": {"1 EUR", rest + instr, "", "instr", ""},
		"out, all":        {"-1 EUR", rest + instr, ref, "instr", "doc rf"},
		"out, reference":  {"-1 EUR", rest, ref, "rf", "doc"},
		"mandate":         {"1 EUR", rest + `<MndtId>mndt</MndtId>`, "", "mndt", ""},
		"transaction":     {"1 EUR", rest, "", "tx", ""},
		"clearing":        {"1 EUR", `<ClrSysRef>clr</ClrSysRef><MsgId>msg</MsgId>`, "", "clr", ""},
		"what is none":    {"1 EUR", `<InstrId>notprovided</InstrId><TxId>NONREF</TxId><EndToEndId/>`, "", "", ""},
		"text for no text": {"1 EUR", "", `<AddtlTxInf> more
			info </AddtlTxInf>`, "", "more info"},
		"text beside a text": {"1 EUR", "", `<RmtInf><Ustrd>a</Ustrd><Ustrd/><Ustrd>b &lt; c</Ustrd></RmtInf><AddtlTxInf>x</AddtlTxInf>`, "", "a b < c"},
	}
	for name, tt := range tests {
		read := mustReadCamt(t, camtDocument("08", camtStmt(camtNtry(tt.amount, camtTxs(`<Refs>`+tt.refs+`</Refs>`+tt.info)))))
		l := read[0].Lines[0]
		if l.Reference != tt.reference || l.Text != tt.text || l.Key != "" {
			t.Errorf("%s: got the reference %q, text %q, key %q; want %q, %q and none", name, l.Reference, l.Text, l.Key, tt.reference, tt.text)
		}
	}
}

func TestCamt_FindsTheOtherSide(t *testing.T) {
	t.Parallel()
	party := func(debtorAccount, creditorAccount string) string {
		account := func(name, iban string) string {
			if iban == "" {
				return ""
			}
			return `<` + name + `><Id><IBAN>` + iban + `</IBAN></Id></` + name + `>`
		}
		return `<RltdPties><Dbtr><Nm>D</Nm></Dbtr>` + account("DbtrAcct", debtorAccount) + `<Cdtr><Nm>C</Nm></Cdtr>` + account("CdtrAcct", creditorAccount) + `</RltdPties>`
	}
	const reversed, returned = `<RvslInd>true</RvslInd>`, `<RtrInf><Rsn><Cd>AM04</Cd></Rsn></RtrInf>`
	tests := map[string]struct{ amount, more, details, party, account string }{
		"in":                             {"1 EUR", "", party("", ""), "D", ""},
		"out":                            {"-1 EUR", "", party("", ""), "C", ""},
		"in, reversed":                   {"1 EUR", reversed, party("", ""), "C", ""},
		"out, returned":                  {"-1 EUR", "", party("", "") + returned, "D", ""},
		"in, by our account":             {"1 EUR", reversed, party("DE99", "DE 01"), "D", "DE99"},
		"out, by our account":            {"-1 EUR", "", party("DE 99", "DE01"), "D", "DE99"},
		"out, by the debtor's account":   {"1 EUR", "", party("DE01", "DE99"), "C", "DE99"},
		"out, by another account":        {"-1 EUR", "", party("DE98", "DE99"), "C", "DE99"},
		"in, the ultimate debtor":        {"1 EUR", "", `<RltdPties><UltmtDbtr><Nm>U</Nm></UltmtDbtr></RltdPties>`, "U", ""},
		"in, a person of version 08":     {"1 EUR", "", `<RltdPties><Dbtr><Pty><Nm> A  B </Nm></Pty></Dbtr></RltdPties>`, "A B", ""},
		"in, a bank of version 08":       {"1 EUR", "", `<RltdPties><Dbtr><Agt><FinInstnId><Nm>Bank</Nm></FinInstnId></Agt></Dbtr></RltdPties>`, "Bank", ""},
		"in, from a creditor only":       {"1 EUR", "", `<RltdPties><Cdtr><Nm>C</Nm></Cdtr></RltdPties>`, "", ""},
		"in, an account of another kind": {"1 EUR", "", `<RltdPties><DbtrAcct><Id><Othr><Id>1 2</Id></Othr></Id></DbtrAcct></RltdPties>`, "", "12"},
	}
	for name, tt := range tests {
		read := mustReadCamt(t, camtDocument("08", camtStmt(camtNtry(tt.amount, tt.more, camtTxs(tt.details)))))
		if l := read[0].Lines[0]; l.Party != tt.party || l.PartyAccount != tt.account {
			t.Errorf("%s: got %q, %q; want %q, %q", name, l.Party, l.PartyAccount, tt.party, tt.account)
		}
	}
}

func TestCamt_KeepsTooManyTransactionsOutOfMemory(t *testing.T) {
	const n = 5 * camtMaxHeld
	tests := map[string]struct {
		entry, tx, after string
		lines            int
		last, proof      string
	}{
		"that tie":         {"50000.00 EUR", camtAmtOf("1 EUR"), "", n, "REF/50000", "line 1: entry holds: 50000.00 EUR"},
		"that are charged": {"49999.00 EUR", camtDetail("TxAmt", "1 EUR"), camtCharge("-1 EUR"), n + 1, "REF/fee", "line 1: entry holds: 49999.00 EUR"},
		"that do not tie": {"7.00 EUR", camtAmtOf("1 EUR"), "", n, "REF/50000",
			"line 1: entry: the file states 7.00 EUR, its lines come to 50000.00 EUR"},
		"without amounts":     {"7.00 EUR", camtRef("e2e"), "", 1, "REF", ""},
		"of another currency": {"7.00 EUR", camtAmtOf("1 USD"), "", 1, "REF", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { // one by one, for the memory of all is measured
			head, tail, _ := strings.Cut(camtDocument("04", camtStmt(camtNtry(tt.entry, tt.after, "<NtryDtls>|</NtryDtls>"))), "|")
			lines, last, proof := readCamtRepeated(t, &camtRepeated{head: head, body: "<TxDtls>" + tt.tx + "</TxDtls>", tail: tail, n: n})
			if lines != tt.lines || last != tt.last || proof != tt.proof {
				t.Errorf("got %d lines, the last %q, and %q; want %d, %q, and %q", lines, last, proof, tt.lines, tt.last, tt.proof)
			}
		})
	}
}

func TestCamt_KeepsTooManyEntriesOutOfMemory(t *testing.T) {
	const n = 50_000
	head, tail, _ := strings.Cut(camtDocument("04", camtStmt(camtBal("OPBD", "0 EUR", "2026-01-14")+camtBal("CLBD", "50000 EUR", "2026-01-14")+"|")), "|")
	entry := camtNtry("1 EUR", camtTxs(camtRef("e2e")+`<RmtInf><Ustrd>`+strings.Repeat("text ", 100)+`</Ustrd></RmtInf>`))
	lines, _, proof := readCamtRepeated(t, &camtRepeated{head: head, body: entry, tail: tail, n: n})
	if want := "line 1: balance holds: 50000.00 EUR"; lines != n || proof != want {
		t.Errorf("got %d lines and %q, want %d and %q", lines, proof, n, want)
	}
}

// readCamtRepeated gives how many lines a document has, the ID of the last, and the last proof. It fails when much is held.
func readCamtRepeated(t *testing.T, source *camtRepeated) (lines int, last, proof string) {
	t.Helper()
	var before, during runtime.MemStats
	source.late = func() {
		runtime.GC()
		runtime.ReadMemStats(&during)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for part, err := range Read(source, Options{Format: Camt053}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case part.Line != nil:
			lines, last = lines+1, part.Line.ID
		case part.Proof != nil:
			proof = part.Proof.String()
		}
	}
	if held := int64(during.HeapAlloc) - int64(before.HeapAlloc); held > 16<<20 {
		t.Errorf("%d MiB are held", held>>20)
	}
	return lines, last, proof
}

// camtRepeated is a document that is made as it is read.
type camtRepeated struct {
	head, body, tail string
	n, i             int
	late             func() // is called near the end
	rest             string
}

func (r *camtRepeated) Read(b []byte) (int, error) {
	for r.rest == "" {
		switch {
		case r.i == 0:
			r.rest = r.head
		case r.i <= r.n:
			r.rest = r.body
		case r.i == r.n+1:
			r.late()
			r.rest = r.tail
		default:
			return 0, io.EOF
		}
		r.i++
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
