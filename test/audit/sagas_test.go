package audit

import (
	"fmt"
	"strings"
)

// history is a saga's row, and its events in the form "step_done charge". It is of order v2 if it authorizes.
type history struct {
	phase  int
	step   string
	cause  string
	events []string
}

// saga is the SQL of an order and its saga. Events that need a cause have the saga's, and their numbers have no gaps.
func saga(n int, h history) string {
	var b strings.Builder
	order, id, version := uuid(1000+n), uuid(n), 1
	if strings.Contains(strings.Join(h.events, " "), "authorize") {
		version = 2
	}
	fmt.Fprintf(&b, `
INSERT INTO orders (id, saga_id, customer_id, payment_method, currency, total_minor, lines, ship_to)
VALUES (%s, %s, 'c', 'pm_ok', 'GBP', 500, '[]', '{}');
INSERT INTO saga (id, definition, version, order_id, phase, step, cause, seq, deadline, traceparent)
VALUES (%s, 'order', %d, %s, %d, '%s', '%s', %d, now() + interval '15 minutes', '');`,
		order, id, id, version, order, h.phase, h.step, h.cause, len(h.events))
	for i, e := range h.events {
		eventType, step, _ := strings.Cut(e, " ")
		detail := "{}"
		if eventType == "compensation_decided" || eventType == "parked" {
			detail = `{"cause": "c"}`
		}
		fmt.Fprintf(&b, `
INSERT INTO saga_event (saga_id, seq, type, step, at, detail) VALUES (%s, %d, '%s', '%s', now(), '%s');`, id, i+1, eventType, step, detail)
		switch eventType {
		case "paused", "resumed", "retried", "step_resolved", "step_ruled_out", "step_skipped":
			fmt.Fprintf(&b, `
INSERT INTO operator_action (saga_id, seq, actor, verb, step, reason, evidence, at) VALUES (%s, %d, 'ann', 'v', '%s', 'r', '', now());`, id, i+1, step)
		}
	}
	return b.String()
}

func events(all string) []string { return strings.Split(all, ", ") }

const (
	toShip = "started, step_done reserve, step_done charge"
	back   = ", compensation_decided, step_compensated charge, step_compensated reserve, compensated"

	// The same of order v2.
	toShip2 = "started, step_done reserve, step_done authorize"
	back2   = ", compensation_decided, step_compensated authorize, step_compensated reserve, compensated"
)

// orderV2 is the definition that the orchestrator writes when it starts.
const orderV2 = `
INSERT INTO saga_definition (name, version, body, pivot, before_pivot) VALUES ('order', 2, 'null', 'ship', 'authorize');`

// healthyOrchestrator is sagas in every phase, and some that operators had to do with.
func healthyOrchestrator() string {
	return orderV2 + saga(1, history{3, "", "", events(toShip + ", step_unknown ship, step_done ship, step_done commit, completed")}) +
		saga(2, history{4, "", "c", events(toShip + ", step_refused ship" + back)}) +
		saga(3, history{4, "", "c", events("started, compensation_decided, step_compensated reserve, compensated")}) +
		saga(4, history{1, "charge", "", events("started, step_done reserve, step_unknown charge")}) +
		saga(5, history{2, "reserve", "c", events("started, step_unknown reserve, compensation_decided, compensation_unknown reserve")}) +
		saga(6, history{5, "ship", "c", events(toShip + ", step_unknown ship, parked")}) +
		saga(7, history{3, "", "", events(toShip + ", step_unknown ship, parked, step_resolved ship, step_unknown commit, parked, step_skipped commit, completed")}) +
		saga(8, history{4, "", "c", events(toShip + ", step_unknown ship, parked, step_ruled_out ship" + back)}) +
		saga(9, history{1, "reserve", "", events("started, paused, step_unknown reserve, resumed, retried")}) +
		saga(10, history{4, "", "c", events("started, step_done reserve, step_refused charge, compensation_decided, compensation_unknown reserve, parked, step_resolved reserve, compensated")}) +
		saga(11, history{3, "", "", events("started, step_pending reserve, step_done reserve, step_done charge, step_unknown ship, step_not_found ship, " +
			"step_done ship, step_pending commit, step_done commit, completed")}) +
		saga(12, history{4, "", "c", events(toShip + ", step_unknown ship, step_not_found ship, step_refused ship, compensation_decided, " +
			"compensation_pending charge, step_compensated charge, step_compensated reserve, compensated")}) +
		saga(14, history{3, "", "", events(toShip2 + ", step_done ship, step_unknown capture, step_done capture, step_done commit, completed")}) +
		saga(15, history{4, "", "c", events(toShip2 + ", step_refused ship" + back2)}) +
		saga(16, history{3, "", "", events(toShip2 + ", step_done ship, step_refused capture, parked, retried, step_done capture, step_done commit, completed")}) +
		saga(17, history{4, "", "c", events("started, step_done reserve, step_unknown authorize" + back2)}) +
		saga(18, history{5, "capture", "c", events(toShip2 + ", step_done ship, step_refused capture, parked")}) +
		saga(19, history{1, "capture", "", events(toShip2 + ", step_done ship, step_pending capture")}) + aged(19, "3 hours") +
		saga(13, history{1, "charge", "", events("started, step_unknown reserve, step_done reserve, step_unknown charge")}) + changed(13,
		`UPDATE saga_event SET detail = '{"retry_at": "2024-01-01T00:00:00Z"}', epoch = 2 WHERE saga_id = %[1]s AND seq = 2`,
		`UPDATE saga_event SET epoch = 3 WHERE saga_id = %[1]s AND seq > 2`,
		`UPDATE shard SET epoch = 3 WHERE id = (SELECT shard FROM saga WHERE id = %[1]s)`,
		`INSERT INTO shard_term (shard, epoch, owner) SELECT shard, unnest(ARRAY[2, 3]), %[1]s FROM saga WHERE id = %[1]s`)
}

// changed is the SQL of what cannot come about, where statements name a saga by %[1]s.
func changed(n int, statements ...string) string {
	all := "\n" + strings.Join(statements, ";\n") + ";"
	return "\nALTER TABLE saga_event DISABLE TRIGGER USER;" + fmt.Sprintf(all, uuid(n)) + "\nALTER TABLE saga_event ENABLE TRIGGER USER;"
}

// aged is the SQL of a saga that was at its deadline so long ago, and that nothing has happened to since.
func aged(n int, since string) string {
	return changed(n, `UPDATE saga SET deadline = now() - interval '`+since+`' WHERE id = %[1]s`,
		`UPDATE saga_event SET at = now() - interval '`+since+`' WHERE saga_id = %[1]s`)
}

func orchestratorPlants() []plant {
	unknown := strings.Repeat(", step_unknown reserve", 61)
	return []plant{
		{"events can be changed", `ALTER TABLE saga_event DISABLE TRIGGER saga_event_is_append_only`, "9_saga_events_are_append_only"},
		{"a recurring payment has no saga", recurringWithoutSaga, "16_orders_have_their_sagas"}, {"an order is lost", `DELETE FROM orders WHERE saga_id = ` + uuid(1), "16_orders_have_their_sagas"},
		{"a saga that does not end", `
			UPDATE saga SET deadline = now() - interval '3 hours' WHERE id IN (` + uuid(4) + `, ` + uuid(9) + `)`, "17_sagas_come_to_rest"},
		{"a capture that is pending for ever", aged(19, "8 days"), "17_sagas_come_to_rest"},
		{"an authorization that is pending past the deadline", saga(20, history{1, "authorize", "", events("started, step_done reserve, step_pending authorize")}) +
			aged(20, "3 hours"), "17_sagas_come_to_rest"},
		{"an event is lost", `
			ALTER TABLE saga_event DISABLE TRIGGER USER;
			DELETE FROM saga_event WHERE saga_id = ` + uuid(1) + ` AND seq = 4;
			ALTER TABLE saga_event ENABLE TRIGGER USER`, "18_events_have_no_gaps"},
		{"a row is behind its events", `UPDATE saga SET seq = seq - 1 WHERE id = ` + uuid(4), "18_rows_are_their_events"},
		{"a row has another phase", `UPDATE saga SET phase = 4, cause = 'c' WHERE id = ` + uuid(1), "18_rows_are_their_events"},
		{"a row waits for nothing", `UPDATE saga SET next_at = now() WHERE id = ` + uuid(4), "18_rows_are_their_events"},
		{"something follows on the end", saga(20, history{1, "charge", "", events("started, completed, step_done reserve")}), "18_transitions_are_legal"},
		{"it turns forward again", saga(20, history{2, "reserve", "c", events("started, compensation_decided, step_done reserve")}), "18_transitions_are_legal"},
		{"a step is not undone", saga(20, history{4, "", "c", events("started, step_done reserve, compensation_decided, compensated")}),
			"19_all_that_may_be_done_is_undone"},
		{"an unknown step is not undone", saga(20, history{4, "", "c", events("started, step_unknown reserve, compensation_decided, compensated")}),
			"19_all_that_may_be_done_is_undone"},
		{"a step is done twice", saga(20, history{1, "charge", "", events("started, step_done reserve, step_done reserve")}), "20_steps_are_done_once"},
		{"compensation without a decision", saga(20, history{1, "reserve", "", events("started, step_compensated reserve")}),
			"18_transitions_are_legal 21_decided_before_compensating"},
		{"compensation in order", saga(20, history{4, "", "c", events(toShip +
			", step_refused ship, compensation_decided, step_compensated reserve, step_compensated charge, compensated")}), "21_compensated_in_reverse"},
		{"back past the pivot", saga(20, history{4, "", "c", events(toShip + ", step_done ship" +
			strings.Replace(back, "step_compensated charge", "step_compensated ship, step_compensated charge", 1))}), "21_never_back_past_the_pivot"},
		{"an unknown pivot is compensated", saga(20, history{4, "", "c", events(toShip + ", step_unknown ship" +
			strings.Replace(back, "step_compensated charge", "step_compensated ship, step_compensated charge", 1))}), "22_unknown_is_no_refusal"},
		{"an open pivot is taken for not begun", saga(20, history{4, "", "c", events(toShip + back)}), "22_unknown_is_no_refusal"},
		{"a pending step is not undone", saga(20, history{4, "", "c", events("started, step_pending reserve, compensation_decided, compensated")}),
			"19_all_that_may_be_done_is_undone"},
		{"a pending pivot is compensated", saga(20, history{4, "", "c", events(toShip + ", step_pending ship" +
			strings.Replace(back, "step_compensated charge", "step_compensated ship, step_compensated charge", 1))}), "22_unknown_is_no_refusal"},
		{"an authorization is not undone", saga(20, history{4, "", "c", events("started, step_done reserve, step_done authorize, step_refused ship" +
			strings.Replace(back2, ", step_compensated authorize", "", 1))}), "19_all_that_may_be_done_is_undone"},
		{"captured twice", saga(20, history{1, "commit", "", events(toShip2 + ", step_done ship, step_done capture, step_done capture")}), "20_steps_are_done_once"},
		{"back from a refused capture", saga(20, history{4, "", "c", events(toShip2 + ", step_done ship, step_refused capture" +
			strings.Replace(back2, "step_compensated authorize", "step_compensated ship, step_compensated authorize", 1))}), "21_never_back_past_the_pivot"},
		{"an open pivot of v2 is taken for not begun", saga(20, history{4, "", "c", events(toShip2 + back2)}), "22_unknown_is_no_refusal"},
		{"asked again too early", changed(13, `UPDATE saga_event SET detail = '{"retry_at": "2999-01-01T00:00:00Z"}' WHERE saga_id = %[1]s AND seq = 2`),
			"24_timers_are_never_early"},
		{"the owner of an earlier epoch writes", changed(13, `UPDATE saga_event SET epoch = 2 WHERE saga_id = %[1]s AND seq = 4`), "25_epochs_rise"},
		{"a shard without a term", `UPDATE shard SET epoch = 7 WHERE id = 63`, "26_one_owner_an_epoch"},
		{"a shard of another owner", `UPDATE shard SET owner = gen_random_uuid() WHERE epoch = 3`, "26_one_owner_an_epoch"},
		{"an event of nobody's epoch", changed(13, `UPDATE saga_event SET epoch = 99 WHERE saga_id = %[1]s AND seq = 4`), "26_one_owner_an_epoch"},
		{"tried for ever", saga(20, history{1, "reserve", "", events("started" + unknown)}), "23_attempts_are_bounded"},
		{"an operator without a record", `DELETE FROM operator_action WHERE saga_id = ` + uuid(9) + ` AND seq = 2`, "36_operators_leave_a_record"},
	}
}

const recurringWithoutSaga = `
INSERT INTO recurring_payment (id, saga_id, reference, customer_id, payment_method, currency, amount_minor)
VALUES (gen_random_uuid(), gen_random_uuid(), 'r', 'c', 'pm', 'EUR', 1)`
