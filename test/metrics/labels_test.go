package metrics

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/telemetry"
	"github.com/tieout/tieout/services/payment/ledger"
)

// values are what a label can be: these, or those that are described and told by a function.
type values struct {
	these []string
	what  string
	is    func(string) bool
}

func oneOf(these ...string) values { return values{these: these} }

// text is the values as the reference has them.
func (v values) text() string {
	if v.what != "" {
		return v.what
	}
	var quoted []string
	for _, s := range v.these {
		if s == "" {
			quoted = append(quoted, "none")
			continue
		}
		quoted = append(quoted, "`"+s+"`")
	}
	return strings.Join(quoted, ", ")
}

func (v values) has(value string) bool {
	if v.is != nil {
		return v.is(value)
	}
	return slices.Contains(v.these, value)
}

var (
	services = oneOf("inventory", "payment", "shipment", "orchestrator", "billing", "reconciliation")
	steps    = oneOf("", "reserve", "authorize", "charge", "ship", "capture", "commit")
	ages     = func() values {
		var all []string
		for i := range telemetry.AgeClasses {
			all = append(all, telemetry.AgeClass(i).String())
		}
		return oneOf(all...)
	}()
	kinds = func() values {
		var all []string
		for _, r := range ledger.Rules() {
			all = append(all, r.Name)
		}
		return oneOf(all...)
	}()
)

// closed are the values of labels, by label, or where a label means different things by metric and label. A label that is not
// here is of no metric.
var closed = map[string]values{
	"rpc_method": {what: "a method of the contracts, `tieout.order.v1.OrderService/PlaceOrder`", is: isMethod},
	"rpc_response_status_code": oneOf("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
		"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED"),
	"rpc_system_name":                oneOf("grpc"),
	"db_system_name":                 oneOf("postgresql"),
	"db_client_connection_pool_name": {what: "the database, `host:port/name`", is: func(s string) bool { return poolName.MatchString(s) }},
	"server_address":                 {what: "the name or address that a peer is dialled at", is: func(s string) bool { return address.MatchString(s) }},
	"pgx_operation_type":             oneOf("acquire", "batch", "connect", "copy", "prepare", "query"),
	"tieout_service":                 services,
	"tieout_invariant":               {what: "number and name of [docs/reference/invariants.md](invariants.md)", is: isInvariant},
	"tieout_breaker_state/tieout_service": {what: "a service; none of the breakers of Redis", is: func(s string) bool {
		return s == "" || s == "web" || services.has(s)
	}},
	"messaging_consumer_group_name": oneOf("billing-results", "orchestrator-timeline", "reconciliation-facts"),
	"destination": oneOf("inventory", "payment", "shipment", "orchestrator", "billing", "reconciliation", "postgres", "psp", "stripe",
		"redis primary", "redis replica"),
	"provider":   oneOf("psp", "stripe"),
	"answered":   oneOf("true", "false"),
	"holds":      oneOf("true", "false"),
	"definition": oneOf("order", "recurring"),
	"phase":      oneOf("running", "compensating"),
	"step":       steps,
	"call": oneOf("inventory.Reserve", "inventory.Release", "inventory.Commit", "payment.Authorize", "payment.Capture", "payment.Void",
		"payment.Charge", "payment.ChargeRecurring", "payment.Refund", "shipment.Schedule", "shipment.Cancel", "shipment.LookUp"),
	"tieout_saga_outcomes_total/outcome":        oneOf("success", "refusal", "unknown", "denied", "pending", "not found", "not sent"),
	"tieout_saga_duration_seconds/outcome":      oneOf("completed", "compensated", "parked"),
	"tieout_saga_money_total/outcome":           oneOf("accepted", "completed", "compensated", "parked"),
	"tieout_saga_step_duration_seconds/outcome": oneOf("done", "refused"),
	"tieout_saga_step_duration_seconds/kind":    oneOf("execute", "compensate"),
	"tieout_saga_events_total/type": oneOf("started", "step_done", "step_refused", "step_unknown", "step_pending", "step_not_found",
		"compensation_decided", "step_compensated", "compensation_unknown", "compensation_pending", "completed", "compensated", "parked",
		"paused", "resumed", "retried", "step_resolved", "step_ruled_out", "step_skipped"),
	"tieout_billing_items_total/outcome":          oneOf("succeeded", "failed", "unknown"),
	"tieout_reconciliation_repairs_total/outcome": oneOf("done", "refused", "unknown"),
	"tieout_ledger_booked_total/kind":             kinds,
	"currency":                                    {what: "a currency of ISO 4217", is: isCurrency},
	"age":                                         ages,
	"tieout_money_in_limbo/why":                   oneOf("parked", "in_doubt"),
	"tieout_billing_batches_late/why":             oneOf("cut_off", "day"),
	"carrier":                                     oneOf("simulator", "simulator-economy", "former"),
	"class":                                       oneOf("finish", "step", "new", "read", "batch"),
	"tieout_log_lost_total/by":                    oneOf("full", "failed"),
	"tieout_shed_rejected_total/by":               oneOf("limit", "backlog"),
	"backlog":                                     oneOf("orders"),
	"tieout_billing_batches/state":                oneOf("planned", "running", "paused"),
	"tieout_billing_batch_items/state":            oneOf("planned", "running", "succeeded", "failed", "unknown"),
	"tieout_billing_batch_money/state":            oneOf("collected", "open"),
	"tieout_billing_occurrences_total/state":      oneOf("run", "skipped", "missed", "queued"),
	"tieout_billing_occurrences_total/reason":     oneOf("", "missed", "superseded", "overlap", "paused", "ended", "no_business_day"),
	"tieout_reconciliation_files_total/state":     oneOf("accepted", "held", "quarantined", "dropped", "duplicate"),
	"severity":                                    oneOf("low", "medium", "high", "critical"),
	"stage":                                       oneOf("provider", "bank"),
	"pass":                                        oneOf("strong_id", "composite", "payout", "window", "fuzzy", "subset", "own"),
	"verdict":                                     oneOf("tied", "in_flight", "divergent", "unknown"),
	"owner":                                       oneOf("inventory", "payment", "shipment"),
	"cache":                                       oneOf("inventory.level", "inventory.item"),
	"tier":                                        oneOf("memory", "redis"),
	"result":                                      oneOf("hit", "negative", "miss"),
	"server":                                      oneOf("primary", "replica"),
	"cause":                                       oneOf("error", "open", "garbage", "full"),
	"group": oneOf("inventory.reserve", "inventory.release", "inventory.commit", "inventory.receive", "inventory.adjust",
		"payment.new", "payment.further", "payment.undo", "payment.outcome", "payment.webhook",
		"shipment.schedule", "shipment.lookup", "shipment.cancel", "shipment.decide", "shipment.end", "shipment.tracking",
		"orchestrator.intake", "orchestrator.recurring intake", "orchestrator.transitions"),
}

var (
	poolName = regexp.MustCompile(`^[^ ]+:\d+/[a-z0-9_]+$`)
	address  = regexp.MustCompile(`^[a-z0-9.-]+$`)
)

// valuesOf gives what a label of a metric can be, and the key of that.
func valuesOf(metric, label string) (v values, key string, known bool) {
	key = metric + "/" + label
	if v, known = closed[key]; known {
		return v, key, true
	}
	v, known = closed[label]
	return v, label, known
}

func isMethod(name string) bool {
	service, method, _ := strings.Cut(name, "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + method))
	_, isMethod := d.(protoreflect.MethodDescriptor)
	return err == nil && isMethod && strings.HasPrefix(service, "tieout.")
}

func isCurrency(code string) bool {
	_, err := money.ParseCurrency(code)
	return err == nil
}

// wantClosed wants no label to have a value that is not one of its own.
func wantClosed(t *testing.T, all map[string]*family) {
	used := map[string]bool{}
	for _, f := range sorted(all) {
		for _, name := range f.labels() {
			v, key, known := valuesOf(f.name, name)
			if !known {
				t.Errorf("%s has the label %s: say in %s what it can be", f.name, name, "labels_test.go")
				continue
			}
			used[key] = true
			for _, s := range f.series {
				if value := s.labels[name]; !v.has(value) {
					t.Errorf("%s: label %s is %q, which is none of its values", f.name, name, value)
				}
			}
		}
	}
	for key := range closed {
		if !used[key] {
			t.Errorf("no metric has the label %s", key)
		}
	}
}
