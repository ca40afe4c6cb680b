package audit

import "fmt"

// healthySchedules are a schedule whose first occurrence is charged, whose second waits and whose third was missed, and
// one that is paused.
var healthySchedules = fmt.Sprintf(`
INSERT INTO batch (id, state, name, series, header, provider_account, plan_hash, items, running, created_by, started_by, started_at, origin)
VALUES (%[3]s, 2, 'schedules', '', '{}', 'default', '\x01', 1, 1, 'schedules', 'schedules', now(), 2);
INSERT INTO batch_item (batch_id, line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme, state, attempt, attempted_at)
VALUES (%[3]s, 1, 'sch_' || %[1]s || '/2026-11-01', 'c', 'pm', 'EUR', 100, '', '', 2, 1, now());
INSERT INTO batch_sum (batch_id, currency, items, sum_minor) VALUES (%[3]s, 'EUR', 1, 100);
INSERT INTO schedule (id, state, customer_id, payment_method, currency, amount_minor, description, card_scheme, provider_account, rule, missed, grace_seconds,
                      overlap, decided_through, next_date, next_due_at, note, created_by, created_at, updated_at, paused_at)
SELECT s.id, s.state, 'c', 'pm', 'EUR', 100, '', '', 'default', '{}', 'run_all', 60, 'queue', '2026-11-03', '9999-01-01', now() + interval '1 day',
       s.note, 'p', now(), now(), s.paused_at
  FROM (VALUES (%[1]s, 1, '', NULL), (%[2]s, 2, 'p: on holiday', now())) s(id, state, note, paused_at);
INSERT INTO occurrence (schedule_id, civil_date, state, why, due_at, decided_at, triggered_by, batch_id, line) VALUES
    (%[1]s, '2026-11-01', 1, '', now(), now(), 'p', %[3]s, 1),
    (%[1]s, '2026-11-02', 4, '', now(), now(), '', NULL, NULL),
    (%[1]s, '2026-11-03', 3, 'missed', now(), now(), '', NULL, NULL);
INSERT INTO operator_action (id, actor, verb, target, reason) VALUES
    (gen_random_uuid(), 'schedules', 'start', 'bat_' || %[3]s, ''), (gen_random_uuid(), 'p', 'pause', 'sch_' || %[2]s, 'on holiday'),
    (gen_random_uuid(), 'p', 'trigger', 'sch_' || %[1]s, '2026-11-01: asked for it');`, uuid(1), uuid(2), uuid(3))

var schedulePlants = []plant{
	{"an occurrence loses its item", `UPDATE batch_item SET reference = 'x'`, "48_runs_have_their_item"},
	{"an item has no occurrence", `
		DELETE FROM operator_action WHERE verb = 'trigger';
		UPDATE occurrence SET state = 4, batch_id = NULL, line = NULL, triggered_by = '' WHERE state = 1`, "49_no_occurrence_is_charged_twice"},
	{"an occurrence is charged twice", fmt.Sprintf(`
		INSERT INTO batch (id, state, name, series, header, provider_account, plan_hash, items, running, created_by, started_by, started_at, origin)
		SELECT %[2]s, b.state, b.name, b.series, b.header, b.provider_account, '\x02', 1, 1, 'schedules', 'schedules', now(), 2 FROM batch b;
		INSERT INTO batch_item (batch_id, line, reference, customer_id, payment_method, currency, amount_minor, description, card_scheme, state, attempt, attempted_at)
		SELECT %[2]s, 1, i.reference, 'c', 'pm', 'EUR', 100, '', '', 2, 1, now() FROM batch_item i;
		INSERT INTO batch_sum (batch_id, currency, items, sum_minor) VALUES (%[2]s, 'EUR', 1, 100);
		INSERT INTO operator_action (id, actor, verb, target, reason) VALUES (%[1]s, 'schedules', 'start', 'bat_' || %[2]s, '')`, uuid(8), uuid(9)),
		"49_no_occurrence_is_charged_twice"},
	{"what is due is left", `UPDATE schedule SET next_due_at = now() - interval '16 minutes' WHERE state = 1`, "50_due_schedules_are_looked_at"},
	{"what is due is late", `UPDATE schedule SET next_due_at = now() - interval '14 minutes' WHERE state = 1`, ""},
	{"nobody paused", `DELETE FROM operator_action WHERE verb = 'pause'`, "36_people_at_schedules_leave_a_record"},
	{"somebody else triggered", `UPDATE operator_action SET actor = 'q' WHERE verb = 'trigger'`, "36_people_at_schedules_leave_a_record"},
}
