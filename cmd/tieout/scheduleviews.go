package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

var scheduleView = output.View[*billingv1.Schedule]{
	JSON: output.Message[*billingv1.Schedule],
	Columns: []output.Column[*billingv1.Schedule]{
		{Name: "schedule_id", Value: (*billingv1.Schedule).GetScheduleId},
		{Name: "state", Value: func(s *billingv1.Schedule) string { return enum(s.GetState(), scheduleStatePrefix) }},
		{Name: "customer_id", Value: func(s *billingv1.Schedule) string { return s.GetTerms().GetCustomerId() }},
		{Name: "amount", Value: func(s *billingv1.Schedule) string { return amount(s.GetTerms().GetAmount()) }},
		{Name: "rule", Value: func(s *billingv1.Schedule) string { return ruleText(s.GetTerms().GetCalendar().GetRule()) }},
		{Name: "next_date", Value: (*billingv1.Schedule).GetNextDate},
		{Name: "next_due_time", Value: func(s *billingv1.Schedule) string { return instant(s.GetNextDueTime()) }},
		{Name: "note", Value: (*billingv1.Schedule).GetNote},
	},
	Fields: []output.Column[*billingv1.Schedule]{
		{Name: "payment_method", Value: func(s *billingv1.Schedule) string { return s.GetTerms().GetPaymentMethod() }},
		{Name: "description", Value: func(s *billingv1.Schedule) string { return s.GetTerms().GetDescription() }},
		{Name: "card_scheme", Value: func(s *billingv1.Schedule) string { return s.GetTerms().GetCardScheme() }},
		{Name: "provider_account", Value: func(s *billingv1.Schedule) string { return s.GetTerms().GetProviderAccount() }},
		{Name: "time", Value: func(s *billingv1.Schedule) string {
			return s.GetTerms().GetCalendar().GetTimeOfDay() + " " + s.GetTerms().GetCalendar().GetTimeZone()
		}},
		{Name: "roll", Value: func(s *billingv1.Schedule) string { return rollText(s.GetTerms().GetCalendar()) }},
		{Name: "missed", Value: func(s *billingv1.Schedule) string {
			t := s.GetTerms()
			return fmt.Sprintf("%s, when more than %s late", enum(t.GetMissed(), "MISSED_POLICY_"), t.GetGrace().AsDuration())
		}},
		{Name: "overlap", Value: func(s *billingv1.Schedule) string { return enum(s.GetTerms().GetOverlap(), "OVERLAP_POLICY_") }},
		{Name: "dunning", Value: func(s *billingv1.Schedule) string { return dunningText(s.GetTerms().GetDunning()) }},
		{Name: "created_by", Value: (*billingv1.Schedule).GetCreatedBy},
		{Name: "create_time", Value: func(s *billingv1.Schedule) string { return instant(s.GetCreateTime()) }},
		{Name: "update_time", Value: func(s *billingv1.Schedule) string { return instant(s.GetUpdateTime()) }},
		{Name: "end_time", Value: func(s *billingv1.Schedule) string { return instant(s.GetEndTime()) }},
	},
}

// ruleText says a rule in words: "every 2 weeks on friday from 2026-12-01, 10 times".
func ruleText(r *billingv1.RecurrenceRule) string {
	unit := map[billingv1.Frequency]string{
		billingv1.Frequency_FREQUENCY_DAILY: "day", billingv1.Frequency_FREQUENCY_WEEKLY: "week", billingv1.Frequency_FREQUENCY_MONTHLY: "month",
		billingv1.Frequency_FREQUENCY_YEARLY: "year",
	}[r.GetFrequency()]
	text := "every " + unit
	if r.GetEvery() != 1 {
		text = fmt.Sprintf("every %d %ss", r.GetEvery(), unit)
	}
	switch r.GetFrequency() {
	case billingv1.Frequency_FREQUENCY_WEEKLY:
		text += " on " + enum(r.GetWeekday(), "WEEKDAY_")
	case billingv1.Frequency_FREQUENCY_MONTHLY:
		text += fmt.Sprintf(" on day %d", r.GetDay())
	case billingv1.Frequency_FREQUENCY_YEARLY:
		text += fmt.Sprintf(" on day %d of month %d", r.GetDay(), r.GetMonth())
	}
	text += " from " + r.GetStartDate()
	if r.GetUntilDate() != "" {
		text += " until " + r.GetUntilDate()
	}
	if r.GetCount() > 0 {
		text += fmt.Sprintf(", %d times", r.GetCount())
	}
	return text
}

// rollText says where dates go that are no business days, and which these are.
func rollText(c *billingv1.ScheduleCalendar) string {
	if c.GetRoll() == billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_NONE {
		return "none"
	}
	off := make([]string, len(c.GetWeekend()))
	for i, day := range c.GetWeekend() {
		off[i] = enum(day, "WEEKDAY_")
	}
	if c.GetHolidayList() != "" {
		off = append(off, "the holidays of "+c.GetHolidayList())
	}
	return enum(c.GetRoll(), "BUSINESS_DAY_ROLL_") + ", off " + strings.Join(off, ", ")
}

var occurrenceView = output.View[*billingv1.ScheduleOccurrence]{
	JSON: output.Message[*billingv1.ScheduleOccurrence],
	Columns: []output.Column[*billingv1.ScheduleOccurrence]{
		{Name: "date", Value: (*billingv1.ScheduleOccurrence).GetDate},
		{Name: "state", Value: func(o *billingv1.ScheduleOccurrence) string { return enum(o.GetState(), "OCCURRENCE_STATE_") }},
		{Name: "reason", Value: func(o *billingv1.ScheduleOccurrence) string {
			if o.GetReason() == billingv1.OccurrenceReason_OCCURRENCE_REASON_UNSPECIFIED {
				return ""
			}
			return enum(o.GetReason(), "OCCURRENCE_REASON_")
		}},
		{Name: "due_time", Value: func(o *billingv1.ScheduleOccurrence) string { return instant(o.GetDueTime()) }},
		{Name: "triggered_by", Value: (*billingv1.ScheduleOccurrence).GetTriggeredBy},
		{Name: "batch_id", Value: (*billingv1.ScheduleOccurrence).GetBatchId},
		{Name: "payment", Value: func(o *billingv1.ScheduleOccurrence) string {
			if o.GetItemState() == billingv1.ItemState_ITEM_STATE_UNSPECIFIED {
				return ""
			}
			return enum(o.GetItemState(), "ITEM_STATE_")
		}},
	},
	Fields: []output.Column[*billingv1.ScheduleOccurrence]{
		{Name: "schedule_id", Value: (*billingv1.ScheduleOccurrence).GetScheduleId},
		{Name: "line", Value: func(o *billingv1.ScheduleOccurrence) string { return strconv.FormatInt(o.GetLine(), 10) }},
		{Name: "decide_time", Value: func(o *billingv1.ScheduleOccurrence) string { return instant(o.GetDecideTime()) }},
	},
}

var previewView = output.View[*billingv1.PreviewedOccurrence]{
	JSON: output.Message[*billingv1.PreviewedOccurrence],
	Columns: []output.Column[*billingv1.PreviewedOccurrence]{
		{Name: "date", Value: (*billingv1.PreviewedOccurrence).GetDate},
		{Name: "due_date", Value: (*billingv1.PreviewedOccurrence).GetDueDate},
		{Name: "due_time", Value: func(o *billingv1.PreviewedOccurrence) string { return instant(o.GetDueTime()) }},
		{Name: "rolled", Value: func(o *billingv1.PreviewedOccurrence) string { return strconv.FormatBool(o.GetRolled()) }},
		{Name: "number", Value: func(o *billingv1.PreviewedOccurrence) string { return strconv.FormatInt(o.GetNumber(), 10) }},
	},
}

var holidaysView = output.View[*billingv1.HolidayList]{
	JSON: output.Message[*billingv1.HolidayList],
	Columns: []output.Column[*billingv1.HolidayList]{
		{Name: "name", Value: (*billingv1.HolidayList).GetName},
		{Name: "days", Value: func(l *billingv1.HolidayList) string { return strconv.Itoa(len(l.GetDates())) }},
		{Name: "set_by", Value: (*billingv1.HolidayList).GetSetBy},
		{Name: "update_time", Value: func(l *billingv1.HolidayList) string { return instant(l.GetUpdateTime()) }},
	},
	Fields: []output.Column[*billingv1.HolidayList]{
		{Name: "dates", Value: func(l *billingv1.HolidayList) string { return strings.Join(l.GetDates(), " ") }},
	},
}
