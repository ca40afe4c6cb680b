package pspsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// The formats of a settlement.
const (
	formatStripeCSV = "stripe-csv"
	formatCamt053   = "camt053"
	formatMT940     = "mt940"
)

// A Settlement is a file that the provider, or the bank it pays to, would send, and what is wrong with it.
type Settlement struct {
	Format  string `json:"format"`
	Content string `json:"content"`
	// Planted are the discrepancies to what happened, on request.
	Planted []Discrepancy `json:"planted"`
}

// A line is one row of the provider's report, or one entry of the bank statement: then its gross is its net.
type line struct {
	id        string // the balance transaction's, or the payout's
	at        time.Time
	currency  string
	gross     int64 // minor units, as fee; negative: to the customer, or to the provider
	fee       int64
	category  string
	source    string // the provider's id of what it comes from
	charge    string
	reference string
	key       string // the idempotency key of the charge
	payout    string
	paid      time.Time    // when the payout is
	original  money.Amount // what gross was before it was converted; no currency for what was not
}

func (l line) net() int64 { return l.gross - l.fee }

// The reporting categories that are paid out, or collected, by themselves.
const (
	categoryDispute         = "dispute"
	categoryDisputeReversal = "dispute_reversal"
)

// disputed says whether the line is of a chargeback or its reversal.
func (l line) disputed() bool {
	return l.category == categoryDispute || l.category == categoryDisputeReversal
}

// reportLines are the rows of the provider's report of a history: what was taken, and what went back. A capture of a
// part is two, as at Stripe: all that was authorized, and the reversal of what was not captured. A chargeback and its
// reversal are each a payout of their own.
func reportLines(history []Entry) []line {
	charges := map[string]Entry{}
	var lines []line
	add := func(e Entry, category string, gross, fee int64) {
		of := e
		if c, follows := charges[e.Charge]; follows {
			of = c
		}
		l := line{
			id: fmt.Sprintf("txn_%06d_%d", e.Seq, len(lines)+1), at: e.At, currency: e.Currency, gross: gross, fee: fee,
			category: category, source: e.ID, charge: of.ID, reference: of.Reference, key: of.IdempotencyKey,
			payout: payoutID(e.At, e.Currency), paid: payoutDay(e.At),
		}
		if l.disputed() {
			l.source, l.payout = e.Chargeback, fmt.Sprintf("dp%06d%s", e.Seq, strings.ToLower(e.Currency))
		}
		lines = append(lines, l)
	}
	for _, e := range history {
		switch e.Type {
		case TypeAuthorize:
			charges[e.ID] = e
		case TypeCharge:
			charges[e.ID] = e
			add(e, "charge", e.AmountMinor, e.FeeMinor)
		case TypeCapture:
			all := charges[e.Charge].AmountMinor
			add(e, "charge", all, e.FeeMinor)
			if all > e.AmountMinor {
				add(e, "partial_capture_reversal", e.AmountMinor-all, 0)
			}
		case TypeRefund:
			add(e, "refund", -e.AmountMinor, 0)
		case TypeChargeback:
			add(e, categoryDispute, -e.AmountMinor, e.FeeMinor)
		case TypeChargebackReversal:
			add(e, categoryDisputeReversal, e.AmountMinor, e.FeeMinor)
		}
	}
	return lines
}

// payoutID names the payout of what happened on a day in a currency.
func payoutID(at time.Time, currency string) string {
	return "po" + at.Format("20060102") + strings.ToLower(currency)
}

// payoutDay is when what happened at a time is paid out.
func payoutDay(at time.Time) time.Time { return at.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1) }

// bankLines are the payouts of a report, one a day and currency, and one for each chargeback and reversal, as the bank
// sees them. A day whose refunds and fees are more than what was taken is a debit; one that comes to nothing is not
// there.
func bankLines(report []line) []line {
	byID := map[string]*line{}
	for _, l := range report {
		p := byID[l.payout]
		if p == nil {
			p = &line{id: l.payout, payout: l.payout, at: l.paid, currency: l.currency, category: "payout"}
			if l.disputed() {
				p.category, p.charge = l.category, l.charge
			}
			byID[l.payout] = p
		}
		p.gross += l.net()
	}
	var lines []line
	for _, p := range byID {
		if p.gross != 0 {
			lines = append(lines, *p)
		}
	}
	sortBank(lines)
	return lines
}

// sortBank brings a statement's entries in order: one account after the other.
func sortBank(lines []line) {
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.currency, b.currency), a.at.Compare(b.at), cmp.Compare(a.id, b.id))
	})
}

// declinedLines are the attempts that were declined, as they would stand in the report if money had been taken.
func declinedLines(history []Entry) []line {
	var lines []line
	for _, e := range history {
		if e.Type == TypeDecline {
			lines = append(lines, line{
				id: fmt.Sprintf("txn_%06d_d", e.Seq), at: e.At, currency: e.Currency, gross: e.AmountMinor, fee: feeOf(e.AmountMinor),
				category: "charge", source: e.ID, charge: e.ID, reference: e.Reference, key: e.IdempotencyKey,
			})
		}
	}
	return lines
}

// settling is what a settlement is to be of: n discrepancies, the same ones for the same seed, and only what is settled in one
// currency, if one is named. What is in a currency that is converted is settled in another one.
type settling struct {
	history  []Entry
	format   string
	currency string
	convert  conversion
	n        int
	seed     uint64
}

// settle makes the settlement.
func (s settling) settle() (Settlement, error) {
	if s.currency != "" {
		s.history = slices.DeleteFunc(slices.Clone(s.history), func(e Entry) bool { return s.convert.settles(e.Currency) != s.currency })
	}
	lines := reportLines(s.history)
	if err := s.convert.lines(lines); err != nil {
		return Settlement{}, invalid(codeInvalidParam, "convert", err.Error())
	}
	for _, l := range lines {
		if _, err := money.ParseCurrency(l.currency); err != nil {
			return Settlement{}, invalid(codeInvalidParam, "currency", "there are charges in "+l.currency+", which is no currency")
		}
	}
	var write func([]line) string
	switch s.format {
	case formatStripeCSV:
		write = stripeCSV
	case formatCamt053, formatMT940:
		lines = bankLines(lines)
		write = camt053
		if s.format == formatMT940 {
			write = mt940
		}
	default:
		return Settlement{}, invalid(codeInvalidParam, "format", "must be stripe-csv, camt053 or mt940")
	}
	lines, planted, err := s.plant(lines)
	if err != nil {
		return Settlement{}, err
	}
	return Settlement{Format: s.format, Content: write(lines), Planted: planted}, nil
}

// getSettlement is the endpoint for it.
func (s *Server) getSettlement(r *http.Request, _ []byte) (reply, error) {
	q := r.URL.Query()
	n, err := strconv.Atoi(cmp.Or(q.Get("plant"), "0"))
	if err != nil || n < 0 {
		return reply{}, invalid(codeInvalidParam, "plant", "must be how many discrepancies there shall be")
	}
	seed, err := strconv.ParseUint(cmp.Or(q.Get("seed"), "1"), 10, 64)
	if err != nil {
		return reply{}, invalid(codeInvalidParam, "seed", "must be a number")
	}
	convert, err := parseConversion(q.Get("convert"))
	if err != nil {
		return reply{}, err
	}
	made, err := settling{
		history: s.book.durable(), format: q.Get("format"), currency: q.Get("currency"), convert: convert, n: n, seed: seed,
	}.settle()
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: made}, nil
}

// decimal is an amount in major units, with all decimals of its currency.
func decimal(minor int64, currency string) string {
	return money.Amount{Currency: money.Currency(currency), Minor: minor}.Decimal()
}
