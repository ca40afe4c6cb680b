package reconciliation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/services/reconciliation/breaks"
)

// maxAgeDays is how old a filter may ask for, in business days.
const maxAgeDays = 10_000

// breakFilter reads a filter on breaks (b). It leaves out what is resolved unless it compares state or resolution: the queue is what
// people mean. What is wrong is FILTER_INVALID.
func (r *reconciliation) breakFilter(text string) (filter.Filter, error) {
	fields, ended := breakFields(r.policy(), today()), false
	for _, name := range []string{"state", "resolution"} {
		field := fields[name]
		fields[name] = filter.Field{Operators: field.Operators, Write: func(sql *filter.SQL, operator string, v filter.Value) error {
			ended = true
			return field.Write(sql, operator, v)
		}}
	}
	f, err := filter.Parse(text, fields)
	if err != nil {
		return f, err
	}
	if f.Where = "(" + f.Where + ")"; !ended {
		f.Where += " AND b.state <> 5"
	}
	return f, nil
}

// breakFields are the fields that breaks can be filtered by, as they are today.
func breakFields(policy breaks.Policy, today breaks.Day) filter.Fields {
	return filter.Fields{
		"code":  filter.Valued("b.code", "text", filter.SameOrNot, codeValue),
		"state": filter.Named("b.state", "BREAK_STATE_", filter.SameOrNot, breaks.States()...),
		"resolution": filter.Named("b.resolution", "BREAK_RESOLUTION_", filter.SameOrNot,
			breaks.Matched, breaks.Vanished, breaks.Accepted, breaks.WrittenOff, breaks.Reposted, breaks.Repaired),
		"severity": stepped(severityValue, func(sql *filter.SQL, n int) { severeSince(sql, policy, today, n) }),
		"age_days": stepped(ageValue, func(sql *filter.SQL, n int) {
			sql.Write("b.opened_on <= " + sql.Arg(breakDate(policy.OpenedBy(today, n)), "date"))
		}),
		"account":     filter.Text("b.account"),
		"amount":      filter.Valued("b.amount_minor", "bigint", filter.SameLessOrMore, filter.WholeNumber),
		"currency":    filter.Valued("b.currency", "text", filter.SameOrNot, filter.CurrencyValue),
		"assignee":    filter.Text("b.assignee"),
		"snoozed":     filter.Truth("coalesce(b.snoozed_until > now(), false)"),
		"matched":     filter.Truth("b.matched"),
		"order_id":    filter.Text("b.order_id"),
		"payment_id":  filter.Text("b.payment_id"),
		"subject":     filter.Text("b.subject"),
		"note":        filter.Text("b.note"),
		"watcher":     filter.Text("b.watcher"),
		"run_number":  filter.Valued("b.run_number", "bigint", filter.SameLessOrMore, filter.WholeNumber),
		"create_time": filter.Valued("b.opened_at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
		"update_time": filter.Valued("b.changed_at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
	}
}

// stepped is a field of which SQL can only say that it is at least a number; all comparisons are made of that.
func stepped(read func(filter.Value) (int, error), atLeast func(sql *filter.SQL, n int)) filter.Field {
	return filter.Field{Operators: filter.SameLessOrMore, Write: func(sql *filter.SQL, operator string, v filter.Value) error {
		n, err := read(v)
		if err != nil {
			return err
		}
		switch operator {
		case "!=", "<", "<=":
			sql.Write("NOT ")
		}
		sql.Write("(")
		switch operator {
		case ">=", "<":
			atLeast(sql, n)
		case ">", "<=":
			atLeast(sql, n+1)
		default:
			atLeast(sql, n)
			sql.Write(" AND NOT (")
			atLeast(sql, n+1)
			sql.Write(")")
		}
		sql.Write(")")
		return nil
	}}
}

// severeSince writes that a break is at least of a severity today. It depends on the age while a break is open, and so on the day on
// which it opened.
func severeSince(sql *filter.SQL, policy breaks.Policy, today breaks.Day, n int) {
	switch s := breaks.Severity(n); {
	case s <= breaks.Low:
		sql.Write("true")
	case s > breaks.Critical:
		sql.Write("false")
	default:
		since := sql.Arg(breakDate(policy.SevereSince(today, s)), "date")
		sql.Write("(b.base_severity >= " + strconv.Itoa(n) + " OR b.state <> 5 AND b.opened_on <= " + since + ")")
	}
}

// severityValue reads a severity's name, also as the contract has it.
func severityValue(v filter.Value) (int, error) {
	name := strings.ToLower(strings.TrimPrefix(strings.ToUpper(v.Text), "BREAK_SEVERITY_"))
	for s := breaks.Low; s <= breaks.Critical; s++ {
		if s.String() == name {
			return int(s), nil
		}
	}
	return 0, errors.New("is one of low, medium, high, critical")
}

func ageValue(v filter.Value) (int, error) {
	n, err := filter.WholeNumber(v)
	if err != nil || n < 0 || n > maxAgeDays {
		return 0, fmt.Errorf("is a number of business days, up to %d", maxAgeDays)
	}
	return int(n), nil
}

func codeValue(v filter.Value) (string, error) {
	code := strings.ToUpper(v.Text)
	if _, ok := breaks.Describe(breaks.Code(code)); !ok {
		return "", errors.New("is a code of breaks, as in MISSING_AT_BANK")
	}
	return code, nil
}
