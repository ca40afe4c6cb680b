package reconciliation

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// kinds are what lines are about, as in the database.
var kinds = map[formats.Kind]match.Kind{
	formats.KindCharge: match.KindCharge, formats.KindRefund: match.KindRefund, formats.KindChargeback: match.KindChargeback,
	formats.KindChargebackReversal: match.KindChargebackReversal, formats.KindFee: match.KindFee, formats.KindPayout: match.KindPayout,
	formats.KindReturn: match.KindReturn, formats.KindAdjustment: match.KindAdjustment, formats.KindTransfer: match.KindTransfer,
}

const (
	// maxID is how long an id or a reference may be, in bytes.
	maxID = 500
	// maxNote is how much of what is said for people is kept, in bytes.
	maxNote = 300
)

var (
	errNotText = errors.New("is no text")
	errNoDay   = errors.New("is no day between the years 1 and 9999")
)

// take makes movements of a line. One that is not booked is none; nor is one of a report that is a payout itself: what is paid
// out is made of the other lines, and a payout's own row is what they are held to.
func (t *taking) take(l *formats.Line) error {
	s := t.statement
	if s == nil {
		return errors.New("reading the file: a line stands before the first statement")
	}
	if err := t.check(l); err != nil {
		return err
	}
	s.lines++
	t.lines++
	payout := t.h.Side == stageProvider && l.Kind == formats.KindPayout
	if !l.Pending && payout {
		t.payoutLines++
		return t.takePayout(l)
	}
	if l.Pending {
		s.pending++
		t.pending++
		return nil
	}
	s.add(l)
	m := t.movementOf(l)
	if l.ID == "" {
		s.unkeyed++
	}
	t.place(&m)
	return nil
}

// place gives a movement the next place in the file's delivery.
func (t *taking) place(m *movement) {
	t.places++
	m.delivery, m.place = t.delivery, int32(t.places)
	t.statement.lastPlace = t.places
	t.piece.rows = append(t.piece.rows, *m)
}

// takePayout takes a line of a report that is a payout. An automatic payout's own row only repeats what its lines come to. But
// one that was made at once, or that came back, is part of a later automatic one, which is by so much less or more: that is
// money that went from one payout to the other, and what of it was kept is a fee.
func (t *taking) takePayout(l *formats.Line) error {
	own, of := l.ProviderID, l.PayoutID
	if own == "" || of == "" || own == of {
		return nil
	}
	key := t.keyOf(l)
	for _, side := range []struct {
		payout string
		minor  int64
	}{{own, -l.Amount.Minor}, {of, l.Amount.Minor}} {
		m := t.movementOf(l)
		m.stage, m.ours, m.kind = stageBank, true, match.KindPayout
		m.amount, m.fee, m.original, m.payoutID, m.providerID, m.parentID = side.minor, 0, money.Amount{}, side.payout, "", ""
		m.key = t.identity.of("moved", string(key[:]), side.payout).key()
		if m.otherDay != noDay {
			m.day = m.otherDay
		}
		m.otherDay = noDay
		t.payoutPlaces++
		m.delivery, m.place = t.payouts, int32(t.payoutPlaces)
		t.piece.rows = append(t.piece.rows, m)
	}
	if l.Fee == 0 {
		return nil
	}
	fee := *l
	fee.Kind, fee.Amount.Minor, fee.Fee, fee.Original = formats.KindFee, -l.Fee, 0, money.Amount{}
	t.statement.add(&fee)
	m := t.movementOf(&fee)
	m.key = t.identity.of("fee", string(key[:])).key()
	t.place(&m)
	return nil
}

// movementOf is a line as a movement, without its place.
func (t *taking) movementOf(l *formats.Line) movement {
	m := movement{
		key: t.keyOf(l), stage: t.h.Side, currency: l.Amount.Currency, kind: kinds[l.Kind], amount: l.Amount.Minor, fee: l.Fee,
		original: l.Original, day: dayOf(l.Booked), otherDay: noDay, line: int32(l.At), providerID: l.ProviderID, parentID: l.ParentID, idemKey: l.Key,
		reference: l.Reference, payoutID: l.PayoutID, note: noteOf(l, t.h.Side),
	}
	if !l.Value.IsZero() {
		m.otherDay = dayOf(l.Value)
	}
	if t.h.Side == stageBank {
		m.providerID = l.ID
		if m.otherDay != noDay {
			m.day, m.otherDay = m.otherDay, m.day
		}
		if m.payoutID = payoutIn(l); m.payoutID != "" {
			m.kind = match.KindPayout
		}
	}
	return m
}

// keyOf is what a line is. What the provider gives an id is the same wherever it stands; should it say something else there,
// that is found when it is taken in. Banks use references again: theirs are the same only with the same amount and days. A line
// without an id is one of its statement only.
func (t *taking) keyOf(l *formats.Line) [16]byte {
	s := t.statement
	switch {
	case l.ID != "" && t.h.Side == stageProvider:
		return t.identity.of("provider", t.h.Account, l.ID).key()
	case l.ID != "":
		return t.identity.of("bank", t.h.Account, s.bankAccount, l.ID, string(l.Amount.Currency)).
			number(l.Amount.Minor, l.Fee, int64(dayOf(l.Booked)), int64(dayOf(l.Value))).key()
	}
	return t.identity.of("line", t.h.Side.String(), t.h.Account, s.bankAccount, s.senderID).
		number(s.sequence, int64(s.page), int64(l.Number), l.Amount.Minor, l.Fee, int64(dayOf(l.Booked)), int64(dayOf(l.Value))).
		text(string(l.Amount.Currency), l.ProviderID, l.ParentID, l.Key, l.Reference, l.PayoutID, l.Text).key()
}

// check refuses a line that no row of the database can hold.
func (t *taking) check(l *formats.Line) error {
	for _, carrier := range [...]struct{ field, text string }{
		{"id", l.ID}, {"provider_id", l.ProviderID}, {"parent_id", l.ParentID}, {"key", l.Key}, {"reference", l.Reference},
		{"payout_id", l.PayoutID},
	} {
		if err := checkText(carrier.text); err != nil {
			return t.wrong(l, carrier.field, err)
		}
	}
	if _, known := kinds[l.Kind]; !known {
		return t.wrong(l, "kind", fmt.Errorf("is %q, which is none", l.Kind))
	}
	if !isDay(l.Booked) {
		return t.wrong(l, "booked", errNoDay)
	}
	if !l.Value.IsZero() && !isDay(l.Value) {
		return t.wrong(l, "value", errNoDay)
	}
	if l.At < 0 || l.At > math.MaxInt32 || t.places >= math.MaxInt32-2 {
		return t.wrong(l, "", errors.New("is one of more lines than a file may have"))
	}
	return t.count(l)
}

func (t *taking) wrong(l *formats.Line, field string, err error) error {
	return &formats.Error{File: t.h.name, Line: l.At, Field: field, Err: err}
}

func checkText(s string) error {
	switch {
	case len(s) > maxID:
		return fmt.Errorf("has %d bytes, and more than %d are too many", len(s), maxID)
	case strings.IndexByte(s, 0) >= 0, !utf8.ValidString(s):
		return errNotText
	}
	return nil
}

func isDay(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 && !t.IsZero() }

// noteOf is what people are told of a line: what its format calls it, and what is said of it.
func noteOf(l *formats.Line, side stage) string {
	note := l.Code
	if side == stageProvider && l.ID != "" {
		note += " " + l.ID
	}
	if l.Text != "" {
		note += ": " + l.Text
	}
	if l.Party != "" {
		note += " (" + l.Party + ")"
	}
	if !utf8.ValidString(note) || strings.IndexByte(note, 0) >= 0 {
		note = strings.ReplaceAll(strings.ToValidUTF8(note, "\uFFFD"), "\x00", "\uFFFD")
	}
	return clip(note, maxNote)
}

// clip gives as many whole characters as fit in n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// payoutPattern finds ids of payouts as words of their own: those of Stripe, and of the provider simulator its daily payouts
// and those of disputes.
var payoutPattern = regexp.MustCompile(`\bpo_[A-Za-z0-9]+\b|\bpo[0-9]{8}[a-z]{3}\b|\bdp[0-9]{6}[a-z]{3}\b`)

// payoutIn is the payout that a line of a bank is about: the only one that any of its carriers, or its text, names. MT940 has
// references cut off at 16 characters and the whole behind them, so what is the beginning of another one is that one. Several
// are none: which of them the money is, nobody has said.
func payoutIn(l *formats.Line) string {
	if l.PayoutID != "" {
		return l.PayoutID
	}
	found := ""
	for _, text := range [...]string{l.Key, l.Reference, l.ID, l.ProviderID, l.Text} {
		if !strings.Contains(text, "po") && !strings.Contains(text, "dp") {
			continue
		}
		for _, id := range payoutPattern.FindAllString(text, -1) {
			switch {
			case strings.HasPrefix(id, found):
				found = id
			case !strings.HasPrefix(found, id):
				return ""
			}
		}
	}
	return found
}

// add adds a line that is booked to what its statement comes to.
func (s *statement) add(l *formats.Line) {
	currency := string(l.Amount.Currency)
	i := slices.IndexFunc(s.sums, func(a sum) bool { return a.Currency == currency })
	if i < 0 {
		i = len(s.sums)
		s.sums = append(s.sums, sum{Currency: currency})
	}
	of := &s.sums[i]
	side := &of.Credits
	if l.Amount.Minor < 0 {
		side = &of.Debits
	}
	*side, of.Fees = *side+l.Amount.Minor, of.Fees+l.Fee
	day := dayOf(l.Booked)
	if s.first == noDay || day < s.first {
		s.first = day
	}
	s.last = max(s.last, day)
}

// count counts what a line moves. All that the lines of a file move in a currency fits in 64 bits, and so does whatever some of
// them come to.
func (t *taking) count(l *formats.Line) error {
	moved := t.moved[l.Amount.Currency]
	for _, minor := range [...]int64{l.Amount.Minor, l.Fee} {
		if minor == math.MinInt64 || moved > math.MaxInt64-max(minor, -minor) {
			return t.wrong(l, "amount", errors.New("makes the sum of the lines more than fits in 64 bits"))
		}
		moved += max(minor, -minor)
	}
	t.moved[l.Amount.Currency] = moved
	return nil
}
