package orchestrator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tieout/tieout/pkg/filter"
	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// parseFilter reads a filter on sagas (s) and what they are for (o). The definitions say who is called at which step. What
// is wrong is FILTER_INVALID.
func parseFilter(text string, definitions map[definitionKey]saga.Definition) (filter.Filter, error) {
	fields := maps.Clone(sagaFields)
	fields["blocked_on"] = blockedOn(definitions)
	return filter.Parse(text, fields)
}

// sagaFields are the fields that sagas can be filtered by, besides blocked_on: the live sagas and the parked ones are found by
// index.
var sagaFields = filter.Fields{
	"phase": filter.Named("s.phase", "SAGA_PHASE_", filter.SameOrNot,
		saga.Running, saga.Compensating, saga.Completed, saga.Compensated, saga.Parked),
	"parked":      filter.Truth("s.phase = 5"),
	"paused":      filter.Truth("s.paused"),
	"at_risk":     filter.Truth("s.at_risk"),
	"definition":  filter.Text("s.definition"),
	"version":     filter.Valued("s.version", "bigint", filter.SameLessOrMore, filter.WholeNumber),
	"step":        filter.Text("s.step"),
	"cause":       filter.Text("s.cause"),
	"customer_id": ofSubject("customer_id", "text", filter.TextValue, filter.Text("o.customer_id")),
	"order_id":    ofSubject("id", "uuid", orderIDValue, filter.Field{Operators: filter.SameOrNot}),
	"reference":   ofSubject("reference", "text", filter.TextValue, filter.Text("o.reference")),
	"amount":      filter.Valued("o.total_minor", "bigint", filter.SameLessOrMore, filter.WholeNumber),
	"currency":    filter.Valued("o.currency", "text", filter.SameOrNot, filter.CurrencyValue),
	"create_time": filter.Valued("s.created_at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
	"update_time": filter.Valued("s.updated_at", "timestamptz", filter.SameLessOrMore, filter.TimeValue),
	"age":         filter.Valued("now() - s.created_at", "interval", filter.LessOrMore, filter.DurationValue),
}

// ofSubject is a column that orders and recurring payments have an index of: what equals something is found by that. Other operators are the
// other field's.
func ofSubject[T any](column, sqlType string, read func(filter.Value) (T, error), other filter.Field) filter.Field {
	return filter.Field{Operators: other.Operators, Write: func(sql *filter.SQL, operator string, v filter.Value) error {
		if !slices.Contains(filter.SameOrNot, operator) {
			return other.Write(sql, operator, v)
		}
		value, err := read(v)
		if err != nil {
			return err
		}
		if operator == "!=" {
			sql.Write("NOT ")
		}
		sql.Write("(s.id IN (SELECT saga_id FROM saga_subject WHERE " + column + " = " + sql.Arg(value, sqlType) + "))")
		return nil
	}}
}

// blockedOn finds the sagas that go on by themselves and are at a step of which a service has to answer.
func blockedOn(definitions map[definitionKey]saga.Definition) filter.Field {
	return filter.Field{Operators: filter.SameOrNot, Write: func(sql *filter.SQL, operator string, v filter.Value) error {
		at := calledAt(definitions)
		c := at[v.Text]
		if c == nil {
			return fmt.Errorf("is one of %s", strings.Join(slices.Sorted(maps.Keys(at)), ", "))
		}
		if operator == "!=" {
			sql.Write("NOT ")
		}
		sql.Write(fmt.Sprintf(`(s.phase IN (1, 2) AND NOT s.paused AND (s.definition, s.version, s.step, s.phase) IN (
    SELECT unnest(%s), unnest(%s), unnest(%s), unnest(%s)))`,
			sql.Arg(c.definitions, "text[]"), sql.Arg(c.versions, "int[]"), sql.Arg(c.steps, "text[]"), sql.Arg(c.phases, "smallint[]")))
		return nil
	}}
}

// calledAt gives the places in sagas at which each service is called.
func calledAt(definitions map[definitionKey]saga.Definition) map[string]*callers {
	at := map[string]*callers{}
	for key, def := range definitions {
		for _, step := range def.Steps {
			for phase, call := range map[saga.Phase]string{saga.Running: step.Execute, saga.Compensating: step.Compensate} {
				service, _, _ := strings.Cut(call, ".")
				if call == "" {
					continue
				}
				if at[service] == nil {
					at[service] = &callers{}
				}
				at[service].add(key, step.Name, phase)
			}
		}
	}
	return at
}

// callers are the places in sagas at which a service is called.
type callers struct {
	definitions []string
	versions    []int32
	steps       []string
	phases      []int16
}

func (c *callers) add(key definitionKey, step string, phase saga.Phase) {
	c.definitions, c.versions = append(c.definitions, key.name), append(c.versions, int32(key.version))
	c.steps, c.phases = append(c.steps, step), append(c.phases, int16(phase))
}

func orderIDValue(v filter.Value) (OrderID, error) {
	orderID, err := id.Parse[orderKind](v.Text)
	if err != nil {
		return orderID, errors.New(`is the id of an order in quotes: "ord_…"`)
	}
	return orderID, nil
}
