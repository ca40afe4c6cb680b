package pspsim

import (
	"cmp"
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// bankAccount is the account that payouts of a currency go to.
func bankAccount(currency string) string { return "DE89370400440532013000" + currency }

// stripeCSV is the itemized payout reconciliation report of Stripe, in major units.
func stripeCSV(lines []line) string {
	var b strings.Builder
	out := csv.NewWriter(&b)
	rows := [][]string{{
		"automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id", "created_utc", "available_on_utc",
		"currency", "gross", "fee", "net", "reporting_category", "source_id", "charge_id", "payment_intent_id",
		"payment_metadata[order_id]", "payment_metadata[tieout_key]", "customer_facing_amount", "customer_facing_currency",
	}}
	for _, l := range lines {
		paid := l.paid.Format(time.DateTime)
		customer := cmp.Or(l.original, money.Amount{Currency: money.Currency(l.currency), Minor: l.gross})
		rows = append(rows, []string{
			l.payout, paid, l.id, l.at.UTC().Format(time.DateTime), paid,
			strings.ToLower(l.currency), decimal(l.gross, l.currency), decimal(l.fee, l.currency), decimal(l.net(), l.currency),
			l.category, l.source, l.charge, "", l.reference, l.key, customer.Decimal(), strings.ToLower(string(customer.Currency)),
		})
	}
	if err := out.WriteAll(rows); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

// An accountStatement is the entries of one account, whose balance was zero before.
type accountStatement struct {
	currency string
	lines    []line
	closing  int64
	from, to time.Time
}

// byAccount splits the entries of a bank, which are in order.
func byAccount(lines []line) []accountStatement {
	var all []accountStatement
	for i := 0; i < len(lines); {
		s := accountStatement{currency: lines[i].currency, from: lines[i].at}
		n := slices.IndexFunc(lines[i:], func(l line) bool { return l.currency != s.currency })
		if n < 0 {
			n = len(lines) - i
		}
		s.lines = lines[i : i+n]
		for _, l := range s.lines {
			s.closing += l.gross
			s.to = l.at
		}
		all = append(all, s)
		i += n
	}
	return all
}

// camtAmount is an amount with its currency.
type camtAmount struct {
	Currency string `xml:"Ccy,attr"`
	Value    string `xml:",chardata"`
}

type camtBalance struct {
	Type   string     `xml:"Tp>CdOrPrtry>Cd"`
	Amount camtAmount `xml:"Amt"`
	Sign   string     `xml:"CdtDbtInd"`
	Date   string     `xml:"Dt>Dt"`
}

type camtEntry struct {
	Amount    camtAmount `xml:"Amt"`
	Sign      string     `xml:"CdtDbtInd"`
	Status    string     `xml:"Sts"`
	Booked    string     `xml:"BookgDt>Dt"`
	Value     string     `xml:"ValDt>Dt"`
	Reference string     `xml:"AcctSvcrRef"`
	Domain    string     `xml:"BkTxCd>Prtry>Cd"`
	EndToEnd  string     `xml:"NtryDtls>TxDtls>Refs>EndToEndId"`
	Note      string     `xml:"NtryDtls>TxDtls>RmtInf>Ustrd"`
}

type camtStatement struct {
	ID       string        `xml:"Id"`
	Sequence int           `xml:"ElctrncSeqNb"`
	Created  string        `xml:"CreDtTm"`
	Account  string        `xml:"Acct>Id>Othr>Id"`
	Currency string        `xml:"Acct>Ccy"`
	Balances []camtBalance `xml:"Bal"`
	Entries  []camtEntry   `xml:"Ntry"`
}

type camtDocument struct {
	XMLName    xml.Name        `xml:"urn:iso:std:iso:20022:tech:xsd:camt.053.001.02 Document"`
	ID         string          `xml:"BkToCstmrStmt>GrpHdr>MsgId"`
	Created    string          `xml:"BkToCstmrStmt>GrpHdr>CreDtTm"`
	Statements []camtStatement `xml:"BkToCstmrStmt>Stmt"`
}

// unsigned is an amount without its sign, and the sign as "CRDT" or "DBIT".
func unsigned(minor int64, currency string) (camtAmount, string) {
	if minor < 0 {
		return camtAmount{currency, decimal(-minor, currency)}, "DBIT"
	}
	return camtAmount{currency, decimal(minor, currency)}, "CRDT"
}

func camtBalanceOf(kind string, minor int64, currency string, day time.Time) camtBalance {
	amount, sign := unsigned(minor, currency)
	return camtBalance{Type: kind, Amount: amount, Sign: sign, Date: day.Format(time.DateOnly)}
}

// camt053 is a bank statement as camt.053.001.02, one statement an account.
func camt053(lines []line) string {
	doc := camtDocument{ID: "PSPSIM", Created: "1970-01-01T00:00:00Z"}
	for _, s := range byAccount(lines) {
		doc.Created = s.to.Format(time.RFC3339)
		made := camtStatement{
			ID: "PSPSIM-" + s.currency, Sequence: 1, Created: s.to.Format(time.RFC3339), Account: bankAccount(s.currency), Currency: s.currency,
			Balances: []camtBalance{camtBalanceOf("OPBD", 0, s.currency, s.from), camtBalanceOf("CLBD", s.closing, s.currency, s.to)},
		}
		for i, l := range s.lines {
			amount, sign := unsigned(l.gross, l.currency)
			day := l.at.Format(time.DateOnly)
			made.Entries = append(made.Entries, camtEntry{
				Amount: amount, Sign: sign, Status: "BOOK", Booked: day, Value: day,
				Reference: fmt.Sprintf("%s-%06d", s.currency, i+1), Domain: "PSPSIM", EndToEnd: l.id, Note: l.note(),
			})
		}
		doc.Statements = append(doc.Statements, made)
	}
	text, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic(err) // it is strings
	}
	return xml.Header + string(text) + "\n"
}

// mt940 is a bank statement as SWIFT MT940, one message an account.
func mt940(lines []line) string {
	var b strings.Builder
	for _, s := range byAccount(lines) {
		fmt.Fprintf(&b, ":20:PSPSIM%s\r\n:25:%s\r\n:28C:1/1\r\n", s.currency, bankAccount(s.currency))
		fmt.Fprintf(&b, ":60F:%s\r\n", mt940Balance(0, s.currency, s.from))
		for _, l := range s.lines {
			amount, sign := unsigned(l.gross, l.currency)
			fmt.Fprintf(&b, ":61:%s%s%s%sNMSC%s\r\n", l.at.Format("060102"), l.at.Format("0102"), sign[:1], comma(amount.Value), mt940Reference(l.id))
			fmt.Fprintf(&b, ":86:%s\r\n", l.note())
		}
		fmt.Fprintf(&b, ":62F:%s\r\n-\r\n", mt940Balance(s.closing, s.currency, s.to))
	}
	return b.String()
}

func mt940Balance(minor int64, currency string, day time.Time) string {
	amount, sign := unsigned(minor, currency)
	return sign[:1] + day.Format("060102") + currency + comma(amount.Value)
}

// comma writes an amount as SWIFT has it: a decimal comma, always.
func comma(decimal string) string {
	if !strings.Contains(decimal, ".") {
		return decimal + ","
	}
	return strings.Replace(decimal, ".", ",", 1)
}

// mt940Reference is a reference as SWIFT has it: 16 characters at most.
func mt940Reference(id string) string {
	return id[:min(16, len(id))]
}
