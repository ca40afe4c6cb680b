package reconciliation

import (
	"encoding/hex"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/services/reconciliation/match"
)

// serviceName is the source of the service's events.
const serviceName = "reconciliation"

func eventRunFinished(rid RunID, number int32, asOf match.Day, o outcome, digest []byte) bus.Event {
	e := &eventv1.RunFinished{
		RunId: rid.String(), Number: number, AsOf: dayText(asOf), Matched: o.matched, Breaks: map[string]int64{}, Digest: hex.EncodeToString(digest),
	}
	for _, c := range o.breaks {
		e.Breaks[string(c.code)] = c.count
	}
	return bus.Event{Service: serviceName, Entity: "run", Name: "finished", Subject: rid.String(), Reference: rid.String(), Data: bus.Payload(e)}
}
