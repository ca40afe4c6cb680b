package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rowfile"
)

// A Mapping says what the columns of a CSV file mean. [ParseMapping] reads one from JSON.
//
// Where amounts go is read from the columns: an amount alone has its sign; a debit and a credit column have none, and one
// of them is empty or zero; nor has an amount beside an indicator, whose values Debits and Credits list.
type Mapping struct {
	// Separator stands between columns: ",", ";", "|" or a tab. Default ",".
	Separator string `json:"separator,omitempty"`
	// Encoding is "utf-8" or "iso-8859-1". Default "utf-8".
	Encoding string `json:"encoding,omitempty"`
	// Skip is how many lines stand before the heading, at most 1000.
	Skip int `json:"skip,omitempty"`
	// NoHeading says that the first row is a line already. Columns are numbers then, from "1".
	NoHeading bool `json:"no_heading,omitempty"`

	// Columns says which column holds what, by its heading. The keys are id, account, amount, debit, credit, indicator, fee,
	// net, currency, booked, value, kind, provider_id, parent_id, key, reference, payout_id, text, party, party_account,
	// balance, which is the booked balance behind the line: with it, rows must go from old to new; and original_amount with
	// original_currency, which is what the amount was before it was converted. Needed are booked, and amount, or debit and
	// credit. A statement ends where the account changes.
	Columns rowfile.Mapping `json:"columns"`

	// Currency is that of rows where no column names one. Default: what the file is read with.
	Currency money.Currency `json:"currency,omitempty"`
	// Kinds says what the values of the kind column mean; Kind is for values that are not among them, and where there is no
	// such column. Without Kind such a value is an error.
	Kinds map[string]Kind `json:"kinds,omitempty"`
	Kind  Kind            `json:"kind,omitempty"`

	// Debits and Credits are the values of the indicator column.
	Debits  []string `json:"debits,omitempty"`
	Credits []string `json:"credits,omitempty"`
	// DecimalMark is "." or ",". Default ".".
	DecimalMark string `json:"decimal_mark,omitempty"`
	// ThousandsMark stands between groups of three digits, where there are any: ".", ",", "'", "’" or a space, which may be
	// one that does not break. Default none.
	ThousandsMark string `json:"thousands_mark,omitempty"`
	// MinorUnits says that amounts are in minor units: 255 is 2.55 pounds.
	MinorUnits bool `json:"minor_units,omitempty"`
	// NegativeFees says that a fee that was kept is less than zero in its column.
	NegativeFees bool `json:"negative_fees,omitempty"`

	// BookedLayout and ValueLayout are how dates are written: "DD.MM.YYYY", "YYYY-MM-DD HH:mm:ss". The tokens are YYYY YY MM M
	// DD D HH H mm ss; the marks between them stand for themselves. A date is civil: what zone it is of is not asked. Default
	// "YYYY-MM-DD", and for ValueLayout that of BookedLayout.
	BookedLayout string `json:"booked_layout,omitempty"`
	ValueLayout  string `json:"value_layout,omitempty"`
}

// What columns can be mapped to, as places in csvKeys.
const (
	csvID = iota
	csvAccount
	csvAmount
	csvDebit
	csvCredit
	csvIndicator
	csvFee
	csvNet
	csvCurrency
	csvBooked
	csvValue
	csvKind
	csvProviderID
	csvParentID
	csvKey
	csvReference
	csvPayoutID
	csvText
	csvParty
	csvPartyAccount
	csvBalance
	csvOriginalAmount
	csvOriginalCurrency
)

// csvKeys name it.
var csvKeys = rowfile.Keys{All: []string{
	"id", "account", "amount", "debit", "credit", "indicator", "fee", "net", "currency", "booked", "value", "kind",
	"provider_id", "parent_id", "key", "reference", "payout_id", "text", "party", "party_account", "balance",
	"original_amount", "original_currency",
}}

// csvKinds are what a line can be.
var csvKinds = []Kind{
	KindCharge, KindRefund, KindChargeback, KindChargebackReversal, KindFee, KindPayout, KindReturn, KindAdjustment, KindTransfer,
}

// ParseMapping reads a mapping, a JSON object. Its error names all fields that cannot be, and the first one that is unknown.
func ParseMapping(data []byte) (*Mapping, error) {
	m := &Mapping{}
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if err := in.Decode(m); err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the mapping: there is something behind it")
	}
	if _, err := m.compile(); err != nil {
		return nil, err
	}
	return m, nil
}

// A csvLayout is a mapping as rows are read with it.
type csvLayout struct {
	dialect       rowfile.Dialect
	latin1        bool
	numbers       csvNumbers
	booked, value dateLayout
	debits        map[string]bool // the values of the indicator: true for debits
}

// compile checks the mapping.
func (m *Mapping) compile() (csvLayout, error) {
	c := csvLayout{debits: map[string]bool{}}
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	separators := map[string]byte{"": ',', ",": ',', ";": ';', "\t": '\t', "|": '|'}
	c.dialect = rowfile.Dialect{Separator: separators[m.Separator], Skip: m.Skip}
	if c.dialect.Separator == 0 {
		wrong("separator %q is none of a comma, a semicolon, a tab and a bar", m.Separator)
	}
	c.latin1 = m.Encoding == "iso-8859-1"
	if m.Encoding != "" && m.Encoding != "utf-8" && !c.latin1 {
		wrong("encoding %q is neither utf-8 nor iso-8859-1", m.Encoding)
	}
	if m.Skip < 0 || m.Skip > 1000 {
		wrong("skip %d is not between 0 and 1000", m.Skip)
	}
	if m.Currency != "" {
		if _, err := money.ParseCurrency(string(m.Currency)); err != nil {
			wrong("currency: %w", err)
		}
	}
	for value, kind := range m.Kinds {
		if !slices.Contains(csvKinds, kind) {
			wrong("kinds: %q is %q, which is none of %v", value, kind, csvKinds)
		}
	}
	if m.Kind != "" && !slices.Contains(csvKinds, m.Kind) {
		wrong("kind %q is none of %v", m.Kind, csvKinds)
	}
	problems = append(problems, m.checkColumns()...)
	problems = append(problems, m.compileAmounts(&c)...)
	problems = append(problems, m.compileDates(&c)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return c, fmt.Errorf("reading the mapping: %w", errors.Join(problems...))
	}
	return c, nil
}

// has says whether a column is mapped to a key.
func (m *Mapping) has(key int) bool { return m.Columns[csvKeys.All[key]] != "" }

// checkColumns says what is wrong with the columns.
func (m *Mapping) checkColumns() (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, key := range slices.Sorted(maps.Keys(m.Columns)) {
		column := m.Columns[key]
		switch n, err := strconv.Atoi(column); {
		case !slices.Contains(csvKeys.All, key):
			wrong("columns: %q is none of %s", key, strings.Join(csvKeys.All, ", "))
		case column == "" || column != strings.TrimSpace(column):
			wrong("columns: %s is %q, which no heading is", key, column)
		case m.NoHeading && (err != nil || n < 1 || strconv.Itoa(n) != column):
			wrong("columns: %s is %q, which is no number of a column", key, column)
		}
	}
	if !m.has(csvBooked) {
		wrong("columns: booked is missing")
	}
	sides := m.has(csvDebit) && m.has(csvCredit) && !m.has(csvAmount) && !m.has(csvIndicator)
	alone := m.has(csvAmount) && !m.has(csvDebit) && !m.has(csvCredit)
	if !sides && !alone {
		wrong("columns: it needs amount, perhaps with indicator, or both debit and credit")
	}
	if m.has(csvOriginalAmount) != m.has(csvOriginalCurrency) {
		wrong("columns: original_amount and original_currency go together")
	}
	if !m.has(csvKind) && m.Kind == "" {
		wrong("kind is missing: there is neither a column for it, nor one for all rows")
	}
	if m.has(csvKind) && len(m.Kinds) == 0 {
		wrong("kinds is missing: it says what the values of the kind column mean")
	}
	return problems
}

// compileAmounts reads how amounts are written.
func (m *Mapping) compileAmounts(c *csvLayout) (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	c.numbers = csvNumbers{decimal: ".", thousands: m.ThousandsMark, minor: m.MinorUnits}
	switch m.DecimalMark {
	case "":
	case ".", ",":
		c.numbers.decimal = m.DecimalMark
	default:
		wrong("decimal_mark %q is neither a point nor a comma", m.DecimalMark)
	}
	if !slices.Contains([]string{"", ".", ",", "'", "’", " ", "\u00a0", "\u202f"}, m.ThousandsMark) {
		wrong("thousands_mark %q is none of a point, a comma, an apostrophe and a space", m.ThousandsMark)
	}
	if m.ThousandsMark == c.numbers.decimal {
		wrong("thousands_mark is the decimal mark as well")
	}
	if m.MinorUnits && m.DecimalMark != "" {
		wrong("decimal_mark is there, but minor units have no decimals")
	}
	for _, value := range m.Debits {
		c.debits[value] = true
	}
	for _, value := range m.Credits {
		if c.debits[value] {
			wrong("credits: %q is among the debits as well", value)
		}
		c.debits[value] = false
	}
	if m.has(csvIndicator) != (len(m.Debits) > 0 && len(m.Credits) > 0) || m.has(csvIndicator) != (len(c.debits) > 0) {
		wrong("columns: an indicator goes with debits and credits, and they with it")
	}
	return problems
}

// compileDates reads how dates are written.
func (m *Mapping) compileDates(c *csvLayout) (problems []error) {
	booked := m.BookedLayout
	if booked == "" {
		booked = "YYYY-MM-DD"
	}
	value := m.ValueLayout
	if value == "" {
		value = booked
	}
	var err error
	if c.booked, err = parseDateLayout(booked); err != nil {
		problems = append(problems, fmt.Errorf("booked_layout: %w", err))
	}
	if c.value, err = parseDateLayout(value); err != nil && m.ValueLayout != "" {
		problems = append(problems, fmt.Errorf("value_layout: %w", err))
	}
	return problems
}
