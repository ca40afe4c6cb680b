package orderfile

import (
	"fmt"
	"hash/maphash"
	"io"
	"iter"

	"github.com/tieout/tieout/pkg/rowfile"
)

// CSV gives the orders of a CSV file, in the order in which they end. An error that is a [Refusal] is about one
// order; any other one ends the file. The file is read twice; before the second time, it is an error when the
// heading does not have the mapped columns, or when it cannot be told which order a broken row belongs to, for that
// order would be placed without it.
//
// The idempotency key of an order is csv-order/<order>.
func CSV(file io.ReadSeeker, m rowfile.Mapping, d Defaults) iter.Seq2[*Order, error] {
	return func(yield func(*Order, error) bool) {
		g, err := survey(file, m)
		if err != nil {
			yield(nil, err)
			return
		}
		for r, err := range rows(file, m) {
			if err != nil {
				yield(nil, err)
				return
			}
			if o := g.add(r); o != nil && !yield(o.finish(d)) {
				return
			}
		}
		for _, o := range g.rest() {
			if !yield(o.finish(d)) {
				return
			}
		}
	}
}

// survey reads the file once, to learn the last row of each order.
func survey(file io.ReadSeeker, m rowfile.Mapping) (*grouping, error) {
	g := &grouping{seed: maphash.MakeSeed(), last: map[uint64]int{}, open: map[string]*group{}}
	for r, err := range rows(file, m) {
		if err != nil {
			return nil, err
		}
		name, ok := orderOf(r)
		if !ok && r.Err != nil {
			return nil, fmt.Errorf("line %d: %w: it cannot be told which order the row belongs to, nothing was placed", r.Line, r.Err)
		}
		g.last[maphash.String(g.seed, name)] = r.Line
	}
	return g, nil
}

// rows reads the file from its beginning.
func rows(file io.ReadSeeker, m rowfile.Mapping) iter.Seq2[rowfile.Record, error] {
	return func(yield func(rowfile.Record, error) bool) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			yield(rowfile.Record{}, err)
			return
		}
		keys.Records(file, maxLine, m)(yield)
	}
}
