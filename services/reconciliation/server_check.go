package reconciliation

import (
	"sync"
	"time"

	"google.golang.org/grpc"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// tellEvery is how often a client is told how far something is.
const tellEvery = 200 * time.Millisecond

// teller tells a client how far something is, at most every so often. What is told comes from several goroutines, while a stream
// takes one message at a time.
type teller struct {
	send func(*reconciliationv1.RunProgress) error

	mu   sync.Mutex
	last time.Time
}

// seen tells how many movements are done. That it cannot be sent is noticed by what is sent last.
func (t *teller) seen(done, all int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.last) >= tellEvery {
		t.last = now
		_ = t.send(&reconciliationv1.RunProgress{Movements: all, Done: done})
	}
}

// VerifyRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) VerifyRun(r *reconciliationv1.VerifyRunRequest, stream grpc.ServerStreamingServer[reconciliationv1.VerifyRunResponse]) error {
	rid, err := parseRunID(r.GetRunId())
	if err != nil {
		return err
	}
	t := &teller{send: func(p *reconciliationv1.RunProgress) error {
		return stream.Send(&reconciliationv1.VerifyRunResponse{Part: &reconciliationv1.VerifyRunResponse_Progress{Progress: p}})
	}}
	found, err := s.reconciliation.verify(stream.Context(), rid, t.seen)
	if err != nil {
		return err
	}
	return stream.Send(&reconciliationv1.VerifyRunResponse{
		Part: &reconciliationv1.VerifyRunResponse_Verification{Verification: verificationToProto(found)},
	})
}

// SimulateRun implements reconciliationv1.ReconciliationServiceServer.
func (s *server) SimulateRun(r *reconciliationv1.SimulateRunRequest, stream grpc.ServerStreamingServer[reconciliationv1.SimulateRunResponse]) error {
	what, err := s.reconciliation.simulationOf(stream.Context(), r.GetRulesVersion(), r.GetRulesDocument(), r.GetAsOf(), r.GetAccount())
	if err != nil {
		return err
	}
	t := &teller{send: func(p *reconciliationv1.RunProgress) error {
		return stream.Send(&reconciliationv1.SimulateRunResponse{Part: &reconciliationv1.SimulateRunResponse_Progress{Progress: p}})
	}}
	found, err := s.reconciliation.simulate(stream.Context(), what, t.seen)
	if err != nil {
		return err
	}
	return stream.Send(&reconciliationv1.SimulateRunResponse{
		Part: &reconciliationv1.SimulateRunResponse_Simulation{Simulation: simulationToProto(found)},
	})
}
