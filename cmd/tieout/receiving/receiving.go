// Package receiving receives the lines of a file into stock, batch by batch, each under a key of its own: the same
// file again finds its batches received and receives nothing twice.
package receiving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/cmd/tieout/orderfile"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// batchSize is how many lines are received by one call, all or none.
const batchSize = 500

// Config says how a file is received.
type Config struct {
	Client inventoryv1.InventoryServiceClient
	// Resender repeats calls whose answer was lost.
	Resender *resend.Resender
	// Key begins the idempotency key of every batch; the numbers of its first and last line end it.
	Key string
	// Timeout is how long one call may take; zero means what the method declares.
	Timeout time.Duration
	// Report is told line by line what was refused.
	Report func(line string)
	// Progress is told how far things are, after every batch.
	Progress func(Summary)
}

// Summary is what became of the lines of a file.
type Summary struct {
	// Received lines are in stock; of these, Replayed were so before.
	Received int64 `json:"received"`
	// Quantity is the sum of the received lines' pieces.
	Quantity int64 `json:"quantity"`
	// Refused lines are not in stock.
	Refused int64 `json:"refused"`
	// Replayed lines had been received under the same key before; nothing was received again.
	Replayed int64 `json:"replayed"`
}

// batch is lines that are received by one call.
type batch struct {
	lines   []*inventoryv1.StockLine
	numbers []int // their lines in the file
}

// Run receives the file's JSON Lines {"sku", "quantity"}. What is wrong with a line by itself is found here, by the
// rules of the contract, so that it does not keep the rest of its batch out. The error is what ended it early.
func Run(ctx context.Context, cfg Config, file io.Reader) (Summary, error) {
	var sum Summary
	rules, err := protovalidate.New()
	if err != nil {
		return sum, err
	}
	var b batch
	for line, err := range orderfile.Lines(file) {
		if err != nil {
			return sum, err
		}
		item := &inventoryv1.StockLine{}
		if problems := check(rules, line, item); len(problems) > 0 {
			sum.Refused++
			for _, p := range problems {
				cfg.Report(p.String())
			}
			continue
		}
		b.lines, b.numbers = append(b.lines, item), append(b.numbers, line.Number)
		if len(b.lines) == batchSize {
			if err := cfg.receive(ctx, b, &sum); err != nil {
				return sum, err
			}
			b = batch{}
		}
	}
	if len(b.lines) == 0 {
		return sum, nil
	}
	return sum, cfg.receive(ctx, b, &sum)
}

// check reads a line, and says what is wrong with it.
func check(rules protovalidate.Validator, line orderfile.Line, item *inventoryv1.StockLine) []orderfile.Problem {
	if problem := line.Decode(item); problem != nil {
		return []orderfile.Problem{*problem}
	}
	var problems []orderfile.Problem
	if broken, ok := errors.AsType[*protovalidate.ValidationError](rules.Validate(item)); ok {
		for _, v := range broken.Violations {
			problems = append(problems, orderfile.Problem{
				Line: line.Number, Reason: rpcerr.RequestInvalid,
				Field: protovalidate.FieldPathString(v.Proto.GetField()), Message: v.Proto.GetMessage(),
			})
		}
	}
	return problems
}

// receive receives one batch. A refusal is reported and counted; other errors end the file.
func (cfg Config) receive(ctx context.Context, b batch, sum *Summary) error {
	first, last := b.numbers[0], b.numbers[len(b.numbers)-1]
	request := &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: fmt.Sprintf("%s/%d-%d", cfg.Key, first, last), Lines: b.lines,
	}
	var header metadata.MD
	err := cfg.Resender.Do(ctx, func(ctx context.Context) error {
		if cfg.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
		}
		_, err := cfg.Client.ReceiveStock(ctx, request, grpc.Header(&header))
		return err
	})
	count := int64(len(b.lines))
	if e, _ := rpcerr.FromError(err); e != nil && e.Definite() {
		sum.Refused += count
		cfg.refused(e, b)
		return nil
	}
	if err != nil {
		return fmt.Errorf("receiving lines %d to %d: %w", first, last, err)
	}
	sum.Received += count
	for _, line := range b.lines {
		sum.Quantity += int64(line.GetQuantity())
	}
	if placing.Replayed(header) {
		sum.Replayed += count
	}
	cfg.Progress(*sum)
	return nil
}

var lineOf = regexp.MustCompile(`^lines\[(\d+)\]`)

// refused reports why a batch was refused.
func (cfg Config) refused(e *rpcerr.Error, b batch) {
	for _, f := range e.Fields {
		m := lineOf.FindStringSubmatch(f.Path)
		if m == nil {
			continue
		}
		if i, err := strconv.Atoi(m[1]); err == nil && i < len(b.numbers) {
			cfg.Report(orderfile.Problem{Line: b.numbers[i], Reason: e.Reason, Field: f.Path, Message: f.Description}.String())
		}
	}
	cfg.Report(fmt.Sprintf("lines %d to %d: %s: %s", b.numbers[0], b.numbers[len(b.numbers)-1], e.Reason, e.Message))
}
