package audit

import "fmt"

// healthyBilling is a batch that has ended with one item of each end, of which one failed twice and is tried again, one
// that is planned, and an upload.
var healthyBilling = fmt.Sprintf(`
INSERT INTO batch (id, state, name, series, header, provider_account, plan_hash, items, succeeded, failed, unknown, retrying, fed_through,
                   created_by, started_by, started_at, ended_at)
VALUES (%[1]s, 4, 'ended', '', '{"dunning": {}}', 'default', '\x01', 3, 1, 1, 1, 1, 4, 'ann', 'ann', now(), now());
INSERT INTO batch (id, state, name, series, header, provider_account, plan_hash, items, planned, created_by)
VALUES (%[2]s, 1, 'planned', '', '{}', 'default', '\x02', 1, 1, 'ann');
INSERT INTO batch (id, state, name, series, header, provider_account, created_by, lease_until)
VALUES (%[3]s, 0, 'upload', '', '{}', 'default', 'ann', now());
INSERT INTO batch_item (batch_id, line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme,
                        state, attempt, attempted_at, known_at, reason, retry_at) VALUES
    (%[1]s, 2, 'A-1', 'c', 'pm_1', 'EUR', 100, '', '', 3, 1, now(), now(), '', NULL),
    (%[1]s, 3, 'A-2', 'c', 'pm_2', 'EUR', 200, '', '', 4, 2, now(), now(), 'insufficient_funds', now() + interval '1 day'),
    (%[1]s, 4, 'A-3', 'c', 'pm_3', 'EUR', 300, '', '', 5, 1, now(), NULL, '', NULL),
    (%[2]s, 2, 'A-1', 'c', 'pm_1', 'EUR', 100, '', '', 1, 0, NULL, NULL, '', NULL),
    (%[3]s, 2, 'A-1', 'c', 'pm_1', 'EUR', 100, '', '', 1, 0, NULL, NULL, '', NULL);
INSERT INTO item_attempt (batch_id, line, number, attempted_at, known_at, reason, payment_id)
VALUES (%[1]s, 3, 1, now() - interval '1 day', now() - interval '1 day', 'insufficient_funds', '');
INSERT INTO card_decline (batch_id, line, attempt, payment_method, declined_at, code)
VALUES (%[1]s, 3, 1, 'pm_2', now() - interval '1 day', 'insufficient_funds'), (%[1]s, 3, 2, 'pm_2', now(), 'insufficient_funds');
INSERT INTO batch_sum (batch_id, currency, items, sum_minor, collected_items, collected_minor)
VALUES (%[1]s, 'EUR', 3, 600, 1, 100), (%[2]s, 'EUR', 1, 100, 0, 0);
INSERT INTO batch_proof (batch_id, number, items, plan_hash, outcome_hash, collected, difference)
VALUES (%[1]s, 1, 3, '\x01', '\x03', '[]', 'it was wrong once'), (%[1]s, 2, 3, '\x01', '\x03', '[]', '');
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES (gen_random_uuid(), 'ann', 'start', 'bat_' || %[1]s, '');`,
	uuid(1), uuid(2), uuid(3))

var billingPlants = []plant{
	{"an item is lost", `DELETE FROM batch_item WHERE reference = 'A-3'`, "41_batches_count_their_items 42_batches_sum_their_items"},
	{"an item is counted as taken that was not", `
		UPDATE batch_sum SET collected_items = 2, collected_minor = 300 WHERE collected_items = 1`, "42_batches_sum_their_items"},
	{"an item's amount is changed", `UPDATE batch_item SET amount_minor = 101 WHERE state = 3`, "42_batches_sum_their_items"},
	{"a batch ends without a proof", `DELETE FROM batch_proof`, "43_ended_batches_are_proven"},
	{"the last proof does not hold", `UPDATE batch_proof SET difference = 'x' WHERE number = 2`, "43_ended_batches_are_proven"},
	{"the proof is that of other items", `UPDATE batch_proof SET plan_hash = '\x05'`, "43_ended_batches_are_proven"},
	{"a planned item is left behind", `UPDATE batch SET fed_through = 2 WHERE state = 1`, "44_feeding_leaves_nothing_behind"},
	{"a retry is forgotten", `UPDATE batch_item SET retry_at = NULL`, "45_retries_are_counted"},
	{"a card is tried too often", `
		INSERT INTO card_decline (batch_id, line, attempt, payment_method, declined_at, code)
		SELECT gen_random_uuid(), n, 1, 'pm_2', now() - interval '2 days', 'x' FROM generate_series(1, 40) n`, "46_schemes_limits_hold"},
	{"nobody started it", `DELETE FROM operator_action`, "36_operators_leave_a_record"},
}
