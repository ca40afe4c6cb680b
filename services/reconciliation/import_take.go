package reconciliation

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/reconciliation/formats"
)

const (
	// pieceRows is how many movements are written at once, and pieceLines how many lines are at most read for them.
	pieceRows  = 20_000
	pieceLines = 50_000
	// maxStatements is how many statements a file may have. They are kept in memory until the file is decided on.
	maxStatements = 5000
	// maxProofs is how many proofs that do not hold are kept of a file.
	maxProofs = 1000
	// detectWithin is how much of a file its format is read from, in bytes.
	detectWithin = 64 << 10
)

// taking is a file on its way from its format to rows of the database. What it makes of a file depends on the file alone, so
// that one that broke off comes out the same when it is brought again.
type taking struct {
	h                 header // with its format and side
	delivery, payouts int32
	pieceRows         int
	// hand gives a piece away to be written, and gives an empty one.
	hand func(*chunk) (*chunk, error)

	identity             identity
	piece                *chunk
	statement            *statement // the one that began last
	opening              money.Currency
	moved                map[money.Currency]int64 // by all lines, whichever way
	statements           []*statement
	places, payoutPlaces int64

	lines, pending, payoutLines int64
	proofs, failing             int64
	failingProofs               []formats.Proof
}

// chunk is a part of a file that is written at once.
type chunk struct {
	rows  []movement
	lines int64 // of the file, up to its end
	last  bool
}

// settleFormat finds out how a file is written, and who says it.
func (r *reconciliation) settleFormat(h *header, in *bufio.Reader, mapping *formats.Mapping) error {
	if h.Format == "" {
		head, err := in.Peek(detectWithin)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if h.Format, _ = r.detect(head, mapping != nil); h.Format == "" {
			return r.unknownFormat(h, in)
		}
	}
	switch h.Format {
	case formats.Stripe:
		return h.be(stageProvider)
	case formats.CSV:
		if h.Side == 0 {
			return errNoSide
		}
		return nil
	}
	return h.be(stageBank)
}

// unknownFormat is the error of a file of which nobody knows how it is written.
func (r *reconciliation) unknownFormat(h *header, in io.Reader) error {
	for _, err := range r.read(in, formats.Options{Name: h.name}) {
		if err != nil {
			return err
		}
	}
	return &formats.Error{File: h.name, Err: errors.New("is of no format there is")}
}

// run reads a file to its end.
func (t *taking) run(parts iter.Seq2[formats.Part, error]) error {
	var err error
	if t.piece, err = t.hand(nil); err != nil {
		return err
	}
	handed := int64(0)
	for part, err := range parts {
		if err == nil {
			err = t.part(part)
		}
		if err == nil && (len(t.piece.rows) >= t.pieceRows || t.lines-handed >= pieceLines) {
			t.piece.lines = t.lines
			handed = t.lines
			t.piece, err = t.hand(t.piece)
		}
		if err != nil {
			return err
		}
	}
	t.piece.lines, t.piece.last = t.lines, true
	_, err = t.hand(t.piece)
	return err
}

func (t *taking) part(p formats.Part) error {
	switch {
	case p.Line != nil:
		return t.take(p.Line)
	case p.Statement != nil:
		return t.begin(p.Statement)
	case p.Closing != nil:
		return t.close(p.Closing)
	case p.Proof != nil:
		t.prove(*p.Proof)
	}
	return nil
}

func (t *taking) begin(s *formats.Statement) error {
	wrong := func(field string, err error) error {
		return &formats.Error{File: t.h.name, Line: s.At, Field: field, Err: err}
	}
	if len(t.statements) == maxStatements {
		return wrong("", fmt.Errorf("more than %d statements are too many for one file", maxStatements))
	}
	if err := checkText(s.ID); err != nil {
		return wrong("statement id", err)
	}
	if err := checkText(s.Account); err != nil {
		return wrong("account", err)
	}
	if s.Page < 0 || s.Page > math.MaxInt32 {
		return wrong("page", fmt.Errorf("%d is no number of a page", s.Page))
	}
	t.statement = &statement{
		id: id.New[statementKind](), number: int32(len(t.statements) + 1), senderID: s.ID, bankAccount: s.Account,
		currency: s.Currency, sequence: s.Sequence, page: int32(s.Page), first: noDay, last: noDay, firstPlace: t.places + 1, lastPlace: t.places,
	}
	t.statement.series = "bank/" + s.Account
	switch {
	case t.h.Side == stageProvider:
		t.statement.series = "provider/" + t.h.Account
	case s.Account == "":
		t.statement.series = "account/" + t.h.Account
	}
	t.opening = ""
	if s.Opening != nil {
		if !isDay(s.Opening.Date) {
			return wrong("opening balance", errNoDay)
		}
		t.opening = s.Opening.Amount.Currency
		t.statement.currency = cmp.Or(s.Currency, t.opening)
		t.statement.opening = &balance{s.Opening.Amount.Minor, dayOf(s.Opening.Date)}
	}
	t.statements = append(t.statements, t.statement)
	return nil
}

// close ends a statement. What its format proves of its balances is proven again, from what is written of it.
func (t *taking) close(c *formats.Closing) error {
	s := t.statement
	if s == nil {
		return errors.New("reading the file: the end of a statement stands before the first one")
	}
	if c.Balance == nil {
		return nil
	}
	if !isDay(c.Balance.Date) {
		return &formats.Error{File: t.h.name, Line: c.Balance.At, Field: "closing balance", Err: errNoDay}
	}
	s.closing = &balance{c.Balance.Amount.Minor, dayOf(c.Balance.Date)}
	if s.opening == nil || slices.ContainsFunc(s.sums, func(of sum) bool { return of.Currency != string(t.opening) }) {
		return nil
	}
	parts := []money.Amount{{Currency: t.opening, Minor: s.opening.minor}}
	for _, of := range s.sums {
		parts = append(parts, money.Amount{Currency: t.opening, Minor: of.Credits}, money.Amount{Currency: t.opening, Minor: of.Debits})
		parts = append(parts, money.Amount{Currency: t.opening, Minor: -of.Fees})
	}
	computed, err := money.Sum(t.opening, parts...)
	if err != nil {
		return &formats.Error{File: t.h.name, Line: c.Balance.At, Field: "closing balance", Err: err}
	}
	p := formats.Proof{At: c.Balance.At, Rule: formats.RuleBalance, Stated: c.Balance.Amount.String(), Computed: computed.String()}
	if !p.Holds() && !slices.Contains(t.failingProofs, p) {
		t.prove(p)
	}
	return nil
}

func (t *taking) prove(p formats.Proof) {
	t.proofs++
	if p.Holds() {
		return
	}
	t.failing++
	if len(t.failingProofs) < maxProofs {
		p.Stated, p.Computed = clip(p.Stated, maxID), clip(p.Computed, maxID)
		t.failingProofs = append(t.failingProofs, p)
	}
}
