-- +goose Up
-- Which journal a person, or a service that decides, has posted.
ALTER TABLE operator_action ADD COLUMN journal_id uuid REFERENCES journal;
CREATE INDEX operator_action_of_journal ON operator_action (journal_id) WHERE journal_id IS NOT NULL;

CREATE VIEW inv_36_journals_of_operators AS
SELECT 'jrn_' || j.id AS id, 'was decided on, and no audit row says by whom and why' AS detail
  FROM journal j
 WHERE j.kind > 4 AND NOT EXISTS (SELECT FROM operator_action a WHERE a.journal_id = j.id);
COMMENT ON VIEW inv_36_journals_of_operators IS 'A: Every payout, fee, write-off and correction in the ledger has its audit row.';
