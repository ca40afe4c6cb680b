package audit

var unpublished = plant{"an old event that is not published", `
INSERT INTO outbox (id, service, entity, name, subject, reference, occurred_at, data, traceparent, tracestate, written_at)
VALUES (gen_random_uuid(), 's', 'e', 'n', 'x_1', '', now(), '', '', '', now() - interval '6 minutes'),
       (gen_random_uuid(), 's', 'e', 'n', 'x_2', '', now(), '', '', '', now())`, "27_events_are_published"}

const healthyInventory = `
INSERT INTO stock_level (sku, available, reserved, shipped) VALUES ('A', 7, 1, 2), ('B', 0, 0, 0);
INSERT INTO reservation (id, reference, state, skus, quantities) VALUES
    ('00000000-0000-7000-8000-000000000001', 'ord_1', 1, '{A}', '{1}'),
    ('00000000-0000-7000-8000-000000000002', 'ord_2', 3, '{A}', '{2}'),
    ('00000000-0000-7000-8000-000000000003', 'ord_3', 2, '{A}', '{3}'),
    ('00000000-0000-7000-8000-000000000005', 'ord_5', 4, '{A}', '{1}');
INSERT INTO stock_event (sku, type, quantity, reservation_id) VALUES
    ('A', 1, 11, NULL),
    ('A', 2, 1, '00000000-0000-7000-8000-000000000001'),
    ('A', 2, 2, '00000000-0000-7000-8000-000000000002'),
    ('A', 2, 3, '00000000-0000-7000-8000-000000000003'),
    ('A', 3, 3, '00000000-0000-7000-8000-000000000003'),
    ('A', 4, 2, '00000000-0000-7000-8000-000000000002'),
    ('A', 2, 1, '00000000-0000-7000-8000-000000000005'),
    ('A', 6, 1, '00000000-0000-7000-8000-000000000005');
INSERT INTO operator_action (id, actor, verb, sku, reason) VALUES ('00000000-0000-7000-8000-000000000009', 'o', 'adjust', 'A', 'counted');
INSERT INTO stock_event (sku, type, quantity, action_id) VALUES ('A', 5, -1, '00000000-0000-7000-8000-000000000009');
UPDATE stock_level SET adjusted = -1 WHERE sku = 'A';
INSERT INTO daily_movement (sku, day, received, reserved, released, committed, adjusted, expired)
SELECT 'A', (max(at) AT TIME ZONE 'UTC')::date, 11, 7, 3, 2, -1, 1 FROM stock_event;
UPDATE projection p SET xid = e.xid, event_id = e.id FROM (SELECT xid, id FROM stock_event ORDER BY xid DESC, id DESC LIMIT 1) AS e;`

var inventoryPlants = []plant{
	{"events can be changed", `ALTER TABLE stock_event DISABLE TRIGGER stock_event_is_append_only`, "9_stock_events_are_append_only"},
	{"a piece appears", `UPDATE stock_level SET available = 8 WHERE sku = 'A'`, "12_levels_are_their_events"},
	{"a level is lost", `DELETE FROM stock_level WHERE sku = 'A'`, "12_levels_are_their_events"},
	{"a release without an event", `UPDATE reservation SET state = 2 WHERE state = 1`, "12_reservations_are_their_events"},
	{"an expiry without an event", `UPDATE reservation SET state = 4 WHERE state = 2`, "12_reservations_are_their_events"},
	{"a reservation is lost", `DELETE FROM reservation WHERE state = 1`, "12_reservations_are_their_events"},
	{"a correction is forgotten", `UPDATE stock_level SET adjusted = 0 WHERE sku = 'A'`, "12_levels_are_their_events"},
	{"a day's pieces are counted twice", `UPDATE daily_movement SET received = 22`, "12_movements_are_their_events"},
	{"a day is lost", `DELETE FROM daily_movement`, "12_movements_are_their_events"},
	{"a day on which nothing happened", `
		INSERT INTO daily_movement SELECT 'B', '2001-01-01', 0, 0, 0, 0, 0, 0`, "12_movements_are_their_events"},
	{"the projection has gone on without its events", `UPDATE projection SET event_id = event_id - 1`, "12_movements_are_their_events"},
	{"nobody corrected", `DELETE FROM operator_action`, "36_corrections_of_operators"},
	{"promised before it came in", `
		INSERT INTO reservation (id, reference, state, skus, quantities)
		VALUES ('00000000-0000-7000-8000-000000000004', 'ord_4', 1, '{B}', '{1}');
		INSERT INTO stock_event (sku, type, quantity, reservation_id)
		VALUES ('B', 2, 1, '00000000-0000-7000-8000-000000000004'), ('B', 1, 1, NULL);
		UPDATE stock_level SET reserved = 1 WHERE sku = 'B'`, "13_never_oversold"},
}

const healthyPayment = `
INSERT INTO payment (id, state, currency, amount_minor, payment_method, customer_id, reference, provider_key, provider_charge_id,
                     decline_reason, captured_minor, refunded_minor, charged_back_minor, operations) VALUES
    ('00000000-0000-7000-8000-000000000001', 11, 'GBP', 500, 'pm_ok', 'c', 'ord_1', 'k1', 'ch_1', '', 500, 0, 100, 1),
    ('00000000-0000-7000-8000-000000000002', 5, 'GBP', 700, 'pm_ok', 'c', 'ord_2', 'k2', 'ch_2', '', 700, 700, 0, 4),
    ('00000000-0000-7000-8000-000000000003', 4, 'JPY', 900, 'pm_ok', 'c', 'ord_3', 'k3', '', 'broke', 0, 0, 0, 1),
    ('00000000-0000-7000-8000-000000000004', 2, 'JPY', 900, 'pm_ok', 'c', 'ord_4', 'k4', '', '', 0, 0, 0, 1);
INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id, decline_reason, last_sent_at, look_at) VALUES
    ('00000000-0000-7000-8000-000000000001', 1, 1, 4, 500, 'k1', 'ch_1', '', NULL, NULL),
    ('00000000-0000-7000-8000-000000000002', 1, 2, 4, 700, 'k2', 'ch_2', '', NULL, NULL),
    ('00000000-0000-7000-8000-000000000002', 2, 3, 4, 700, 'k2/capture', 'cp_2', '', NULL, NULL),
    ('00000000-0000-7000-8000-000000000002', 3, 5, 4, 300, 'k2/refund/1', 're_1', '', NULL, NULL),
    ('00000000-0000-7000-8000-000000000002', 4, 5, 4, 400, 'k2/refund/2', 're_2', '', NULL, NULL),
    ('00000000-0000-7000-8000-000000000003', 1, 1, 5, 900, 'k3', '', 'broke', NULL, NULL),
    ('00000000-0000-7000-8000-000000000004', 1, 1, 3, 900, 'k4', '', '', now(), now());
WITH journals AS (INSERT INTO journal (id, payment_id, kind, key) VALUES
    ('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 1, ''),
    ('00000000-0000-7000-8000-000000000013', '00000000-0000-7000-8000-000000000001', 3, 'dp_1'),
    ('00000000-0000-7000-8000-000000000014', '00000000-0000-7000-8000-000000000001', 4, 'dp_1'),
    ('00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000002', 1, ''),
    ('00000000-0000-7000-8000-000000000022', '00000000-0000-7000-8000-000000000002', 2, 'k2/refund/1'),
    ('00000000-0000-7000-8000-000000000023', '00000000-0000-7000-8000-000000000002', 2, 'k2/refund/2'),
    ('00000000-0000-7000-8000-000000000035', NULL, 5, 'po_1'),
    ('00000000-0000-7000-8000-000000000037', NULL, 7, 'brk_1'))
INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES
    ('00000000-0000-7000-8000-000000000011', 1, 'provider_clearing', 'GBP', 500),
    ('00000000-0000-7000-8000-000000000011', 2, 'revenue', 'GBP', -500),
    ('00000000-0000-7000-8000-000000000011', 3, 'fees', 'EUR', 17),
    ('00000000-0000-7000-8000-000000000011', 4, 'provider_clearing', 'EUR', -17),
    ('00000000-0000-7000-8000-000000000013', 1, 'customer_receivable', 'GBP', 400),
    ('00000000-0000-7000-8000-000000000013', 2, 'provider_clearing', 'GBP', -400),
    ('00000000-0000-7000-8000-000000000014', 1, 'provider_clearing', 'GBP', 300),
    ('00000000-0000-7000-8000-000000000014', 2, 'customer_receivable', 'GBP', -300),
    ('00000000-0000-7000-8000-000000000021', 1, 'provider_clearing', 'GBP', 700),
    ('00000000-0000-7000-8000-000000000021', 2, 'revenue', 'GBP', -700),
    ('00000000-0000-7000-8000-000000000022', 1, 'refunds', 'GBP', 300),
    ('00000000-0000-7000-8000-000000000022', 2, 'provider_clearing', 'GBP', -300),
    ('00000000-0000-7000-8000-000000000022', 3, 'fees', 'GBP', -5),
    ('00000000-0000-7000-8000-000000000022', 4, 'provider_clearing', 'GBP', 5),
    ('00000000-0000-7000-8000-000000000023', 1, 'refunds', 'GBP', 400),
    ('00000000-0000-7000-8000-000000000023', 2, 'provider_clearing', 'GBP', -400),
    ('00000000-0000-7000-8000-000000000035', 1, 'bank', 'GBP', 350),
    ('00000000-0000-7000-8000-000000000035', 2, 'provider_clearing', 'GBP', -350),
    ('00000000-0000-7000-8000-000000000037', 1, 'write_offs', 'GBP', 100),
    ('00000000-0000-7000-8000-000000000037', 2, 'customer_receivable', 'GBP', -100);
INSERT INTO operator_action (id, actor, verb, reason, journal_id) VALUES
    ('00000000-0000-7000-8000-000000000041', 'o', 'post a payout', 'it came', '00000000-0000-7000-8000-000000000035'),
    ('00000000-0000-7000-8000-000000000042', 'o', 'post a write_off', 'nobody pays', '00000000-0000-7000-8000-000000000037');`

// inLedger changes what grants and triggers keep from being changed.
func inLedger(change string) string {
	return `GRANT UPDATE ON posting TO CURRENT_USER; ALTER TABLE posting DISABLE TRIGGER USER; ` + change + `;
		ALTER TABLE posting ENABLE TRIGGER USER; REVOKE UPDATE ON posting FROM CURRENT_USER`
}

var paymentPlants = []plant{
	{"two journals are out of balance, and even out", inLedger(`
		UPDATE posting SET amount_minor = 499 WHERE amount_minor = 500;
		UPDATE posting SET amount_minor = 701 WHERE amount_minor = 700`), "6_journals_balance"},
	{"a cent is missing", inLedger(`UPDATE posting SET amount_minor = 499 WHERE amount_minor = 500`), "6_journals_balance 7_trial_balance"},
	{"a payment grows", `UPDATE payment SET amount_minor = 501, captured_minor = 501 WHERE state = 11`, "1_payments_are_their_operations 8_payments_are_their_postings"},
	{"a refund without an operation and a journal", `UPDATE payment SET refunded_minor = 1 WHERE state = 11`, "1_payments_are_their_operations 8_payments_are_their_postings"},
	{"a charge that the row does not know", `
		UPDATE operation SET state = 4, provider_id = 'ch_4', last_sent_at = NULL, look_at = NULL WHERE state = 3`,
		"1_payments_are_their_operations"},
	{"a second capture", `
		INSERT INTO operation (payment_id, seq, op, state, amount_minor, provider_key, provider_id)
		VALUES ('00000000-0000-7000-8000-000000000002', 5, 3, 4, 1, 'k2/more', 'cp_3')`, "1_payments_are_their_operations"},
	{"a person's refund without a reason", `UPDATE operation SET by_operator = true WHERE seq = 3`, "36_operations_of_operators"},
	{"a payout that nobody decided on", `DELETE FROM operator_action WHERE verb = 'post a payout'`, "36_journals_of_operators"},
	{"journals can be changed", `ALTER TABLE journal DISABLE TRIGGER journal_is_append_only`, "9_ledger_is_append_only"},
	{"postings can be deleted", `
		DROP TRIGGER posting_is_append_only ON posting;
		CREATE TRIGGER posting_is_append_only BEFORE UPDATE OR TRUNCATE ON posting
		FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only()`, "9_ledger_is_append_only"},
	{"postings can be added to earlier journals", `ALTER TABLE posting DISABLE TRIGGER journal_is_closed`, "9_ledger_is_append_only"},
	{"the owner may change postings", `GRANT UPDATE (amount_minor), UPDATE ON posting TO CURRENT_USER`, "9_ledger_is_append_only"},
	{"all may delete journals", `GRANT DELETE ON journal TO PUBLIC`, "9_ledger_is_append_only"},
	{"a payment is lost", `DELETE FROM payment WHERE state = 4`, "74_what_is_of_a_payment_has_one"},
	{"a journal is about nothing", `
		ALTER TABLE journal DISABLE TRIGGER journal_is_whole; ALTER TABLE posting DISABLE TRIGGER journal_is_closed;
		INSERT INTO journal (id, payment_id, kind, key)
		VALUES ('00000000-0000-7000-8000-000000000051', '00000000-0000-7000-8000-000000000009', 6, 'fee_1');
		INSERT INTO operator_action (id, actor, verb, reason, journal_id)
		VALUES ('00000000-0000-7000-8000-000000000043', 'o', 'post a fee', 'billed', '00000000-0000-7000-8000-000000000051');
		INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES
		    ('00000000-0000-7000-8000-000000000051', 1, 'fees', 'GBP', 1), ('00000000-0000-7000-8000-000000000051', 2, 'bank', 'GBP', -1);
		ALTER TABLE journal ENABLE TRIGGER journal_is_whole; ALTER TABLE posting ENABLE TRIGGER journal_is_closed`,
		"74_what_is_of_a_payment_has_one"},
	{"postings are about nothing", `
		ALTER TABLE posting DISABLE TRIGGER journal_is_closed;
		INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES
		    ('00000000-0000-7000-8000-000000000052', 1, 'fees', 'GBP', 1), ('00000000-0000-7000-8000-000000000052', 2, 'bank', 'GBP', -1);
		ALTER TABLE posting ENABLE TRIGGER journal_is_closed`, "74_what_is_of_a_payment_has_one"},
	{"more given back than taken", inLedger(`
		UPDATE posting SET amount_minor = 2 * amount_minor WHERE journal_id = '00000000-0000-7000-8000-000000000022'`),
		"10_refunds_within_captures 8_payments_are_their_postings"},
	{"a part given back is missing", `
		UPDATE payment SET state = 10, refunded_minor = 300 WHERE state = 5`, "1_payments_are_their_operations 8_payments_are_their_postings"},
	{"more charged back than taken", inLedger(`
		UPDATE posting SET amount_minor = 2 * amount_minor WHERE journal_id = '00000000-0000-7000-8000-000000000013'`),
		"10_refunds_within_captures 8_payments_are_their_postings"},
	{"more reversed than charged back", inLedger(`
		UPDATE posting SET amount_minor = 2 * amount_minor WHERE journal_id = '00000000-0000-7000-8000-000000000014'`),
		"10_refunds_within_captures 8_payments_are_their_postings"},
}

const healthyShipment = `
INSERT INTO shipment (id, state, reference, address, tracking_number, refusal_reason, carrier_key) VALUES
    (gen_random_uuid(), 2, 'ord_1', '{}', 'T1', '', 'k1'), (gen_random_uuid(), 4, 'ord_1', '{}', 'T0', '', 'k0'),
    (gen_random_uuid(), 1, 'ord_2', '{}', '', '', 'k2'), (gen_random_uuid(), 3, 'ord_3', '{}', '', 'far', 'k3');`

var shipmentPlants = []plant{
	{"an order ships twice", `
		INSERT INTO shipment (id, state, reference, address, tracking_number, refusal_reason, carrier_key)
		VALUES (gen_random_uuid(), 2, 'ord_1', '{}', 'T9', '', 'k9')`, "15_one_shipment_per_order"},
	{"an order ships twice, and one is there", `
		INSERT INTO shipment (id, state, reference, address, tracking_number, refusal_reason, carrier_key)
		VALUES (gen_random_uuid(), 7, 'ord_1', '{}', 'T9', '', 'k9')`, "15_one_shipment_per_order"},
	{"a person cancels without an audit row", `UPDATE shipment SET by_operator = true WHERE state = 4`, "36_cancellations_of_operators"},
}
