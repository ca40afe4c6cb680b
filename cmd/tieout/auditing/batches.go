package auditing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"strings"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// batchPrefix begins the ids of batches, and so the references of the attempts at their items: bat_…/<line>/<attempt>.
const batchPrefix = "bat_"

// checksum is the same for the same references, in whatever order they come.
type checksum struct {
	count     int64
	high, low uint64
}

func (s *checksum) add(reference string) {
	h := sha256.Sum256([]byte(reference))
	s.count++
	s.high += binary.BigEndian.Uint64(h[:8])
	s.low += binary.BigEndian.Uint64(h[8:16])
}

// book is what of a batch is known to have gone through.
type book struct {
	atRest bool     // nothing of it is under way, in billing's words
	items  checksum // that succeeded, by the reference of their last attempt
	sagas  checksum // that are completed
}

// books are those of all batches, by id.
type books map[string]*book

// see notes a recurring payment. One that is no batch's is not billing's.
func (b books) see(s subject) {
	id, _, _ := strings.Cut(s.reference, "/")
	if s.end != isCompleted || !strings.HasPrefix(id, batchPrefix) {
		return
	}
	if b[id] == nil {
		b[id] = &book{atRest: true} // billing knows nothing of it
	}
	b[id].sagas.add(s.reference)
}

// readBatches gives what billing says of all batches.
func (c *comparer) readBatches(ctx context.Context) (books, error) {
	all := books{}
	for batch, err := range c.listBatches(ctx) {
		if err != nil {
			return nil, err
		}
		running := batch.GetState() == billingv1.BatchState_BATCH_STATE_RUNNING || batch.GetProgress().GetRunning() > 0
		b := &book{atRest: !running}
		all[batch.GetBatchId()] = b
		if running {
			continue
		}
		for reference, err := range c.succeeded(ctx, batch.GetBatchId()) {
			if err != nil {
				return nil, err
			}
			b.items.add(reference)
		}
	}
	return all, nil
}

// compareBatches reports the items that succeeded without a completed saga, and the completed sagas whose item did not. It
// looks at the items themselves only where the checksums differ, at one batch at a time.
func (c *comparer) compareBatches(ctx context.Context, wrong findings, all books) error {
	for id, b := range all {
		if !b.atRest || b.items == b.sagas {
			continue
		}
		left := map[string]bool{}
		if b.items.count > 0 {
			for reference, err := range c.succeeded(ctx, id) {
				if err != nil {
					return err
				}
				left[reference] = true
			}
		}
		filter := fmt.Sprintf(`definition = "recurring" AND phase = completed AND reference : %q`, id+"/")
		for s, err := range c.listSagas(ctx, filter) {
			if err != nil {
				return err
			}
			if !left[s.GetReference()] {
				wrong[finding{itemsOfSagas, s.GetReference()}] = fmt.Sprintf("saga %s is completed, and billing does not say that the item succeeded", s.GetSagaId())
			}
			delete(left, s.GetReference())
		}
		for reference := range left {
			wrong[finding{itemsOfSagas, reference}] = "succeeded in billing's words, and no saga of it is completed"
		}
	}
	return nil
}

func (c *comparer) listBatches(ctx context.Context) iter.Seq2[*billingv1.Batch, error] {
	return pages(func(token string) ([]*billingv1.Batch, string, error) {
		p, err := c.batches.ListBatches(ctx, &billingv1.ListBatchesRequest{PageSize: pageSize, PageToken: token})
		return p.GetBatches(), p.GetNextPageToken(), err
	})
}

// succeeded gives the references of the attempts with which items of a batch succeeded.
func (c *comparer) succeeded(ctx context.Context, id string) iter.Seq2[string, error] {
	items := pages(func(token string) ([]*billingv1.BatchItem, string, error) {
		p, err := c.batches.ListBatchItems(ctx, &billingv1.ListBatchItemsRequest{
			BatchId: id, PageSize: pageSize, PageToken: token, State: billingv1.ItemState_ITEM_STATE_SUCCEEDED,
		})
		return p.GetItems(), p.GetNextPageToken(), err
	})
	return func(yield func(string, error) bool) {
		for item, err := range items {
			if err != nil {
				yield("", err)
				return
			}
			number := int32(0) // of the last attempt; none is a contradiction, and no saga has it
			for _, a := range item.GetAttempts() {
				number = a.GetNumber()
			}
			if !yield(fmt.Sprintf("%s/%d/%d", id, item.GetLine(), number), nil) {
				return
			}
		}
	}
}
