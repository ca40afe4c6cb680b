package billing

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tieout/tieout/pkg/id"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/calendar"
)

// ScheduleID identifies a schedule.
type ScheduleID = id.ID[scheduleKind]

type scheduleKind struct{}

// Prefix implements id.Kind.
func (scheduleKind) Prefix() string { return "sch" }

type scheduleState int16

const (
	scheduleActive scheduleState = 1
	schedulePaused scheduleState = 2
	scheduleEnded  scheduleState = 3
)

// String gives the state as people say it.
func (s scheduleState) String() string {
	return map[scheduleState]string{scheduleActive: "active", schedulePaused: "paused", scheduleEnded: "ended"}[s]
}

const (
	// defaultGrace is how late an occurrence counts as on time where nobody says it.
	defaultGrace = time.Hour
	// maxScheduled is the most that an occurrence may come to, in minor units. So the sum of what is due at one moment fits.
	maxScheduled = 10_000_000_000_000
)

// terms are what people say of a schedule.
type terms struct {
	CustomerID    string           `json:"customer_id"`
	PaymentMethod string           `json:"payment_method"`
	Amount        money.Amount     `json:"amount"`
	Description   string           `json:"description"`
	CardScheme    string           `json:"card_scheme"`
	Account       string           `json:"provider_account"`
	When          when             `json:"calendar"`
	Missed        calendar.Missed  `json:"missed"`
	Grace         time.Duration    `json:"grace"`
	Overlap       calendar.Overlap `json:"overlap"`
	Dunning       *policy          `json:"dunning,omitempty"`
}

// when says when a schedule is due, as it is stored.
type when struct {
	Frequency   calendar.Frequency `json:"frequency"`
	Every       int                `json:"every"`
	Weekday     time.Weekday       `json:"weekday,omitempty"`
	Month       time.Month         `json:"month,omitempty"`
	Day         int                `json:"day,omitempty"`
	Start       calendar.Date      `json:"start"`
	Until       calendar.Date      `json:"until"`
	Count       int                `json:"count,omitempty"`
	At          calendar.TimeOfDay `json:"at"`
	Zone        string             `json:"zone"`
	Roll        calendar.Roll      `json:"roll"`
	Weekend     calendar.Weekdays  `json:"weekend"`
	HolidayList string             `json:"holiday_list,omitempty"`
}

// spec is the same for the pure package. A zone that there is not is left out.
func (w when) spec(holidays calendar.Dates) calendar.Spec {
	zone, err := time.LoadLocation(w.Zone)
	if err != nil || w.Zone == "" {
		zone = nil
	}
	return calendar.Spec{
		Rule: calendar.Rule{
			Frequency: w.Frequency, Every: w.Every, Weekday: w.Weekday, Month: w.Month, Day: w.Day, Start: w.Start, Until: w.Until, Count: w.Count,
		},
		At: w.At, Zone: zone, Roll: w.Roll, Workdays: calendar.Workdays{Weekend: w.Weekend, Holidays: holidays},
	}
}

// whenFields are the names that the contract has for what may be wrong with a spec.
var whenFields = map[string]string{
	"at": "time_of_day", "zone": "time_zone", "workdays.weekend": "weekend", "rule.start": "rule.start_date", "rule.until": "rule.until_date",
}

// check gives what is wrong with it, each field behind a prefix.
func (w when) check(prefix string) []rpcerr.Field {
	var fields []rpcerr.Field
	invalid, _ := errors.AsType[calendar.Invalid](w.spec(nil).Validate())
	for _, v := range invalid {
		name := v.Field
		if said, ok := whenFields[name]; ok {
			name = said
		}
		fields = append(fields, rpcerr.Field{Path: prefix + name, Description: v.Problem})
	}
	return fields
}

func (t terms) misfire() calendar.Misfire { return calendar.Misfire{Missed: t.Missed, Grace: t.Grace} }

// check refuses terms that nobody can follow, with all that is wrong with them.
func (t terms) check() error {
	if _, err := money.ParseCurrency(string(t.Amount.Currency)); err != nil {
		return rpcerr.ForField(rpcerr.CurrencyUnknown, "terms.amount.currency_code", "%q is no currency of ISO 4217 with minor units", t.Amount.Currency)
	}
	if !t.Amount.IsPositive() {
		return rpcerr.ForField(rpcerr.AmountNotPositive, "terms.amount", "must be more than zero")
	}
	fields := t.When.check("terms.calendar.")
	for _, err := range []error{t.misfire().Validate(), t.Overlap.Validate()} {
		invalid, _ := errors.AsType[calendar.Invalid](err)
		for _, v := range invalid {
			fields = append(fields, rpcerr.Field{Path: "terms." + v.Field, Description: v.Problem})
		}
	}
	if t.Amount.Minor > maxScheduled {
		fields = append(fields, rpcerr.Field{Path: "terms.amount", Description: fmt.Sprintf("must be %d minor units or less", maxScheduled)})
	}
	if t.Grace%time.Second != 0 {
		fields = append(fields, rpcerr.Field{Path: "terms.grace", Description: "must be whole seconds"})
	}
	if len(fields) > 0 {
		return rpcerr.ForFields(rpcerr.RequestInvalid, fields...)
	}
	if t.Dunning != nil {
		return t.Dunning.check("terms.dunning.")
	}
	return nil
}

// fields are the fingerprint of terms.
func (t terms) fields() ([]idem.Field, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding terms: %w", err)
	}
	return []idem.Field{{Name: "terms", Value: string(text)}}, nil
}

// schedule is payments that recur, and how far it is decided on them.
type schedule struct {
	id    ScheduleID
	state scheduleState
	terms terms
	// decidedThrough is the last nominal date of the rule on which it is decided.
	decidedThrough calendar.Date
	// nextDate is the next one without an occurrence; zero for none.
	nextDate                                calendar.Date
	nextDueAt                               time.Time
	note, createdBy                         string
	createdAt, updatedAt, pausedAt, endedAt time.Time
}

// calendar is when it is due.
func (s *schedule) calendar(holidays calendar.Dates) (calendar.Schedule, error) {
	cal, err := calendar.New(s.terms.When.spec(holidays))
	if err != nil {
		return cal, fmt.Errorf("reading the rule of schedule %s: %w", s.id, err)
	}
	return cal, nil
}

// begin has it go by a calendar from now on: what was due up to now is not its.
func (s *schedule) begin(cal calendar.Schedule, now time.Time) {
	// What is due later than a nominal date is so by a roll, and zones are less than two days apart.
	from := calendar.DateOf(now.UTC()).AddDays(-calendar.MaxRoll - 3)
	s.decidedThrough = from.AddDays(-1)
	for o := range cal.Occurrences(from) {
		if o.DueAt.After(now) {
			break
		}
		s.decidedThrough = o.Date
	}
}

// look finds what is next, past the dates that have their occurrence. When there is nothing the schedule has ended.
func (s *schedule) look(cal calendar.Schedule, taken calendar.Dates) (ended bool) {
	for o := range cal.Occurrences(s.decidedThrough.AddDays(1)) {
		if !taken.Has(o.Date) {
			s.nextDate, s.nextDueAt = o.Date, o.DueAt // one without a business day stays where it is, to be skipped there
			return false
		}
	}
	s.end("its rule has no more dates")
	return true
}

func (s *schedule) end(note string) {
	s.state, s.note, s.nextDate, s.nextDueAt = scheduleEnded, note, calendar.Date{}, time.Time{}
}

// upcoming gives the next occurrences, past the dates that have theirs, and why there are no more.
func (s *schedule) upcoming(cal calendar.Schedule, taken calendar.Dates) (next []calendar.Occurrence, end string) {
	for o, err := range cal.Occurrences(s.decidedThrough.AddDays(1)) {
		switch {
		case taken.Has(o.Date):
			continue
		case err != nil:
			return next, fmt.Sprintf("on %s: %v", o.Date, err)
		}
		if next = append(next, o); len(next) == calendar.PreviewSize {
			return next, ""
		}
	}
	return next, "the rule has no more dates"
}

func parseScheduleID(text string) (ScheduleID, error) {
	sid, err := id.Parse[scheduleKind](text)
	if err != nil {
		return sid, rpcerr.ForField(rpcerr.RequestInvalid, "schedule_id", "%v", err)
	}
	return sid, nil
}

func noSchedule(sid ScheduleID) error {
	return rpcerr.ForField(rpcerr.NotFound, "schedule_id", "there is no schedule %s", sid)
}

// refuse says that a schedule is not in a state in which something is possible.
func (s *schedule) refuse(what string) error {
	e := rpcerr.New(rpcerr.ScheduleStateRefused, "schedule %s is %s and cannot be %s", s.id, s.state, what)
	e.Resource = s.id.String()
	return e
}
