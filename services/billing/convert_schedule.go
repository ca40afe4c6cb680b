package billing

import (
	"cmp"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/calendar"
)

// The names that the contract has. What is not among them is empty, and refused by the calendar.
var (
	frequencies = map[billingv1.Frequency]calendar.Frequency{
		billingv1.Frequency_FREQUENCY_DAILY: calendar.Daily, billingv1.Frequency_FREQUENCY_WEEKLY: calendar.Weekly,
		billingv1.Frequency_FREQUENCY_MONTHLY: calendar.Monthly, billingv1.Frequency_FREQUENCY_YEARLY: calendar.Yearly,
	}
	rolls = map[billingv1.BusinessDayRoll]calendar.Roll{
		billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_NONE:               calendar.RollNone,
		billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_FOLLOWING:          calendar.RollFollowing,
		billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_MODIFIED_FOLLOWING: calendar.RollModifiedFollowing,
		billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_PRECEDING:          calendar.RollPreceding,
	}
	missedPolicies = map[billingv1.MissedPolicy]calendar.Missed{
		billingv1.MissedPolicy_MISSED_POLICY_RUN_ALL: calendar.MissedRunAll, billingv1.MissedPolicy_MISSED_POLICY_RUN_LATEST: calendar.MissedRunLatest,
		billingv1.MissedPolicy_MISSED_POLICY_SKIP_ALL: calendar.MissedSkipAll,
	}
	overlapPolicies = map[billingv1.OverlapPolicy]calendar.Overlap{
		billingv1.OverlapPolicy_OVERLAP_POLICY_QUEUE: calendar.OverlapQueue, billingv1.OverlapPolicy_OVERLAP_POLICY_SKIP: calendar.OverlapSkip,
		billingv1.OverlapPolicy_OVERLAP_POLICY_ALLOW: calendar.OverlapAllow,
	}
	skipReasons = map[billingv1.OccurrenceReason]calendar.Skip{
		billingv1.OccurrenceReason_OCCURRENCE_REASON_MISSED:          calendar.SkipMissed,
		billingv1.OccurrenceReason_OCCURRENCE_REASON_SUPERSEDED:      calendar.SkipSuperseded,
		billingv1.OccurrenceReason_OCCURRENCE_REASON_OVERLAP:         calendar.SkipOverlap,
		billingv1.OccurrenceReason_OCCURRENCE_REASON_PAUSED:          skipPaused,
		billingv1.OccurrenceReason_OCCURRENCE_REASON_ENDED:           skipEnded,
		billingv1.OccurrenceReason_OCCURRENCE_REASON_NO_BUSINESS_DAY: skipNoBusinessDay,
	}
)

// nameOf is what the contract calls a value; unspecified for one that it has no name for.
func nameOf[E, V comparable](names map[E]V, value V) (name E) {
	for e, v := range names {
		if v == value {
			return e
		}
	}
	return name
}

// reading is a message that is read, with what in it cannot be.
type reading struct {
	prefix string
	wrong  []rpcerr.Field
}

func (r *reading) date(field, text string) calendar.Date {
	if text == "" {
		return calendar.Date{}
	}
	d, err := calendar.ParseDate(text)
	if err != nil {
		r.wrong = append(r.wrong, rpcerr.Field{Path: r.prefix + field, Description: "is " + err.Error()})
	}
	return d
}

func (r *reading) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	return rpcerr.ForFields(rpcerr.RequestInvalid, r.wrong...)
}

// whenFromProto reads a calendar; the fields of one that cannot be read are behind a prefix.
func whenFromProto(c *billingv1.ScheduleCalendar, prefix string) (when, error) {
	r, in := c.GetRule(), &reading{prefix: prefix}
	w := when{
		Frequency: frequencies[r.GetFrequency()], Every: int(r.GetEvery()), Month: time.Month(r.GetMonth()), Day: int(r.GetDay()),
		Start: in.date("rule.start_date", r.GetStartDate()), Until: in.date("rule.until_date", r.GetUntilDate()), Count: int(r.GetCount()),
		Zone: c.GetTimeZone(), Roll: cmp.Or(rolls[c.GetRoll()], calendar.RollNone), HolidayList: c.GetHolidayList(),
	}
	switch weekly := w.Frequency == calendar.Weekly; {
	case weekly && r.GetWeekday() == 0:
		w.Weekday = -1 // none, which the calendar refuses
	case weekly:
		w.Weekday = time.Weekday(r.GetWeekday()) % 7
	default:
		w.Weekday = time.Weekday(r.GetWeekday()) // of another rule, which the calendar refuses unless it is unset
	}
	var err error
	if w.At, err = calendar.ParseTimeOfDay(c.GetTimeOfDay()); err != nil {
		in.wrong = append(in.wrong, rpcerr.Field{Path: prefix + "time_of_day", Description: "is " + err.Error()})
	}
	for _, day := range c.GetWeekend() {
		w.Weekend |= calendar.NewWeekdays(time.Weekday(day) % 7)
	}
	if w.Weekend == 0 {
		w.Weekend = calendar.NewWeekdays(time.Saturday, time.Sunday)
	}
	return w, in.err()
}

func whenToProto(w when) *billingv1.ScheduleCalendar {
	out := &billingv1.ScheduleCalendar{
		Rule: &billingv1.RecurrenceRule{
			Frequency: nameOf(frequencies, w.Frequency), Every: int32(w.Every), Month: int32(w.Month), Day: int32(w.Day),
			StartDate: w.Start.String(), Count: int32(w.Count),
		},
		TimeOfDay: w.At.String(), TimeZone: w.Zone, Roll: nameOf(rolls, w.Roll), HolidayList: w.HolidayList,
	}
	if w.Frequency == calendar.Weekly {
		out.Rule.Weekday = weekdayToProto(w.Weekday)
	}
	if !w.Until.IsZero() {
		out.Rule.UntilDate = w.Until.String()
	}
	for day := time.Monday; day <= time.Saturday+1; day++ {
		if w.Weekend.Has(day % 7) {
			out.Weekend = append(out.Weekend, weekdayToProto(day%7))
		}
	}
	return out
}

func weekdayToProto(day time.Weekday) billingv1.Weekday {
	if day == time.Sunday {
		return billingv1.Weekday_WEEKDAY_SUNDAY
	}
	return billingv1.Weekday(day)
}

func termsFromProto(t *billingv1.ScheduleTerms) (terms, error) {
	out := terms{
		CustomerID: t.GetCustomerId(), PaymentMethod: t.GetPaymentMethod(),
		Amount:      money.Amount{Currency: money.Currency(t.GetAmount().GetCurrencyCode()), Minor: t.GetAmount().GetMinorUnits()},
		Description: t.GetDescription(), CardScheme: t.GetCardScheme(), Account: cmp.Or(t.GetProviderAccount(), defaultAccount),
		Missed: missedPolicies[t.GetMissed()], Grace: defaultGrace, Overlap: overlapPolicies[t.GetOverlap()],
	}
	if t.GetGrace() != nil {
		if err := t.GetGrace().CheckValid(); err != nil {
			return out, rpcerr.ForField(rpcerr.RequestInvalid, "terms.grace", "is no duration")
		}
		out.Grace = t.GetGrace().AsDuration()
	}
	var err error
	if out.When, err = whenFromProto(t.GetCalendar(), "terms.calendar."); err != nil || t.GetDunning() == nil {
		return out, err
	}
	p, err := policyFromProto(t.GetDunning(), "terms.dunning.", out.When.Zone)
	out.Dunning = &p
	return out, err
}

func scheduleToProto(s *schedule) *billingv1.Schedule {
	t := s.terms
	out := &billingv1.Schedule{
		ScheduleId: s.id.String(), State: billingv1.ScheduleState(s.state), Terms: &billingv1.ScheduleTerms{
			CustomerId: t.CustomerID, PaymentMethod: t.PaymentMethod,
			Amount:      amountToProto(t.Amount),
			Description: t.Description, CardScheme: t.CardScheme, ProviderAccount: t.Account, Calendar: whenToProto(t.When),
			Missed: nameOf(missedPolicies, t.Missed), Grace: durationpb.New(t.Grace), Overlap: nameOf(overlapPolicies, t.Overlap),
		},
		NextDueTime: optionalTime(s.nextDueAt), Note: s.note, CreatedBy: s.createdBy, CreateTime: timestamppb.New(s.createdAt),
		UpdateTime: timestamppb.New(s.updatedAt), PauseTime: optionalTime(s.pausedAt), EndTime: optionalTime(s.endedAt),
	}
	if !s.nextDate.IsZero() {
		out.NextDate = s.nextDate.String()
	}
	if t.Dunning != nil {
		out.Terms.Dunning = policyToProto(*t.Dunning)
	}
	return out
}

func occurrenceToProto(o *occurrence) *billingv1.ScheduleOccurrence {
	return &billingv1.ScheduleOccurrence{
		ScheduleId: o.schedule.id.String(), Date: o.date.String(), State: billingv1.OccurrenceState(o.state), Reason: nameOf(skipReasons, o.why),
		DueTime: timestamppb.New(o.dueAt), DecideTime: timestamppb.New(o.decidedAt), TriggeredBy: o.triggeredBy, BatchId: o.batchID.String(),
		Line: o.line, ItemState: itemStateToProto(o.itemState),
	}
}

func previewToProto(next []calendar.Occurrence, end string) *billingv1.GetSchedulePreviewResponse {
	out := &billingv1.GetSchedulePreviewResponse{End: end}
	for _, o := range next {
		out.Occurrences = append(out.Occurrences, &billingv1.PreviewedOccurrence{
			Date: o.Date.String(), DueDate: o.DueOn.String(), DueTime: timestamppb.New(o.DueAt), Rolled: o.Date != o.DueOn, Number: int64(o.Number),
		})
	}
	return out
}

// datesFromProto reads the dates of a holiday list.
func datesFromProto(texts []string) ([]calendar.Date, error) {
	dates, in := make([]calendar.Date, len(texts)), &reading{}
	for i, text := range texts {
		if dates[i] = in.date(fmt.Sprintf("dates[%d]", i), text); text == "" {
			in.wrong = append(in.wrong, rpcerr.Field{Path: fmt.Sprintf("dates[%d]", i), Description: "is empty"})
		}
	}
	return dates, in.err()
}

func holidayListToProto(l holidayList) *billingv1.HolidayList {
	out := &billingv1.HolidayList{Name: l.Name, SetBy: l.SetBy, UpdateTime: timestamppb.New(l.UpdatedAt)}
	for _, d := range l.Dates {
		out.Dates = append(out.Dates, d.String())
	}
	return out
}
