package bus

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers that make several messages one.
const (
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// Together makes messages of events that a stream takes as one: all of them or none, one behind the other, synced once
// (JetStream's atomic batch publishing, since NATS 2.12). All but the last are published, and the last is a request; TakenTogether reads
// its answer.
func Together(events []Event) []*nats.Msg {
	name, messages := uuid.NewString(), make([]*nats.Msg, len(events))
	for i, e := range events {
		m := Encode(e)
		m.Header.Set(headerBatch, name)
		m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
		messages[i] = m
	}
	messages[len(events)-1].Header.Set(headerBatchCommit, "1")
	return messages
}

// TakenTogether gives the place in the stream of the first of messages that are one. Refused is why the stream took none of them; err
// that it cannot be told.
func TakenTogether(messages []*nats.Msg, answer *nats.Msg) (first int64, refused, err error) {
	var ack struct {
		Sequence int64               `json:"seq"` // of the last one
		Batch    string              `json:"batch"`
		Count    int                 `json:"count"`
		Error    *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, nil, fmt.Errorf("reading what came of %d events: %w", len(messages), err)
	}
	switch {
	case ack.Error != nil:
		return 0, ack.Error, nil
	case ack.Batch != messages[0].Header.Get(headerBatch) || ack.Count != len(messages):
		return 0, fmt.Errorf("%d events of batch %q were taken", ack.Count, ack.Batch), nil
	}
	return ack.Sequence - int64(len(messages)) + 1, nil, nil
}
