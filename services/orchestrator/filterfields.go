package orchestrator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// filterField is a field that sagas can be filtered by.
type filterField struct {
	operators []string
	// write writes the comparison; an error says what is wrong with the value.
	write func(t *translation, operator string, v filterValue) error
}

var (
	sameOrNot      = []string{"=", "!="}
	lessOrMore     = []string{"<", "<=", ">", ">="}
	sameLessOrMore = slices.Concat(sameOrNot, lessOrMore)
)

// filterFields are all fields there are. What they are in SQL is constant, and so are the values that partial indexes
// name: the live sagas and the parked ones are found by index.
var filterFields = map[string]filterField{
	"phase":       {sameOrNot, writePhase},
	"parked":      truth("s.phase = 5"),
	"paused":      truth("s.paused"),
	"at_risk":     truth("s.at_risk"),
	"definition":  text("s.definition"),
	"version":     valued("s.version", "bigint", sameLessOrMore, wholeNumber),
	"step":        text("s.step"),
	"cause":       text("s.cause"),
	"customer_id": ofSubject("customer_id", "text", textValue, text("o.customer_id")),
	"order_id":    ofSubject("id", "uuid", orderIDValue, filterField{operators: sameOrNot}),
	"reference":   ofSubject("reference", "text", textValue, text("o.reference")),
	"amount":      valued("o.total_minor", "bigint", sameLessOrMore, wholeNumber),
	"currency":    valued("o.currency", "text", sameOrNot, currencyValue),
	"blocked_on":  {sameOrNot, writeBlockedOn},
	"create_time": valued("s.created_at", "timestamptz", sameLessOrMore, timeValue),
	"update_time": valued("s.updated_at", "timestamptz", sameLessOrMore, timeValue),
	"age":         valued("now() - s.created_at", "interval", lessOrMore, durationValue),
}

// valued is a field that is compared with what a value is read as.
func valued[T any](column, sqlType string, operators []string, read func(filterValue) (T, error)) filterField {
	return filterField{operators, func(t *translation, operator string, v filterValue) error {
		value, err := read(v)
		if err != nil {
			return err
		}
		t.sql.WriteString(column + " " + operator + " " + t.arg(value, sqlType))
		return nil
	}}
}

// text is a field of text. It has (:) a text that is part of it in upper or lower case; * stands for any text at all.
func text(column string) filterField {
	same := valued(column, "text", sameOrNot, textValue)
	return filterField{slices.Concat(sameOrNot, []string{":"}), func(t *translation, operator string, v filterValue) error {
		if operator != ":" {
			return same.write(t, operator, v)
		}
		part, err := textValue(v)
		if err != nil {
			return err
		}
		if part == "*" {
			t.sql.WriteString(column + " <> ''")
			return nil
		}
		t.sql.WriteString("strpos(lower(" + column + "), lower(" + t.arg(part, "text") + ")) > 0")
		return nil
	}}
}

// ofSubject is a column that orders and recurring payments have an index of: what equals something is found by that. Other operators are the
// other field's.
func ofSubject[T any](column, sqlType string, read func(filterValue) (T, error), other filterField) filterField {
	return filterField{other.operators, func(t *translation, operator string, v filterValue) error {
		if !slices.Contains(sameOrNot, operator) {
			return other.write(t, operator, v)
		}
		value, err := read(v)
		if err != nil {
			return err
		}
		if operator == "!=" {
			t.sql.WriteString("NOT ")
		}
		t.sql.WriteString("(s.id IN (SELECT saga_id FROM saga_subject WHERE " + column + " = " + t.arg(value, sqlType) + "))")
		return nil
	}}
}

// truth is a field that is true or false.
func truth(condition string) filterField {
	return filterField{sameOrNot, func(t *translation, operator string, v filterValue) error {
		if v.text != "true" && v.text != "false" {
			return errors.New("is true or false")
		}
		if (v.text == "true") != (operator == "=") {
			t.sql.WriteString("NOT ")
		}
		t.sql.WriteString("(" + condition + ")")
		return nil
	}}
}

// writePhase takes a phase as people say it, or as the contract has it.
func writePhase(t *translation, operator string, v filterValue) error {
	name := strings.ToLower(strings.TrimPrefix(strings.ToUpper(v.text), "SAGA_PHASE_"))
	var names []string
	for phase := saga.Running; phase <= saga.Parked; phase++ {
		if name == phase.String() {
			t.sql.WriteString("s.phase " + operator + " " + strconv.Itoa(int(phase)))
			return nil
		}
		names = append(names, phase.String())
	}
	return fmt.Errorf("is one of %s", strings.Join(names, ", "))
}

// writeBlockedOn finds the sagas that go on by themselves and are at a step of which a service has to answer.
func writeBlockedOn(t *translation, operator string, v filterValue) error {
	at := map[string]*callers{}
	for key, def := range t.definitions {
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
	c := at[v.text]
	if c == nil {
		return fmt.Errorf("is one of %s", strings.Join(slices.Sorted(maps.Keys(at)), ", "))
	}
	if operator == "!=" {
		t.sql.WriteString("NOT ")
	}
	fmt.Fprintf(&t.sql, `(s.phase IN (1, 2) AND NOT s.paused AND (s.definition, s.version, s.step, s.phase) IN (
    SELECT unnest(%s), unnest(%s), unnest(%s), unnest(%s)))`,
		t.arg(c.definitions, "text[]"), t.arg(c.versions, "int[]"), t.arg(c.steps, "text[]"), t.arg(c.phases, "smallint[]"))
	return nil
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

func textValue(v filterValue) (string, error) {
	if !v.isText {
		return "", errors.New("is a text: put the number in quotes")
	}
	return v.text, nil
}

func wholeNumber(v filterValue) (int64, error) {
	if v.isText {
		return 0, errors.New("is a whole number")
	}
	return v.number, nil
}

func orderIDValue(v filterValue) (OrderID, error) {
	orderID, err := id.Parse[orderKind](v.text)
	if err != nil {
		return orderID, errors.New(`is the id of an order in quotes: "ord_…"`)
	}
	return orderID, nil
}

func currencyValue(v filterValue) (string, error) {
	currency, err := money.ParseCurrency(strings.ToUpper(v.text))
	if err != nil {
		return "", errors.New("is a code of ISO 4217")
	}
	return string(currency), nil
}

func timeValue(v filterValue) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, v.text)
	if err != nil {
		return at, errors.New(`is a time of RFC 3339 in quotes: "2026-01-31T23:59:00Z"`)
	}
	return at, nil
}

func durationValue(v filterValue) (time.Duration, error) {
	d, err := time.ParseDuration(v.text)
	if err != nil || d < 0 {
		return 0, errors.New(`is a duration in quotes: "90s", "15m", "1h30m"`)
	}
	return d, nil
}
