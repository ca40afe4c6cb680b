package objective

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// ErrNotRecorded says that there is no objective that Prometheus has recorded.
var ErrNotRecorded = errors.New("it has recorded no objective: does it load deploy/observability/slo-rules.yaml?")

// Whole is the month of an attainment over all the time that was asked for.
const Whole = "all"

// Attainment is how well an objective was attained in a month, or in all of the time.
type Attainment struct {
	Name string `json:"objective"`
	// Month is "2026-11" (UTC), or [Whole].
	Month string `json:"month"`
	// From and To are the part of the month that was asked for.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Goal is how much had to go well, as it was last recorded then, and Attained how much did, 0 to 1.
	Goal     float64 `json:"goal"`
	Attained float64 `json:"attained"`
	// Of says what is counted: events, or seconds of time. Total and Bad are how much there was of it.
	Of    Kind    `json:"of"`
	Total float64 `json:"total"`
	Bad   float64 `json:"bad"`
	// BudgetLeft is how much is left of what may go badly, 1 to 0, and below 0 what was used beyond it.
	BudgetLeft float64 `json:"budget_left"`
	// Measured is for how much of the time there is anything recorded, 0 to 1. While a system is down, or its Prometheus is,
	// nothing is, and nobody knows.
	Measured float64 `json:"measured"`
	// Result is what came of it.
	Result Result `json:"result"`
}

// Result is what came of an objective.
type Result string

// The results.
const (
	Met    Result = "met"
	Missed Result = "missed"
	NoData Result = "no data"
)

// Report asks Prometheus how well each objective was attained from one instant to another: by month, then over all of it. It knows the
// objectives from what the rules have recorded.
func Report(ctx context.Context, p Prometheus, from, to time.Time) ([]Attainment, error) {
	byName := map[string][]Attainment{}
	for begin := from.UTC(); begin.Before(to); {
		end := time.Date(begin.Year(), begin.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		if end.After(to) {
			end = to.UTC()
		}
		month, err := recorded(ctx, p, begin, end)
		if err != nil {
			return nil, fmt.Errorf("asking Prometheus at %s: %w", p.URL, err)
		}
		for name, a := range month {
			byName[name] = append(byName[name], a)
		}
		begin = end
	}
	if len(byName) == 0 {
		return nil, fmt.Errorf("asking Prometheus at %s: %w", p.URL, ErrNotRecorded)
	}
	var all []Attainment
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		months := byName[name]
		for _, a := range months {
			all = append(all, a.judged())
		}
		all = append(all, sum(months, from, to).judged())
	}
	return all, nil
}

// recorded is what there is of each objective in one month.
func recorded(ctx context.Context, p Prometheus, from, to time.Time) (map[string]Attainment, error) {
	// A range holds both of its ends: what stands at the first belongs to the month before.
	window := strconv.FormatInt(to.Sub(from).Milliseconds()-1, 10) + "ms"
	goals, err := p.query(ctx, "max by (slo, of, interval) (last_over_time(slo:objective:ratio["+window+"]))", to)
	if err != nil {
		return nil, err
	}
	of := map[string]Attainment{}
	every := map[string]float64{}
	for _, g := range goals {
		name := g.labels["slo"]
		if every[name], err = strconv.ParseFloat(g.labels["interval"], 64); err != nil {
			return nil, fmt.Errorf("interval of the objective %s: %w", name, err)
		}
		of[name] = Attainment{Name: name, Month: from.Format("2006-01"), From: from, To: to, Goal: g.value, Of: Kind(g.labels["of"])}
	}
	for _, part := range []struct {
		expr string
		set  func(a *Attainment, v float64)
	}{
		{"sum_over_time(slo:total:rate5m[" + window + "])", func(a *Attainment, v float64) { a.Total = v }},
		{"sum_over_time(slo:bad:rate5m[" + window + "])", func(a *Attainment, v float64) { a.Bad = v }},
		{"count_over_time(slo:total:rate5m[" + window + "])", func(a *Attainment, v float64) { a.Measured = min(1, v/to.Sub(from).Seconds()) }},
	} {
		all, err := p.query(ctx, "max by (slo) ("+part.expr+")", to)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			if a, ok := of[s.labels["slo"]]; ok {
				part.set(&a, s.value*every[a.Name])
				of[a.Name] = a
			}
		}
	}
	return of, nil
}

// sum is months together. What had to go well is what had to at last.
func sum(months []Attainment, from, to time.Time) Attainment {
	whole := months[len(months)-1]
	whole.Month, whole.From, whole.To, whole.Total, whole.Bad, whole.Measured = Whole, from.UTC(), to.UTC(), 0, 0, 0
	for _, m := range months {
		whole.Total += m.Total
		whole.Bad += m.Bad
		whole.Measured += m.Measured * m.To.Sub(m.From).Seconds() / to.Sub(from).Seconds()
	}
	return whole
}

// judged says how well it was attained. Where nothing happened nothing went badly.
func (a Attainment) judged() Attainment {
	if a.Measured == 0 {
		a.Result = NoData
		return a
	}
	bad := 0.0
	if a.Total > 0 {
		bad = a.Bad / a.Total
	}
	a.Attained = 1 - bad
	a.BudgetLeft = 1
	if bad > 0 {
		a.BudgetLeft = math.Max(1-bad/cmp.Or(1-a.Goal, bad), -1000)
	}
	a.Result = Met
	if bad > 1-a.Goal+1e-12 { // what computing has added is not missed
		a.Result = Missed
	}
	return a
}
