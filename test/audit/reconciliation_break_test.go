package audit

import "fmt"

// brk is the id of a break by its number, as SQL.
func brk(n int) string { return uuid(100 + n) }

// healthyBreaks are, on top of healthyRuns: 1 open, of a movement that is open; 2 accepted, and so matched by a person; 3 written off
// with an approval; 4 that waits for one; 5 that waits for its journal; 6 that was reposted, and taken back; 7 that vanished and came
// back; 8 that was matched; 9 about how something is matched; and an operation that 2 took and 4 refused.
var healthyBreaks = fmt.Sprintf(`
INSERT INTO rule_set (version, document, hash, created_by) VALUES (2, '{"breaks": {"write_off_limit_minor": 1000}}', sha256('y'), 'ann');
INSERT INTO rule_activation (version, activated_by, reason) VALUES (2, 'ann', 'second');
UPDATE run_finding SET code = 'MISSING_AT_PROVIDER';
INSERT INTO break (id, code, watcher, currency, amount_minor, matched, state, resolution, base_severity, opened_on, match_id, last_event) VALUES
    (%[1]s, 'MISSING_AT_PROVIDER', 'run', 'EUR', -300, false, 1, 0, 1, '2026-11-10', NULL, 1),
    (%[2]s, 'AMOUNT_OVER', 'run', 'EUR', 1, false, 5, 3, 1, '2026-11-10', -1, 4),
    (%[3]s, 'LEDGER_INVARIANT', 'ledger', 'EUR', 5000, false, 5, 4, 1, '2026-11-10', NULL, 4),
    (%[4]s, 'LEDGER_INVARIANT', 'ledger', 'EUR', 5000, false, 4, 0, 1, '2026-11-10', NULL, 2),
    (%[5]s, 'LEDGER_INVARIANT', 'ledger', 'EUR', 500, false, 3, 0, 1, '2026-11-10', NULL, 2),
    (%[6]s, 'LEDGER_INVARIANT', 'ledger', 'EUR', 500, false, 1, 0, 1, '2026-11-10', NULL, 5),
    (%[7]s, 'LEDGER_INVARIANT', 'ledger', 'EUR', 500, false, 1, 0, 1, '2026-11-10', NULL, 3),
    (%[8]s, 'MISSING_AT_PROVIDER', 'run', 'EUR', -100, false, 5, 1, 1, '2026-11-10', NULL, 2),
    (%[9]s, 'FEE_VARIANCE', 'run', 'EUR', 3, true, 1, 0, 1, '2026-11-10', NULL, 1);
INSERT INTO break_movement (break_id, movement_id, ours) VALUES
    (%[1]s, (1::bigint << 32) + 3, true), (%[2]s, (1::bigint << 32) + 2, true), (%[2]s, (2::bigint << 32) + 2, false),
    (%[8]s, (1::bigint << 32) + 1, true), (%[9]s, (1::bigint << 32) + 1, true), (%[9]s, (2::bigint << 32) + 1, false);
INSERT INTO break_journal (break_id, number, key, kind, state, from_account, to_account, currency, amount_minor, reason, asked_by, approved_by, done_at) VALUES
    (%[3]s, 1, 'break/3/1', 1, 3, 'a', 'b', 'EUR', 5000, 'x', 'ann', 'bob', now()), (%[4]s, 1, 'break/4/1', 2, 1, 'a', 'b', 'EUR', 5000, 'x', 'ann', '', NULL),
    (%[5]s, 1, 'break/5/1', 2, 2, 'a', 'b', 'EUR', 500, 'x', 'ann', '', NULL), (%[6]s, 1, 'break/6/1', 2, 3, 'a', 'b', 'EUR', 500, 'x', 'ann', '', now()),
    (%[6]s, 2, 'break/6/2', 4, 3, 'b', 'a', 'EUR', 500, 'x', 'ann', '', now());
INSERT INTO break_event (break_id, number, actor, verb, detail)
SELECT e.break_id, e.number, e.actor, e.verb, CASE WHEN e.key = '' THEN '{}' ELSE jsonb_build_object('key', e.key) END
  FROM (VALUES (%[1]s, 1, 'run', 'see', ''), (%[2]s, 1, 'run', 'see', ''), (%[2]s, 2, 'ann', 'snooze', ''), (%[2]s, 3, 'ann', 'ack', ''),
               (%[2]s, 4, 'ann', 'accept', ''), (%[3]s, 1, 'ledger', 'see', ''), (%[3]s, 2, 'ann', 'propose', ''), (%[3]s, 3, 'bob', 'approve', ''),
               (%[3]s, 4, 'reconciliation', 'finish', 'break/3/1'), (%[4]s, 1, 'ledger', 'see', ''), (%[4]s, 2, 'ann', 'propose', ''),
               (%[5]s, 1, 'ledger', 'see', ''), (%[5]s, 2, 'ann', 'resolve', ''), (%[6]s, 1, 'ledger', 'see', ''), (%[6]s, 2, 'ann', 'resolve', ''),
               (%[6]s, 3, 'reconciliation', 'finish', 'break/6/1'), (%[6]s, 4, 'ann', 'reopen', ''), (%[6]s, 5, 'reconciliation', 'finish', 'break/6/2'),
               (%[7]s, 1, 'ledger', 'see', ''), (%[7]s, 2, 'ledger', 'vanish', ''), (%[7]s, 3, 'ledger', 'see', ''), (%[8]s, 1, 'run', 'see', ''),
               (%[8]s, 2, 'run', 'match', ''), (%[9]s, 1, 'run', 'see', '')) AS e (break_id, number, actor, verb, key);
INSERT INTO operator_action (id, actor, verb, target, reason)
SELECT gen_random_uuid(), actor, 'break ' || CASE verb WHEN 'propose' THEN 'resolve' ELSE verb END, 'brk_' || break_id, 'x'
  FROM break_event WHERE actor IN ('ann', 'bob');
INSERT INTO break_operation (id, state, filter, decision, planned_by, expires_at, applied_by, applied_at, ended_at, matched, done, refused)
VALUES (%[10]s, 3, 'code = X', '{"verb": "accept"}', 'bob', now(), 'ann', now(), now(), 2, 1, 1);
INSERT INTO break_operation_total (operation_id, currency, count, sum_minor) VALUES (%[10]s, 'EUR', 2, 5001);
INSERT INTO break_operation_item (operation_id, break_id, outcome, refusal) VALUES (%[10]s, %[2]s, 1, ''), (%[10]s, %[4]s, 2, 'no');`,
	brk(1), brk(2), brk(3), brk(4), brk(5), brk(6), brk(7), brk(8), brk(9), brk(20))

// inHistory changes what a trigger keeps from being changed.
func inHistory(change string) string {
	return `ALTER TABLE break_event DISABLE TRIGGER USER; ` + change + `; ALTER TABLE break_event ENABLE TRIGGER USER`
}

// then is an event more of a break, and what its row says afterwards.
func then(n, number int, actor, verb, row string) string {
	return fmt.Sprintf(`INSERT INTO break_event (break_id, number, actor, verb) VALUES (%s, %d, '%s', '%s');
		UPDATE break SET last_event = %[2]d, %[5]s WHERE id = %[1]s;`, brk(n), number, actor, verb, row)
}

var breakPlants = []plant{
	{"history can be changed", `ALTER TABLE break_event DISABLE TRIGGER break_event_is_append_only`, "9_break_history_is_append_only"},
	{"a person decides without a record", `DELETE FROM operator_action WHERE verb = 'break accept'`, "36_people_at_breaks_leave_a_record"},
	{"it was somebody else", `UPDATE operator_action SET actor = 'carl' WHERE verb = 'break approve'`, "36_people_at_breaks_leave_a_record"},
	{"a break is lost", `DELETE FROM break WHERE id = ` + brk(9), "73_what_is_of_a_break_has_one"},
	{"what is open has no break", `DELETE FROM break_movement WHERE break_id = ` + brk(1), "39_what_is_open_is_explained"},
	{"an event is lost", inHistory(`DELETE FROM break_event WHERE verb = 'vanish'`), "66_breaks_are_their_events"},
	{"the first event is lost", inHistory(`UPDATE break_event SET number = 2 WHERE break_id = ` + brk(1)), "66_breaks_are_their_events"},
	{"nothing has happened", `INSERT INTO break (id, code, watcher, base_severity, opened_on) VALUES (gen_random_uuid(), 'X_X', 'x', 1, '2026-11-10')`,
		"66_breaks_are_their_events"},
	{"a state that nobody has decided on", `UPDATE break SET state = 2 WHERE id = ` + brk(7), "66_breaks_are_their_events"},
	{"what ended it is something else", `UPDATE break SET resolution = 2 WHERE id = ` + brk(8), "66_breaks_are_their_events"},
	{"it ends while its journal is on its way", then(5, 3, "run", "match", "state = 5, resolution = 1") + `
		UPDATE break_journal SET state = 4 WHERE break_id = ` + brk(5), "67_breaks_change_as_they_may"},
	{"what a person accepted is opened by being seen", then(2, 5, "run", "see", "state = 1, resolution = 0, match_id = NULL"), "67_breaks_change_as_they_may"},
	{"what is matched is seen again", then(8, 3, "run", "see", "state = 1, resolution = 0"), "68_what_is_matched_is_no_break"},
	{"a large amount is booked by one person", `UPDATE break_journal SET amount_minor = 5000 WHERE state = 2`, "69_bookings_are_approved"},
	{"who approved has not", `UPDATE break_journal SET approved_by = 'carl' WHERE approved_by <> ''`, "69_bookings_are_approved"},
	{"nothing waits to be approved", `UPDATE break_journal SET state = 4 WHERE state = 1`, "70_endings_have_their_journals"},
	{"nothing ends it", `DELETE FROM break_journal WHERE state = 2`, "70_endings_have_their_journals"},
	{"the journal that ended it was refused", `UPDATE break_journal SET state = 5, done_at = NULL WHERE kind = 1`, "70_endings_have_their_journals"},
	{"an operation counts wrongly", `UPDATE break_operation SET matched = 1, refused = 0`, "71_operations_are_their_items"},
	{"an item is lost", `DELETE FROM break_operation_item WHERE outcome = 2`, "71_operations_are_their_items"},
	{"an operation did it, and nobody knows", `UPDATE break_operation SET applied_by = 'bob'`, "72_operations_are_in_the_history"},
}
