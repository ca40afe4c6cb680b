package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tieout/tieout/test/systemtest"
)

// Whoever follows a saga finds what it changed in each service.
func TestLog_NamesTheSagaOfWhatAnOrderChanges(t *testing.T) {
	f, book, _ := canaryFixture(t)
	f.receive("MUG", 1)
	placed, err := f.orders.PlaceOrder(t.Context(), request("an-order-in-the-log", "pm_ok", "GB", 1))
	if err != nil {
		t.Fatal(err)
	}
	systemtest.End(t, f.orders, placed.GetOrder().GetOrderId())
	if err := f.process.Stop(); err != nil {
		t.Error(err)
	}

	events := map[string][]string{}
	for line := range strings.Lines(book.String()) {
		var l struct {
			Msg, Service, Entity, Event, Reference string
			SagaID                                 string `json:"saga_id"`
			TraceID                                string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg != "state changed" || l.SagaID == "" {
			continue
		}
		if l.SagaID != placed.GetOrder().GetSagaId() || l.Reference != placed.GetOrder().GetOrderId() || l.TraceID == "" {
			t.Errorf("got %s", line)
		}
		events[l.Service] = append(events[l.Service], l.Entity+" "+l.Event)
	}
	for service, want := range map[string]string{
		"orchestrator": "order placed", "inventory": "reservation committed", "payment": "payment captured", "shipment": "shipment scheduled",
	} {
		if !strings.Contains(strings.Join(events[service], ", "), want) {
			t.Errorf("%s says %q of the saga, want %q among it", service, events[service], want)
		}
	}
}
