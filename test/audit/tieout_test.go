package audit

import "fmt"

// healthyTieOut is an order that ties, with its charge and a refund, as events and the ledger have them.
var healthyTieOut = fmt.Sprintf(`
INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'GBP');
INSERT INTO delivery (kind, state, rows) VALUES (3, 0, 3);
INSERT INTO movement (id, key, partition_id, ours, kind, standing, amount_minor, day, reference, payment_id) VALUES
    (4294967297, %[2]s, 1, true, 1, 0, 500, current_date, 'ord_' || %[1]s, 'pay_1'),
    (4294967298, %[3]s, 1, true, 2, 0, -200, current_date, 'ord_' || %[1]s, 'pay_1'),
    (4294967299, %[4]s, 1, true, 1, 2, 70, current_date, 'ord_' || %[1]s, 'pay_2');
INSERT INTO order_fact (id, recurring, told, currency, total_minor, captured_minor, refunded_minor) VALUES (%[1]s, false, 1, 'GBP', 500, 500, 200);
INSERT INTO ledger_minute (minute, currency, kind, ours_minor, theirs_minor) VALUES
    ('2026-11-22 10:00:00Z', 'GBP', 1, 500, 500), ('2026-11-22 10:00:00Z', 'GBP', 2, -200, NULL), ('2026-11-22 10:01:00Z', 'GBP', 5, 0, -300);`,
	uuid(1), uuid(2), uuid(3), uuid(4))

var tieOutPlants = []plant{
	{"a movement is counted twice", `UPDATE ledger_minute SET ours_minor = 1000, theirs_minor = 1000 WHERE kind = 1`, "56_minutes_are_movements"},
	{"a movement is not counted", `UPDATE movement SET reference = '' WHERE kind = 2; UPDATE order_fact SET refunded_minor = 0; DELETE FROM ledger_minute WHERE kind = 2`,
		"56_minutes_are_movements"},
	{"an order has more than its movements", `UPDATE order_fact SET captured_minor = 501`, "57_orders_are_their_movements"},
	{"an order is not known", `DELETE FROM order_fact`, "57_orders_are_their_movements"},
	{"nobody looks", `UPDATE order_fact SET look_at = now() - interval '1 hour'`, "58_orders_are_looked_at"},
	{"the ledger has something else", `UPDATE ledger_minute SET theirs_minor = -199 WHERE kind = 2`, "59_the_ledger_agrees"},
}
