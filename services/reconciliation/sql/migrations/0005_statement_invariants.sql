-- +goose Up
-- What must hold of what was taken in; see the orchestrator's.

CREATE VIEW inv_51_deliveries_have_their_movements AS
SELECT 'delivery ' || d.id AS id, format('says that it has %s movements, and has %s', d.rows, coalesce(m.n, 0)) AS detail
  FROM delivery d LEFT JOIN (SELECT id >> 32 AS delivery_id, count(*) AS n FROM movement GROUP BY id >> 32) m ON m.delivery_id = d.id
 WHERE d.state = 1 AND d.rows <> coalesce(m.n, 0);
COMMENT ON VIEW inv_51_deliveries_have_their_movements IS 'A: What was delivered and accepted is as many movements as it says.';

CREATE VIEW inv_52_what_does_not_count_is_not_there AS
SELECT 'delivery ' || m.delivery_id AS id,
       format('has %s movements, and %s', m.n, CASE d.state WHEN 3 THEN 'is quarantined' WHEN 4 THEN 'was dropped' ELSE 'is not there' END) AS detail
  FROM (SELECT id >> 32 AS delivery_id, count(*) AS n FROM movement GROUP BY id >> 32) m
  LEFT JOIN delivery d ON d.id = m.delivery_id
  LEFT JOIN statement_file f ON f.delivery_id = d.id OR f.payouts_id = d.id
 WHERE d.id IS NULL OR d.state IN (3, 4) AND NOT coalesce(f.clearing, false);
COMMENT ON VIEW inv_52_what_does_not_count_is_not_there IS 'A: Nothing is left of a file that was quarantined or dropped, and no movement is without its delivery.';

CREATE VIEW inv_53_statements_tie_out AS
SELECT 'stm_' || s.id AS id,
       format('opens with %s, moves %s, of which %s is in other files, and closes with %s', s.opening_minor, m.minor + s.overlap_minor, s.overlap_minor, s.closing_minor) AS detail
  FROM statement s JOIN statement_file f ON f.id = s.file_id AND f.state = 1 CROSS JOIN LATERAL (
       SELECT coalesce(sum(v.amount_minor - v.fee_minor), 0) AS minor FROM movement v
        WHERE v.id BETWEEN (f.delivery_id::bigint << 32) + s.first_place AND (f.delivery_id::bigint << 32) + s.last_place) m
 WHERE s.standing IN (1, 4, 6) AND (s.sums = '[]' OR jsonb_array_length(s.sums) = 1 AND s.sums -> 0 ->> 'currency' = s.currency)
   AND s.opening_minor + m.minor + s.overlap_minor <> s.closing_minor;
COMMENT ON VIEW inv_53_statements_tie_out IS 'A: The opening balance of an accepted statement and its movements come to its closing balance.';

CREATE VIEW inv_54_payouts_are_their_lines AS
SELECT 'stf_' || f.id || ' ' || t.currency AS id, format('pays out %s, and its lines come to %s', t.paid, t.made) AS detail
  FROM statement_file f CROSS JOIN LATERAL (
       SELECT p.currency, coalesce(sum(v.amount_minor) FILTER (WHERE v.id >> 32 = f.payouts_id), 0) AS paid,
              coalesce(sum(v.amount_minor - v.fee_minor) FILTER (WHERE v.id >> 32 = f.delivery_id), 0) AS made
         FROM movement v JOIN partition p ON p.id = v.partition_id
        WHERE (v.id BETWEEN (f.delivery_id::bigint << 32) AND (f.delivery_id::bigint << 32) + 4294967295
               OR v.id BETWEEN (f.payouts_id::bigint << 32) AND (f.payouts_id::bigint << 32) + 4294967295) AND v.payout_id <> ''
        GROUP BY p.currency) t
 WHERE f.state = 1 AND f.payouts_id IS NOT NULL AND t.paid <> t.made;
COMMENT ON VIEW inv_54_payouts_are_their_lines IS 'A: What an accepted report pays out is, in each currency, the net of its lines that are paid out.';

CREATE VIEW inv_55_nothing_held_counts AS
SELECT 'stm_' || s.id AS id, 'is held, and its file is accepted' AS detail
  FROM statement s JOIN statement_file f ON f.id = s.file_id WHERE f.state = 1 AND s.standing IN (2, 3, 7);
COMMENT ON VIEW inv_55_nothing_held_counts IS 'A: No statement of an accepted file is held.';

CREATE VIEW inv_36_people_at_statements_leave_a_record AS
SELECT 'stm_' || s.id AS id, 'was ' || CASE s.standing WHEN 5 THEN 'dropped' ELSE 'released' END || ', and there is no record of who did it' AS detail
  FROM statement s
 WHERE s.standing IN (5, 6) AND NOT EXISTS (
       SELECT FROM operator_action a
        WHERE a.target IN ('stm_' || s.id, 'stf_' || s.file_id) AND a.verb = CASE s.standing WHEN 5 THEN 'drop' ELSE 'release' END);
COMMENT ON VIEW inv_36_people_at_statements_leave_a_record IS 'A: Whoever released or dropped a statement is on record, with why.';
