package formats

import (
	"bufio"
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// The columns of the report that are read, as places in stripeKeys.
const (
	stripeID = iota
	stripeCreated
	stripeAvailable
	stripeCurrency
	stripeGross
	stripeFee
	stripeNet
	stripeCategory
	stripePayout
	stripeSource
	stripeCharge
	stripeIntent
	stripeOrder
	stripePaymentKey
	stripeRefundKey
	stripeDescription
	stripeDispute
	stripeCustomerName
	stripeCustomerEmail
	stripeCustomerID
	stripeFacingAmount
	stripeFacingCurrency
)

// stripeKeys name them. A report may have many more, in any order.
var stripeKeys = rowfile.Keys{
	All: []string{
		"balance_transaction_id", "created", "available_on", "currency", "gross", "fee", "net", "reporting_category",
		"automatic_payout_id", "source_id", "charge_id", "payment_intent_id",
		"payment_metadata[order_id]", "payment_metadata[tieout_key]", "refund_metadata[tieout_key]",
		"description", "dispute_reason", "customer_name", "customer_email", "customer_id",
		"customer_facing_amount", "customer_facing_currency",
	},
	Required: []string{"balance_transaction_id", "created", "currency", "gross", "fee", "net", "reporting_category"},
	ByName:   true,
	AnyCase:  true,
}

// A stripeMeaning is what a reporting category means.
type stripeMeaning struct {
	kind     Kind
	reversal bool
}

// stripeCategories are the reporting categories that are more than a KindAdjustment. All others are one: what Stripe corrects
// or reserves (other_adjustment, risk_reserved_funds, payout_minimum_balance_hold and …_release), lends (advance,
// financing_…), or moves between accounts with it (transfer, connect_…, platform_earning, issuing_…), and what there is not
// yet. Their name is the line's Code.
//
// A payment of which only a part is captured is two rows, of what was authorized and of what was not captured. So a charge is
// the sum of the rows of KindCharge with its id.
var stripeCategories = map[string]stripeMeaning{
	"charge":                   {kind: KindCharge},
	"partial_capture_reversal": {kind: KindCharge, reversal: true},
	"charge_failure":           {kind: KindReturn, reversal: true}, // the customer's bank gave a debit back
	"refund":                   {kind: KindRefund},
	"refund_failure":           {kind: KindReturn, reversal: true}, // the customer's bank did not take a refund
	"dispute":                  {kind: KindChargeback},
	"dispute_reversal":         {kind: KindChargebackReversal, reversal: true},
	"fee":                      {kind: KindFee},
	"network_cost":             {kind: KindFee},
	"tax":                      {kind: KindFee}, // on fees
	"payout":                   {kind: KindPayout},
	"payout_reversal":          {kind: KindPayout, reversal: true},
	"topup":                    {kind: KindPayout}, // from the bank
	"topup_reversal":           {kind: KindPayout, reversal: true},
}

// readStripe reads the itemized payout reconciliation report: amounts in major units, times in UTC. It also takes the
// itemized reports of the balance and of its changes, which have the columns that matter.
//
// What it proves: net is gross less fee in every row, and where the row of a payout is in the file with the rows that it pays,
// the payout is their net. For that it holds one sum for each payout and currency; nothing else grows with the file.
func readStripe(r *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return emitted(func(out emit) error {
		s := &stripeReader{
			sheet: sheet{file: o.Name, keys: stripeKeys}, out: out,
			net: tally{rule: RuleNet}, payouts: map[stripePayoutID]*stripePayoutSum{},
		}
		number := 0
		for n, err := range s.below(rowfile.CSV(r, maxRow), s.locate) {
			if err == nil {
				err = s.take(n)
			}
			if err != nil {
				return err
			}
			number = n
		}
		return s.close(number)
	})
}

// A stripeReader reads one report.
type stripeReader struct {
	sheet
	out     emit
	net     tally
	payouts map[stripePayoutID]*stripePayoutSum
	order   []*stripePayoutSum // as they first appear
	last    *stripePayoutSum   // rows of a payout mostly stand together
}

// locate finds the columns. Times are in the column of their name, or in one that says that they are in UTC, and then in
// that one.
func (s *stripeReader) locate(heading rowfile.Row) (rowfile.Columns, error) {
	s.mapping = rowfile.Mapping{}
	for _, key := range []int{stripeCreated, stripeAvailable} {
		utc := stripeKeys.All[key] + "_utc"
		if slices.ContainsFunc(heading.Fields, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), utc) }) {
			s.mapping[stripeKeys.All[key]] = utc
		}
	}
	columns, err := stripeKeys.Columns(heading, s.mapping)
	if err != nil {
		return columns, err
	}
	return columns, s.out(Part{Statement: &Statement{At: heading.Line}})
}

// take reads a row.
func (s *stripeReader) take(number int) error {
	currency := s.currencyOf(stripeCurrency)
	gross, fee, net := s.amount(stripeGross, currency), s.amount(stripeFee, currency), s.amount(stripeNet, currency)
	category := s.text(stripeCategory)
	meaning, known := stripeCategories[category]
	if !known {
		meaning.kind = KindAdjustment
	}
	line := &Line{
		At: s.row.Line, Number: number, Kind: meaning.kind, Code: category, Reversal: meaning.reversal,
		Amount: gross, Fee: fee.Minor, Booked: s.time(stripeCreated), Value: s.time(stripeAvailable),
		ID: s.text(stripeID), ProviderID: s.text(stripeSource), ParentID: cmp.Or(s.text(stripeIntent), s.text(stripeCharge)),
		Reference: s.text(stripeOrder), PayoutID: s.text(stripePayout), Text: oneLine(s.text(stripeDescription)),
		Party: cmp.Or(s.text(stripeCustomerName), s.text(stripeCustomerEmail), s.text(stripeCustomerID)),
	}
	line.Original = s.original(gross)
	if reason := s.text(stripeDispute); reason != "" {
		line.Text = oneLine(line.Text + " " + reason)
	}
	if line.Value.IsZero() {
		line.Value = line.Booked
	}
	// A row carries the metadata of its payment, whose key names the charge and nothing that follows it.
	switch line.Kind {
	case KindCharge:
		line.Key = s.text(stripePaymentKey)
	case KindRefund:
		line.Key = s.text(stripeRefundKey)
	}
	switch {
	case line.ID == "":
		s.fail(stripeID, errEmpty)
	case category == "":
		s.fail(stripeCategory, errEmpty)
	case line.Booked.IsZero():
		s.fail(stripeCreated, errEmpty)
	}
	arrived, err := gross.Sub(fee)
	if err != nil {
		s.fail(stripeNet, err)
	}
	if s.err == nil {
		s.pay(line, net)
	}
	if s.err != nil {
		return s.err
	}
	if err := s.out(Part{Line: line}); err != nil {
		return err
	}
	return s.net.row(s.out, line.At, net, arrived)
}

// errEmpty says that a value is not there.
var errEmpty = errors.New("is empty")

// amount is a value in major units.
func (s *stripeReader) amount(key int, c money.Currency) money.Amount {
	text := s.text(key)
	if s.err != nil {
		return money.Amount{}
	}
	amount, err := money.Parse(text, c)
	if err != nil {
		s.fail(key, err)
	}
	return amount
}

// original is what the customer paid, where that was converted into what the row moves.
func (s *stripeReader) original(gross money.Amount) money.Amount {
	if s.text(stripeFacingAmount) == "" || s.text(stripeFacingCurrency) == "" || s.err != nil {
		return money.Amount{}
	}
	return originally(s.amount(stripeFacingAmount, s.currencyOf(stripeFacingCurrency)), gross)
}

// How the report writes times, besides RFC 3339.
var (
	stripeTime = mustDateLayout("YYYY-MM-DD HH:mm:ss")
	stripeDay  = mustDateLayout("YYYY-MM-DD")
)

// time is a value as a time in UTC, the zero time where it is empty.
func (s *stripeReader) time(key int) time.Time {
	text := s.text(key)
	if text == "" {
		return time.Time{}
	}
	t, valid := stripeTime.parse(text)
	if !valid {
		t, valid = stripeDay.parse(text)
	}
	if !valid {
		var err error
		t, err = time.Parse(time.RFC3339, text)
		t, valid = t.UTC(), err == nil
	}
	if !valid {
		s.fail(key, wrongDate(text))
	}
	return t
}
