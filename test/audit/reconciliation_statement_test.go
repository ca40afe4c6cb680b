package audit

import "fmt"

// healthyStatements is an accepted report of two charges, one of which another report has brought, with what it pays out; an
// accepted bank statement, and one that was released; one that is held; one that was dropped; and one that is quarantined and
// still being cleared.
var healthyStatements = fmt.Sprintf(`
INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'EUR'), (2, 'default', 'EUR');
INSERT INTO delivery (kind, state, rows) VALUES (1, 1, 1), (2, 1, 1), (1, 1, 3), (1, 2, 1), (1, 3, 1), (1, 4, 0);
INSERT INTO statement_file (id, state, account, stage, format, name, reading, sha256, delivery_id, payouts_id, created_by, decided_at, failing, clearing) VALUES
    (%[1]s, 1, 'default', 1, 'stripe', 'report', '{}', sha256('1'), 1, 2, 'ann', now(), 0, false),
    (%[2]s, 1, 'default', 2, 'camt053', 'bank', '{}', sha256('2'), 3, NULL, 'ann', now(), 0, false),
    (%[3]s, 2, 'default', 2, 'camt053', 'held', '{}', sha256('3'), 4, NULL, 'ann', now(), 0, false),
    (%[4]s, 3, 'default', 2, 'camt053', 'bad', '{}', sha256('4'), 5, NULL, 'ann', now(), 1, true),
    (%[5]s, 4, 'default', 2, 'camt053', 'dropped', '{}', sha256('5'), 6, NULL, 'ann', now(), 0, false);
INSERT INTO statement (id, file_id, number, standing, sender_id, bank_account, series, currency, sequence, page, opening_minor, opening_day,
                       closing_minor, closing_day, lines, pending, unkeyed, sums, first_place, last_place, overlapping, overlap_minor) VALUES
    (%[1]s, %[1]s, 1, 1, '', '', 'provider/default', '', 0, 0, NULL, NULL, NULL, NULL, 2, 0, 0, '[{"currency": "EUR"}]', 1, 2, 1, 900),
    (%[2]s, %[2]s, 1, 1, '', 'DE', 'bank/DE', 'EUR', 1, 0, 100, now(), 1580, now(), 3, 0, 0, '[{"currency": "EUR"}]', 1, 3, 1, 10),
    (%[6]s, %[2]s, 2, 6, '', 'DE', 'bank/DE', 'EUR', 3, 0, 5, now(), 12, now(), 1, 0, 0, '[{"currency": "EUR"}]', 4, 4, 0, 0),
    (%[3]s, %[3]s, 1, 2, '', 'DE', 'bank/DE', 'EUR', 7, 0, 5, now(), 99, now(), 1, 0, 0, '[{"currency": "EUR"}]', 1, 1, 0, 0),
    (%[5]s, %[5]s, 1, 5, '', 'DE', 'bank/DE', 'EUR', 8, 0, 5, now(), 99, now(), 1, 0, 0, '[{"currency": "EUR"}]', 1, 1, 0, 0);
INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, fee_minor, day, payout_id)
SELECT (m.delivery::bigint << 32) + m.place, gen_random_uuid(), p.id, m.ours, m.kind, m.minor, m.fee, now(), m.payout
  FROM (VALUES (1, 1, 1, false, 1, 1000, 30, 'po_1'), (2, 1, 2, true, 6, 970, 0, 'po_1'), (3, 1, 2, false, 6, 1500, 30, 'po_1'),
               (3, 3, 2, false, 9, 0, 0, ''), (3, 4, 2, false, 9, 7, 0, ''), (4, 1, 2, false, 9, 1, 0, ''), (5, 1, 2, false, 9, 1, 0, '')
       ) AS m (delivery, place, stage, ours, kind, minor, fee, payout) JOIN partition p ON p.stage = m.stage;
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES
    (gen_random_uuid(), 'ann', 'release', 'stm_' || %[6]s, 'why'), (gen_random_uuid(), 'ann', 'drop', 'stf_' || %[5]s, 'why');`,
	uuid(1), uuid(2), uuid(3), uuid(4), uuid(5), uuid(6))

var statementPlants = []plant{
	{"a movement is lost", `DELETE FROM movement WHERE id >> 32 = 3 AND amount_minor = 0`, "51_deliveries_have_their_movements"},
	{"a movement of money is lost", `DELETE FROM movement WHERE id >> 32 = 3 AND amount_minor = 7`,
		"51_deliveries_have_their_movements 53_statements_tie_out"},
	{"a delivery is lost", `DELETE FROM delivery WHERE id = 4`, "52_what_does_not_count_is_not_there"},
	{"what is quarantined is left", `UPDATE statement_file SET clearing = false WHERE state = 3`, "52_what_does_not_count_is_not_there"},
	{"what was dropped is back", `
		INSERT INTO movement (id, key, partition_id, ours, kind, amount_minor, day) VALUES ((6::bigint << 32) + 1, gen_random_uuid(), 2, false, 9, 1, now())`,
		"52_what_does_not_count_is_not_there"},
	{"an amount is changed", `UPDATE movement SET amount_minor = 1501 WHERE id >> 32 = 3 AND amount_minor = 1500`, "53_statements_tie_out"},
	{"a balance is changed", `UPDATE statement SET closing_minor = 13 WHERE standing = 6`, "53_statements_tie_out"},
	{"a payout is more than its lines", `UPDATE movement SET amount_minor = 971 WHERE ours`, "54_payouts_are_their_lines"},
	{"a payout is not made", `DELETE FROM movement WHERE ours`, "51_deliveries_have_their_movements 54_payouts_are_their_lines"},
	{"what is held counts", `UPDATE statement SET standing = 3 WHERE standing = 6`, "55_nothing_held_counts"},
	{"nobody released or dropped", `DELETE FROM operator_action`, "36_people_at_statements_leave_a_record"},
	{"a person released and did not drop", `UPDATE operator_action SET verb = 'release'`, "36_people_at_statements_leave_a_record"},
}
