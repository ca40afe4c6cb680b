package pspsim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// An EntryType is a kind of effect.
type EntryType string

// The effects there are.
const (
	TypeCharge    EntryType = "charge"    // money was taken
	TypeAuthorize EntryType = "authorize" // money was set aside
	TypeCapture   EntryType = "capture"   // of what was set aside, money was taken; the rest is released
	TypeVoid      EntryType = "void"      // what was set aside is released
	TypeDecline   EntryType = "decline"   // an attempt was refused for good; no money moved
	TypeRefund    EntryType = "refund"    // money went back

	// Of nobody's asking: the customer's bank took money of a charge back, and the merchant got it again.
	TypeChargeback         EntryType = "chargeback"
	TypeChargebackReversal EntryType = "chargeback_reversal"
)

// follows says whether it is asked for of an earlier charge or authorization.
func (t EntryType) follows() bool { return idPrefixes[t] != "" }

// An Entry is one effect that happened, and one line of the journal.
type Entry struct {
	// Seq numbers the entries from 1 without gaps, in the order they happened.
	Seq int64 `json:"seq"`
	// At is the simulator's wall clock in UTC, to the microsecond.
	At   time.Time `json:"at"`
	Type EntryType `json:"type"`
	// ID is ch_… for a charge, an authorization or a decline, cp_… for a capture, vo_… for a void, re_… for a refund,
	// dp_… for a chargeback, dr_… for its reversal.
	ID string `json:"id"`
	// IdempotencyKey is empty of a chargeback and its reversal.
	IdempotencyKey string `json:"idempotency_key"`
	// AmountMinor is positive for every type, in minor units of Currency.
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	// FeeMinor is what the provider keeps of a charge or a capture, or takes for a chargeback, in minor units; less
	// than zero when a reversal gives it back.
	FeeMinor int64 `json:"fee_minor,omitempty"`
	// Reference and PaymentMethod of what follows a charge are those of the charge.
	Reference     string `json:"reference"`
	PaymentMethod string `json:"payment_method"`
	// AuthorizeOnly says of a decline what it was that was declined, and of an authorization that it is one.
	AuthorizeOnly bool `json:"authorize_only,omitempty"`
	// Charge is the id of the charge that a capture, void, refund or chargeback follows.
	Charge string `json:"charge,omitempty"`
	// Chargeback is the id of the chargeback: its own, or that of the one that is reversed.
	Chargeback  string `json:"chargeback,omitempty"`
	DeclineCode string `json:"decline_code,omitempty"`
	// Fingerprint is the SHA-256, in hex, of the request that the idempotency key is bound to.
	Fingerprint string `json:"fingerprint"`
}

// A journal appends entries to a file. Appending is cheap and ordered; waiting
// makes durable, and those who wait at the same time share one fsync. The first
// write that fails is the last: what is on disk is unknown from then on, and
// only reading it anew can tell.
type journal struct {
	file *os.File // nil: memory only, durable at once

	mu       sync.Mutex
	progress sync.Cond // durable, flushing or err has changed
	pending  []byte    // appended but not yet handed to the file
	appended int64     // Seq of the last appended entry
	durable  int64     // Seq of the last entry that survives a crash
	flushing bool      // somebody is writing to file, without holding mu
	err      error     // why nothing becomes durable any more
}

// openJournal opens or creates the journal at path and calls replay for each of
// its entries in order. A last line without its newline was torn by a crash,
// hence never acknowledged: it is cut off, and torn says so. An unreadable line
// anywhere else is an error. An empty path keeps the journal in memory.
func openJournal(path string, replay func(Entry) error) (j *journal, torn bool, err error) {
	j = &journal{}
	j.progress.L = &j.mu
	if path == "" {
		return j, false, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("opening journal: %w", err)
	}
	torn, err = j.load(file, replay)
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("reading journal %s: %w", path, err), file.Close())
	}
	j.file = file
	return j, torn, nil
}

func (j *journal) load(file *os.File, replay func(Entry) error) (torn bool, err error) {
	var intact int64
	for in := bufio.NewReader(file); ; {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			torn = len(line) > 0
			break
		}
		if err != nil {
			return false, err
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return false, fmt.Errorf("line %d: %w", j.durable+1, err)
		}
		if e.Seq != j.durable+1 {
			return false, fmt.Errorf("line %d: has sequence number %d", j.durable+1, e.Seq)
		}
		if err := replay(e); err != nil {
			return false, fmt.Errorf("line %d: %w", e.Seq, err)
		}
		j.appended, j.durable = e.Seq, e.Seq
		intact += int64(len(line))
	}
	if torn {
		if err := file.Truncate(intact); err != nil {
			return false, fmt.Errorf("cutting off the torn line: %w", err)
		}
	}
	// What was read may be in the page cache only, left there by a process that
	// died before its fsync; it is about to be shown.
	return torn, file.Sync()
}

// syncDir makes the directory entry of a new file durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// append adds e, whose Seq follows that of the entry before it. It is durable
// only after wait.
func (j *journal) append(e Entry) {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("encoding journal entry: %w", err)
	}
	j.appended = e.Seq
	if j.err != nil {
		return
	}
	if j.file == nil {
		j.durable = e.Seq
		return
	}
	j.pending = append(append(j.pending, line...), '\n')
}

// wait returns once the entry seq and all before it are durable, or with the
// error that keeps it from becoming so. Of those who wait, one writes what has
// gathered for all.
func (j *journal) wait(seq int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.durable < seq {
		switch {
		case j.err != nil:
			return j.err
		case j.flushing:
			j.progress.Wait()
		default:
			j.flush()
		}
	}
	return nil
}

// flush writes and fsyncs what is pending. It is called with mu held, and lets
// go of it meanwhile, so that the next batch can gather.
func (j *journal) flush() {
	batch, last := j.pending, j.appended
	j.pending, j.flushing = nil, true
	j.mu.Unlock()
	_, err := j.file.Write(batch)
	if err == nil {
		err = j.file.Sync()
	}
	j.mu.Lock()
	j.flushing = false
	if err != nil {
		j.err = fmt.Errorf("writing journal: %w", err)
	} else {
		j.durable = last
	}
	j.progress.Broadcast()
}

// state returns the last durable Seq, and the error that stopped the journal.
func (j *journal) state() (durable int64, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable, j.err
}

// close closes the file. Nobody may be appending or waiting.
func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("closing journal: %w", err)
	}
	return nil
}
