package saga

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// MarshalText gives the name of the kind.
func (k Kind) MarshalText() ([]byte, error) {
	if k < Compensatable || k > Retriable {
		return nil, fmt.Errorf("there is no kind %d of steps", k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads the name of a kind.
func (k *Kind) UnmarshalText(name []byte) error {
	i := slices.Index(kindNames[:], string(name))
	if i < int(Compensatable) {
		return fmt.Errorf("there is no kind %q of steps", name)
	}
	*k = Kind(i)
	return nil
}

// duration is a time.Duration that is written as people write it: "10s".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// The encoded forms: fields of an embedded type give way to those of the same name beside it.
type (
	plainDefinition   Definition
	encodedDefinition struct {
		plainDefinition
		Deadline duration `json:"deadline"`
	}
	plainRetry   Retry
	encodedRetry struct {
		plainRetry
		Timeout duration `json:"timeout"`
		Initial duration `json:"initial"`
		Max     duration `json:"max"`
	}
)

// MarshalJSON writes durations as text.
func (d Definition) MarshalJSON() ([]byte, error) {
	return json.Marshal(encodedDefinition{plainDefinition: plainDefinition(d), Deadline: duration(d.Deadline)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Definition) UnmarshalJSON(text []byte) error {
	var e encodedDefinition
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	*d = Definition(e.plainDefinition)
	d.Deadline = time.Duration(e.Deadline)
	return nil
}

// MarshalJSON writes durations as text.
func (r Retry) MarshalJSON() ([]byte, error) {
	return json.Marshal(encodedRetry{
		plainRetry: plainRetry(r), Timeout: duration(r.Timeout), Initial: duration(r.Initial), Max: duration(r.Max),
	})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Retry) UnmarshalJSON(text []byte) error {
	var e encodedRetry
	if err := json.Unmarshal(text, &e); err != nil {
		return err
	}
	*r = Retry(e.plainRetry)
	r.Timeout, r.Initial, r.Max = time.Duration(e.Timeout), time.Duration(e.Initial), time.Duration(e.Max)
	return nil
}
