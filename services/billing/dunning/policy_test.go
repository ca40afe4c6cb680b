package dunning_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/tieout/tieout/services/billing/calendar"
	"github.com/tieout/tieout/services/billing/dunning"
)

func TestPolicy_NamesTheFieldsThatAreWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*dunning.Policy)
		want   []string
	}{
		"the default":               {func(*dunning.Policy) {}, nil},
		"no retries at all":         {func(p *dunning.Policy) { *p = dunning.Policy{} }, nil},
		"too many delays":           {func(p *dunning.Policy) { p.Delays = slices.Repeat([]int{1}, dunning.MaxRetries+1) }, []string{"delays"}},
		"as many as may be":         {func(p *dunning.Policy) { p.Delays = slices.Repeat([]int{1}, dunning.MaxRetries) }, nil},
		"a delay of nothing":        {func(p *dunning.Policy) { p.Delays[1] = 0 }, []string{"delays"}},
		"a delay below nothing":     {func(p *dunning.Policy) { p.Delays[1] = -1 }, []string{"delays"}},
		"a delay without end":       {func(p *dunning.Policy) { p.Delays[1] = 1 << 62 }, []string{"delays", "last_day"}},
		"unknown below nothing":     {func(p *dunning.Policy) { p.UnknownRetries = -1 }, []string{"unknown_retries"}},
		"unknown more than all":     {func(p *dunning.Policy) { p.UnknownRetries = 5 }, []string{"unknown_retries"}},
		"a last day too early":      {func(p *dunning.Policy) { p.LastDay = 15 }, []string{"last_day"}},
		"a last day just in time":   {func(p *dunning.Policy) { p.LastDay = 16 }, nil},
		"a last day too late":       {func(p *dunning.Policy) { p.LastDay = dunning.MaxLastDay + 1 }, []string{"last_day"}},
		"a last day below nothing":  {func(p *dunning.Policy) { p.Delays, p.UnknownRetries, p.LastDay = nil, 0, -1 }, []string{"last_day"}},
		"24:00":                     {func(p *dunning.Policy) { p.To = calendar.TimeOfDay{Hour: 24} }, []string{"to"}},
		"from 08:60":                {func(p *dunning.Policy) { p.From.Minute = 60 }, []string{"from"}},
		"no hours":                  {func(p *dunning.Policy) { p.To = p.From }, []string{"to"}},
		"hours across midnight":     {func(p *dunning.Policy) { p.To.Hour = 7 }, []string{"to"}},
		"hours to the end of a day": {func(p *dunning.Policy) { p.To = calendar.TimeOfDay{} }, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := dunning.DefaultPolicy()
			tt.change(&p)
			err := p.Validate()
			var got []string
			if invalid, ok := errors.AsType[calendar.Invalid](err); ok {
				for _, v := range invalid {
					got = append(got, v.Field)
				}
			}
			if !slices.Equal(got, tt.want) || (err == nil) != (len(tt.want) == 0) {
				t.Errorf("got %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}
