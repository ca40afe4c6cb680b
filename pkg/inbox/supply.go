package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// idleWait is how long is waited for an event when there is none.
	idleWait = 5 * time.Second
	// closeLimit is how long may be waited at the end for messages that are on their way.
	closeLimit = time.Second
)

var errClosed = errors.New("the server sends no more")

// supply is the messages of a consumer. The server sends up to maxBatch before anybody asks for them, so that none is lost for having come
// late: what a single request is answered with after it was given up comes again after ackWait only.
type supply struct {
	consuming jetstream.ConsumeContext
	arrived   chan jetstream.Msg
	trouble   chan error
	closed    <-chan struct{} // closed when nothing comes any more
	ended     chan struct{}   // closed when nobody takes what comes
}

// newSupply has the server send.
func newSupply(durable jetstream.Consumer) (_ *supply, err error) {
	s := &supply{arrived: make(chan jetstream.Msg, maxBatch), trouble: make(chan error, 1), ended: make(chan struct{})}
	s.consuming, err = durable.Consume(s.take, jetstream.PullMaxMessages(maxBatch), jetstream.ConsumeErrHandler(s.note))
	if err != nil {
		return nil, fmt.Errorf("asking for events: %w", err)
	}
	s.closed = s.consuming.Closed()
	return s, nil
}

func (s *supply) take(msg jetstream.Msg) {
	select {
	case s.arrived <- msg:
	case <-s.ended:
	}
}

// note keeps what is wrong, but for a server that was not heard of for a while: it is asked again anyway.
func (s *supply) note(_ jetstream.ConsumeContext, err error) {
	if errors.Is(err, jetstream.ErrNoHeartbeat) {
		return
	}
	select {
	case s.trouble <- err:
	default:
	}
}

// next gives what has arrived, at most maxBatch; if nothing has, it waits a little for it. After an error nothing more comes.
func (s *supply) next(ctx context.Context) (msgs []jetstream.Msg, err error) {
	idle := time.NewTimer(idleWait)
	defer idle.Stop()
	select {
	case msg := <-s.arrived:
		msgs = append(msgs, msg)
	case err = <-s.trouble:
		return nil, err
	case <-s.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-idle.C:
		return nil, nil
	}
	for len(msgs) < maxBatch {
		select {
		case msg := <-s.arrived:
			msgs = append(msgs, msg)
		default:
			return msgs, nil
		}
	}
	return msgs, nil
}

// close puts back what nobody took, for whoever consumes next.
func (s *supply) close() {
	defer close(s.ended)
	s.consuming.Drain()
	limit := time.After(closeLimit)
	for open := true; open; {
		select {
		case msg := <-s.arrived:
			_ = msg.Nak() // else it comes again after ackWait
		case <-s.closed:
			open = false
		case <-limit:
			open = false
		}
	}
	for range len(s.arrived) {
		_ = (<-s.arrived).Nak()
	}
}
