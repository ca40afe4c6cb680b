package audit

import "fmt"

// healthyRuns is a run that has finished, with a match, one that needs no counterpart, one that a person made and one that was
// undone; one that was cancelled; and one that is under way, with a match that is written.
var healthyRuns = fmt.Sprintf(`
INSERT INTO partition (stage, account, currency) VALUES (1, 'default', 'EUR');
INSERT INTO rule_set (version, document, hash, created_by) VALUES (1, '{}', sha256('x'), 'ann');
INSERT INTO rule_activation (version, activated_by, reason) VALUES (1, 'ann', 'first');
INSERT INTO run (number, id, state, as_of, rules, rows, telling, begun_by, cancelling, ended_at, digest, public_key, signature) VALUES
    (1, %[1]s, 2, '2026-11-30', 1, 9, true, 'ann', '', now(), sha256('1'), '\x01', '\x02'),
    (2, %[2]s, 3, '2026-11-30', 1, 9, false, 'ann', 'ann: why', now(), NULL, NULL, NULL),
    (3, %[3]s, 1, '2026-11-30', 1, 9, false, 'ann', '', NULL, NULL, NULL, NULL);
INSERT INTO delivery (kind, state, rows, run_number) VALUES (3, 1, 4, 1), (3, 1, 6, 1), (3, 1, 2, 3);
INSERT INTO movement (id, key, partition_id, ours, kind, standing, amount_minor, day)
SELECT (m.delivery::bigint << 32) + m.place, gen_random_uuid(), 1, m.ours, m.kind, m.standing, m.minor, '2026-11-10'
  FROM (VALUES (1, 1, true, 1, 0, 100), (1, 2, true, 1, 0, 200), (1, 3, true, 1, 0, 300), (1, 4, true, 1, 2, 999),
               (2, 1, false, 1, 0, 100), (2, 2, false, 1, 0, 201), (2, 3, false, 5, 0, -7), (2, 4, false, 1, 0, 400), (2, 5, false, 1, 0, 500),
               (2, 6, true, 1, 0, 400), (3, 1, true, 1, 0, 500), (3, 2, true, 1, 0, 600)) AS m (delivery, place, ours, kind, standing, minor);
INSERT INTO match_pair (match_id, number, ours_id, theirs_id, partition_id, pass, undone_run) VALUES
    ((1::bigint << 32) + 1, 1, (1::bigint << 32) + 1, (2::bigint << 32) + 1, 1, 1, 0),
    ((1::bigint << 32) + 2, 1, NULL, (2::bigint << 32) + 3, 1, 7, 0),
    ((1::bigint << 32) + 3, 1, (2::bigint << 32) + 6, (2::bigint << 32) + 4, 1, 2, 2),
    (-1, 1, (1::bigint << 32) + 2, NULL, 1, 0, 0), (-1, 2, NULL, (2::bigint << 32) + 2, 1, 0, 0),
    ((3::bigint << 32) + 1, 1, (3::bigint << 32) + 1, (2::bigint << 32) + 5, 1, 1, 0);
INSERT INTO open_movement (movement_id, since_run, partition_id, until_run, by_hand) VALUES
    ((1::bigint << 32) + 2, 1, 1, 2, true), ((1::bigint << 32) + 3, 1, 1, NULL, false), ((2::bigint << 32) + 2, 1, 1, 2, true),
    ((2::bigint << 32) + 4, 1, 1, NULL, false), ((2::bigint << 32) + 5, 1, 1, 3, false), ((2::bigint << 32) + 6, 1, 1, NULL, false);
INSERT INTO run_partition (run_number, partition_id, first_place, matches, by_pass, ours, theirs, ours_matched, theirs_matched, settled, breaks, digest, told)
VALUES (1, 1, 1, 3, '{1}', 4, 6, 2, 3, 0, '{}', sha256('1'), true);
INSERT INTO run_day (run_number, partition_id, ours, kind, day, movements, amount_minor, fee_minor) VALUES
    (1, 1, true, 1, '2026-11-10', 4, 1000, 0), (1, 1, true, 5, '2026-11-10', 1, -7, 0), (1, 1, false, 1, '2026-11-10', 4, 1201, 0),
    (1, 1, false, 5, '2026-11-10', 1, -7, 0);
INSERT INTO run_finding (run_number, partition_id, place, code, matched, ours, theirs, amount_minor, drift_minor, day)
VALUES (1, 1, 0, 'TIMING_OPEN', false, ARRAY[(1::bigint << 32) + 3], '{}', -300, 0, '2026-11-10');`, uuid(1), uuid(2), uuid(3))

var runPlants = []plant{
	{"rules can be changed", `ALTER TABLE rule_set DISABLE TRIGGER rule_set_is_append_only`, "9_rules_are_append_only"},
	{"activations can be removed", `DROP TRIGGER rule_activation_is_append_only ON rule_activation`, "9_rules_are_append_only"},
	{"a match loses its legs", `DELETE FROM match_pair WHERE match_id = -1 AND number = 1`, "61_matches_have_their_legs 62_nothing_is_lost"},
	{"a match is told twice", `UPDATE match_pair SET number = 1 WHERE match_id = -1`, "61_matches_have_their_legs"},
	{"a match is lost", `DELETE FROM match_pair WHERE match_id = -1`, "62_nothing_is_lost"},
	{"a match of a run is lost", `DELETE FROM match_pair WHERE match_id = (1::bigint << 32) + 1`, "62_nothing_is_lost 63_runs_are_their_partitions"},
	{"half a match is undone", `UPDATE match_pair SET undone_run = 2 WHERE match_id = -1 AND number = 1`,
		"61_matches_have_their_legs 62_nothing_is_lost"},
	{"a movement is on the wrong side", `UPDATE match_pair SET ours_id = theirs_id, theirs_id = NULL WHERE match_id = -1 AND number = 2`,
		"61_matches_have_their_legs"},
	{"a match is across partitions", `UPDATE movement SET partition_id = 2 WHERE amount_minor = 100 AND ours`,
		"61_matches_have_their_legs 64_days_are_movements"},
	{"what is open is forgotten", `DELETE FROM open_movement WHERE until_run IS NULL AND movement_id >> 32 = 1`, "62_nothing_is_lost"},
	{"what is matched is still open", `UPDATE open_movement SET until_run = NULL, by_hand = false WHERE by_hand AND movement_id >> 32 = 1`,
		"39_what_is_open_is_explained 62_nothing_is_lost"},
	{"of what is open nothing is said", `DELETE FROM run_finding`, "39_what_is_open_is_explained"},
	{"what is due has no break", `UPDATE run_finding SET code = 'MISSING_AT_PROVIDER'`, "39_what_is_open_is_explained"},
	{"what was found is not told", `UPDATE run_partition SET told = false`, "63_runs_are_their_partitions"},
	{"a cancelled run has left something", `
		INSERT INTO match_pair (match_id, ours_id, partition_id, pass) VALUES ((2::bigint << 32) + 1, (3::bigint << 32) + 2, 1, 1)`, "63_runs_are_their_partitions"},
	{"an amount is changed", `UPDATE movement SET amount_minor = 301 WHERE amount_minor = 300`, "64_days_are_movements"},
	{"a day is counted twice", `UPDATE run_day SET amount_minor = 2402 WHERE amount_minor = 1201`, "64_days_are_movements"},
	{"what needs no counterpart does not count", `DELETE FROM run_day WHERE ours AND kind = 5`, "64_days_are_movements"},
	{"a run does not end", `UPDATE run SET started_at = now() - interval '7 hours' WHERE state = 1`, "65_runs_end"},
}
