package formats

import (
	"bufio"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/money"
)

// How camt.053 and camt.054 are read.
//
// An element belongs to the message by its namespace; what a bank adds in others, and what is of no use here, is passed over.
// Elements are told apart by their names and not by version: where versions differ (Sts and Sts/Cd, Dbtr/Nm and Dbtr/Pty/Nm,
// Chrgs and Chrgs/Rcrd), each reads either.
//
// Sequence is ElctrncSeqNb, else LglSeqNb. Page and Last come from the pagination of the statement, else from that of the
// message, which is all that version 02 has.
//
// What is not proven: NtryDtls/Btch, for banks state what was ordered there and not what they tell; TtlNtriesPerBkTxCd,
// for it is not laid down which of an entry's codes it goes by; and sums of entries in several currencies.

// A camtMessage is what a kind of message calls its parts.
type camtMessage struct {
	definition string // with the dot before its version
	message    string
	list       string // of a statement or notification
}

var (
	camtMessages = map[Format]camtMessage{
		Camt053: {"camt.053.001.", "BkToCstmrStmt", "Stmt"},
		Camt054: {"camt.054.001.", "BkToCstmrDbtCdtNtfctn", "Ntfctn"},
	}
	camtVersions = []string{"02", "03", "04", "08"}
)

const camtSpace = "urn:iso:std:iso:20022:tech:xsd:"

// owns says whether a namespace is that of the message in a version that is read. Austrian banks have their own for the same
// elements, "ISO:camt.053.001.02:APC:STUZZA:payments:003".
func (m camtMessage) owns(uri string) bool {
	definition, ours := strings.CutPrefix(uri, camtSpace)
	if !ours {
		definition, ours = strings.CutPrefix(uri, "ISO:")
		definition, _, _ = strings.Cut(definition, ":APC:STUZZA:payments:")
	}
	version, of := strings.CutPrefix(definition, m.definition)
	return ours && of && slices.Contains(camtVersions, version)
}

var (
	errCamtStopped = errors.New("nobody wants more")
	errCamtMissing = errors.New("is missing")
	errCamtTwice   = errors.New("stands there twice")
)

// camt is a message on its way.
type camt struct {
	x     *xmlReader
	file  string
	list  string // what a statement is called
	yield func(Part, error) bool

	made  time.Time // when the message was, at midnight
	pages camtPages // of the message
	found int       // statements

	stmt      camtStatement
	entry     camtEntry
	tx        camtTx
	txCharges camtCharges
	held      []camtTx // the transactions of the entry
	text      []byte   // of the transaction

	// What the last element of its kind said: the next one mostly says the same, and shares the memory.
	currency                                   money.Currency
	exponent                                   int
	dayText                                    string
	day                                        time.Time
	code                                       string
	debtor, debtorAcct, creditor, creditorAcct string
}

// readCamt reads camt.053 and camt.054.
func readCamt(r *bufio.Reader, o Options) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		p := &camt{x: newXMLReader(r), file: o.Name, yield: yield}
		if err := p.document(camtMessages[o.Format]); err != nil && !errors.Is(err, errCamtStopped) {
			yield(Part{}, p.told(err))
		}
	}
}

// told is an error as who reads the file is told of it.
func (p *camt) told(err error) error {
	if source, ok := errors.AsType[*xmlSourceError](err); ok {
		return fmt.Errorf("reading the file: %w", source.err)
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return &Error{File: p.file, Line: p.x.line(), Field: p.x.path(), Err: err}
}

// fail says what is wrong with a child of the innermost element.
func (p *camt) fail(field string, err error) error {
	if path := p.x.path(); path != "" {
		field = path + "/" + field
	}
	return p.failAt(p.x.line(), field, err)
}

// failAt says what is wrong with a field that begins on a line.
func (p *camt) failAt(line int, field string, err error) error {
	return &Error{File: p.file, Line: line, Field: field, Err: err}
}

// emit hands a part out.
func (p *camt) emit(part Part) error {
	if !p.yield(part, nil) {
		return errCamtStopped
	}
	return nil
}

func (p *camt) document(m camtMessage) error {
	if err := p.x.root(); err != nil {
		return err
	}
	if string(p.x.name()) != "Document" || !m.owns(p.x.uri) {
		return fmt.Errorf("is of the namespace %.80q, and not a Document of %s%s%s", p.x.uri, camtSpace, m.definition, strings.Join(camtVersions, ", "))
	}
	p.x.space = p.x.uri
	p.list = m.list
	err := p.x.children(func(name []byte) error {
		if string(name) != m.message {
			return nil
		}
		return p.x.children(p.messageChild)
	})
	if err != nil {
		return err
	}
	if p.found == 0 {
		return p.failAt(p.x.line(), m.message, fmt.Errorf("has no %s", m.list))
	}
	return p.x.end()
}

func (p *camt) messageChild(name []byte) error {
	switch string(name) {
	case "GrpHdr":
		return p.x.children(p.headerChild)
	case p.list:
		p.found++
		return p.statement()
	}
	return nil
}

func (p *camt) headerChild(name []byte) (err error) {
	switch string(name) {
	case "CreDtTm":
		p.made, err = p.date("CreDtTm")
	case "MsgPgntn":
		err = p.pagination(&p.pages)
	}
	return err
}

// camtPages are a pagination.
type camtPages struct {
	given, last bool
	page        int
}

func (p *camt) pagination(into *camtPages) error {
	*into = camtPages{given: true, last: true}
	return p.x.children(func(name []byte) error {
		switch string(name) {
		case "PgNb":
			n, _, err := p.number("PgNb")
			into.page = int(n)
			return err
		case "LastPgInd":
			last, given, err := p.indicator("LastPgInd")
			into.last = last || !given
			return err
		}
		return nil
	})
}
