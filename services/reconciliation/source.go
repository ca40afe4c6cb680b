package reconciliation

import (
	"fmt"
	"strings"

	"github.com/tieout/tieout/services/reconciliation/match"
)

// source is which movements are matched: the inputs of a stored run, or for a simulation all that came in up to a day.
type source struct {
	run    int32         // 0 for a simulation
	lo, hi int64         // ids of movements of the deliveries that the run took are from lo on and before hi,
	whole  bool          // and no other ids are
	until  match.Day     // of a simulation
	places []partitionID // of a simulation: where it looks
}

// partitionID is a partition's, in the database.
type partitionID = int32

// inputs is the SELECT of the movements, as the table i. The statements are texts, for COPY takes no parameters; what goes
// into them is numbers and dates.
func (s source) inputs() string {
	const columns = `m.id, m.partition_id, m.key, m.ours, m.kind, m.standing, m.amount_minor, m.fee_minor, m.day,
       m.provider_id, m.parent_id, m.idem_key, m.reference, m.payout_id, m.payment_id, m.original_minor, m.original_currency`
	if s.run == 0 {
		return fmt.Sprintf(`(
SELECT %s, d.run_number IS NOT NULL AS open
  FROM movement m JOIN delivery d ON d.id = (m.id >> 32)::int
 WHERE d.state = 1 AND m.day <= '%s'%s) AS i`, columns, dayText(s.until), in(" AND m.partition_id", s.places))
	}
	taken := "movement m WHERE true"
	if !s.whole {
		taken = fmt.Sprintf("movement m JOIN delivery d ON d.id = (m.id >> 32)::int WHERE d.run_number = %d", s.run)
	}
	return fmt.Sprintf(`(
SELECT %[1]s, false AS open
  FROM %[5]s AND m.id >= %[3]d AND m.id < %[4]d
 UNION ALL
SELECT %[1]s, true
  FROM open_movement o JOIN movement m ON m.id = o.movement_id
 WHERE o.since_run < %[2]d AND (o.until_run IS NULL OR o.until_run > %[2]d OR o.until_run = %[2]d AND NOT o.by_hand)) AS i`,
		columns, s.run, s.lo, s.hi, taken)
}

// endedBy is the condition that a movement tells how another one ended, which is in doubt or refused: it is about the same
// operation. A payment is charged once, so that all that is told of its charge is about the same; what else is done to it is
// told apart by its key.
func endedBy(by, other string) string {
	return fmt.Sprintf(`%[1]s.payment_id = %[2]s.payment_id AND %[1]s.payment_id <> '' AND %[1]s.kind = %[2]s.kind AND %[1]s.ours
   AND (%[1]s.kind = %[6]d OR %[1]s.idem_key <> '' AND %[1]s.idem_key = %[2]s.idem_key)
   AND (%[2]s.standing = %[3]d AND %[1]s.standing <> %[3]d OR %[2]s.standing = %[4]d AND %[1]s.standing = %[5]d)`,
		by, other, match.InDoubt, match.Refused, match.Booked, match.KindCharge)
}

// settled is the condition that an input is in doubt or refused, and that one which is or was looked at too says how it ended.
func (s source) settled() string {
	seen := fmt.Sprintf("sd.run_number <= %d", s.run)
	if s.run == 0 {
		seen = fmt.Sprintf("sd.state = 1 AND s.day <= '%s'", dayText(s.until))
	}
	// A value and not EXISTS: that may be planned as a hash of all payments, for the few that are in doubt.
	return fmt.Sprintf(`(i.standing <> %d AND i.payment_id <> '' AND coalesce((
SELECT true FROM movement s JOIN delivery sd ON sd.id = (s.id >> 32)::int
 WHERE %s AND %s LIMIT 1), false))`, match.Booked, endedBy("s", "i"), seen)
}

// in is a condition on a number, empty for no numbers.
func in[N int32 | int64](column string, numbers []N) string {
	if numbers == nil {
		return ""
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = fmt.Sprint(n)
	}
	return fmt.Sprintf("%s = ANY ('{%s}'::bigint[])", column, strings.Join(texts, ","))
}

// counts is the statement that counts the inputs of each partition and side: partition, ours, and how many there are.
func (s source) counts() string {
	return fmt.Sprintf(`SELECT i.partition_id, i.ours, count(*) FROM %s GROUP BY i.partition_id, i.ours`, s.inputs())
}

// rows is the statement that copies the inputs of one side of some partitions out, as load reads them.
func (s source) rows(ours bool, places []partitionID) string {
	settled := "false"
	if ours {
		settled = s.settled()
	}
	return fmt.Sprintf("COPY (SELECT %s, %s FROM %s WHERE i.ours = %t%s) TO STDOUT (FORMAT binary)",
		settled, copied, s.inputs(), ours, in(" AND i.partition_id", places))
}

// copied are the columns that load reads, behind whether the row is settled.
const copied = `i.id, i.partition_id, i.open, i.key, i.ours, i.kind, i.standing, i.amount_minor, i.fee_minor, i.day,
       i.provider_id, i.parent_id, i.idem_key, i.reference, i.payout_id, i.original_minor, i.original_currency`

// rowsOf is the statement that copies those of some movements out that are of a side and a partition, as load reads them.
func rowsOf(ids []int64, ours bool, place partitionID) string {
	return fmt.Sprintf(`COPY (SELECT false, %s FROM (SELECT false AS open, m.* FROM movement m WHERE %s) i
 WHERE i.ours = %t AND i.partition_id = %d) TO STDOUT (FORMAT binary)`, copied, in("m.id", ids), ours, place)
}
