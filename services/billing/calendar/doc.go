// Package calendar decides on which civil dates, and at which instants, a schedule is due. It knows no clock: whoever
// asks says what time it is.
//
// A schedule (New, from a Spec) goes from a rule to an instant in three steps:
//
//  1. The rule gives nominal dates: every n days, weeks, months or years from a start, until a date, after a count, or
//     for ever. Each is reckoned from the rule and its number, never from the date before it, so nothing drifts: the
//     31st is the 28th in February and the 31st again in March, and the 29th of February is the 28th in other years.
//  2. The roll moves the date on which an occurrence is due off weekends and holidays. The nominal date stays what it
//     was, and two that roll to one day remain two.
//  3. The due date and the local time of day give the instant, in the schedule's zone: the first at which the clocks
//     there show that time or later.
//
// The identity of an occurrence is (schedule, nominal date). Clocks that are put forward or back change instants, not
// dates, so they can neither skip nor double an occurrence: a time that does not exist on a day is the first instant
// after the gap, and of one that exists twice the first counts. Where a zone leaves out a whole day, as Pacific/Apia
// did with 2011-12-30, the occurrence of that date is due when the next day begins; at midnight that is the very
// instant of the next day's own occurrence, and still there are two. Holidays that are added later, and changes to the
// law of a zone, move what is due and leave what it is.
//
// Since rule, roll and zone each keep order, instants never go back as dates go on. Due relies on that: it looks at the
// dates around a span of time and no others. Everything here ends: a roll looks at MaxRoll days, there is no date after
// the year 9999, and dates and counts are reckoned, not walked to.
//
// What became due while the service was down is for Misfire to decide on, and what is due while an earlier run is still
// going for Overlap.
package calendar
