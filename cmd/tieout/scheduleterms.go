package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

const ruleHelp = `A rule counts in days, weeks, months or years from --start on: every 2nd Friday is
  --frequency weekly --every 2 --weekday friday --start 2026-12-01
The 31st is the last day of a month that is shorter. With --roll a date that is a weekend day, or in the list of
--holidays, moves; what it is called stays. Times are those of the clocks in --zone, also when these are put forward or back.`

// said is what the flags say of a schedule's terms. Only those that are given are applied.
type said struct {
	customer, method, amount, description, scheme, account string
	frequency, weekday, start, until, at, zone, roll       string
	holidays, missed, overlap                              string
	every, month, day, count                               int32
	weekend                                                []string
	grace                                                  time.Duration
	dunning                                                *dunningFlags
}

// termsFlags are the flags of a rule, and of what is paid by whom where that is asked for.
func termsFlags(cmd *cobra.Command, whole bool) *said {
	s, f := &said{}, cmd.Flags()
	f.StringVar(&s.frequency, "frequency", "", strings.Join(enumNames[billingv1.Frequency]("FREQUENCY_"), ", "))
	f.Int32Var(&s.every, "every", 1, "how many days, weeks, months or years lie between two dates")
	f.StringVar(&s.weekday, "weekday", "", "the day of a weekly rule, as in friday")
	f.Int32Var(&s.month, "month", 0, "the month of a yearly rule, 1 to 12")
	f.Int32Var(&s.day, "day", 0, "the day of a monthly or yearly rule, 1 to 31")
	f.StringVar(&s.start, "start", "", "the date before which there is none, as in 2026-12-01")
	f.StringVar(&s.until, "until", "", "the last date on which there may be one")
	f.Int32Var(&s.count, "count", 0, "how many there are, counted from --start")
	f.StringVar(&s.at, "at", "", "the time of day in the zone, as in 06:00")
	f.StringVar(&s.zone, "zone", "", "the IANA zone, as in Europe/Berlin")
	f.StringVar(&s.roll, "roll", "", "where a date goes that is no business day: "+strings.Join(enumNames[billingv1.BusinessDayRoll]("BUSINESS_DAY_ROLL_"), ", ")+" (default none)")
	f.StringSliceVar(&s.weekend, "weekend", nil, "the days of the week that are no business days (default saturday,sunday)")
	f.StringVar(&s.holidays, "holidays", "", "the list of holidays, see tieout holidays")
	if !whole {
		return s
	}
	f.StringVar(&s.customer, "customer", "", "who pays")
	f.StringVar(&s.method, "payment-method", "", "what it is paid with")
	f.StringVar(&s.amount, "amount", "", `how much each time, as in "25.00 EUR"`)
	f.StringVar(&s.description, "description", "", "what it is for")
	f.StringVar(&s.scheme, "card-scheme", "", "the card's scheme, as in visa")
	f.StringVar(&s.account, "account", "", "the provider account whose limits hold (default default)")
	f.StringVar(&s.missed, "missed", "", "what becomes of dates that pass while the service is down: "+strings.Join(enumNames[billingv1.MissedPolicy]("MISSED_POLICY_"), ", ")+" (default run_latest)")
	f.DurationVar(&s.grace, "grace", 0, "how late still counts as on time (default 1h)")
	s.dunning = newDunningFlags(f)
	f.StringVar(&s.overlap, "overlap", "", "what becomes of a date while an earlier payment is still going: "+strings.Join(enumNames[billingv1.OverlapPolicy]("OVERLAP_POLICY_"), ", ")+" (default queue)")
	return s
}

// newTerms are terms of which nothing is said.
func newTerms() *billingv1.ScheduleTerms {
	return &billingv1.ScheduleTerms{
		Calendar: &billingv1.ScheduleCalendar{Rule: &billingv1.RecurrenceRule{Every: 1}, Roll: billingv1.BusinessDayRoll_BUSINESS_DAY_ROLL_NONE},
		Missed:   billingv1.MissedPolicy_MISSED_POLICY_RUN_LATEST, Overlap: billingv1.OverlapPolicy_OVERLAP_POLICY_QUEUE,
	}
}

// apply changes terms as the flags say that were given.
func (s *said) apply(cmd *cobra.Command, t *billingv1.ScheduleTerms) error {
	c := t.GetCalendar()
	r := c.GetRule()
	sets := map[string]func() error{
		"customer": func() error { t.CustomerId = s.customer; return nil }, "payment-method": func() error { t.PaymentMethod = s.method; return nil },
		"amount":      func() (err error) { t.Amount, err = amountFlag(s.amount); return err },
		"description": func() error { t.Description = s.description; return nil }, "card-scheme": func() error { t.CardScheme = s.scheme; return nil },
		"account": func() error { t.ProviderAccount = s.account; return nil },
		"frequency": func() (err error) {
			r.Frequency, err = enumFlag[billingv1.Frequency]("frequency", "FREQUENCY_", s.frequency)
			return err
		},
		"weekday": func() (err error) {
			r.Weekday, err = enumFlag[billingv1.Weekday]("weekday", "WEEKDAY_", s.weekday)
			return err
		},
		"every": func() error { r.Every = s.every; return nil }, "month": func() error { r.Month = s.month; return nil },
		"day": func() error { r.Day = s.day; return nil }, "count": func() error { r.Count = s.count; return nil },
		"start": func() error { r.StartDate = s.start; return nil }, "until": func() error { r.UntilDate = s.until; return nil },
		"at": func() error { c.TimeOfDay = s.at; return nil }, "zone": func() error { c.TimeZone = s.zone; return nil },
		"roll": func() (err error) {
			c.Roll, err = enumFlag[billingv1.BusinessDayRoll]("roll", "BUSINESS_DAY_ROLL_", s.roll)
			return err
		},
		"weekend":  func() (err error) { c.Weekend, err = weekdays(s.weekend); return err },
		"holidays": func() error { c.HolidayList = s.holidays; return nil },
		"missed": func() (err error) {
			t.Missed, err = enumFlag[billingv1.MissedPolicy]("missed", "MISSED_POLICY_", s.missed)
			return err
		},
		"grace": func() error { t.Grace = durationpb.New(s.grace); return nil },
		"overlap": func() (err error) {
			t.Overlap, err = enumFlag[billingv1.OverlapPolicy]("overlap", "OVERLAP_POLICY_", s.overlap)
			return err
		},
	}
	for _, flag := range slices.Sorted(maps.Keys(sets)) {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		if err := sets[flag](); err != nil {
			return err
		}
	}
	if s.dunning == nil {
		return nil
	}
	policy, err := s.dunning.read()
	if policy != nil {
		t.Dunning = policy
	}
	return err
}

func weekdays(names []string) ([]billingv1.Weekday, error) {
	days := make([]billingv1.Weekday, len(names))
	for i, name := range names {
		var err error
		if days[i], err = enumFlag[billingv1.Weekday]("weekend", "WEEKDAY_", name); err != nil {
			return nil, err
		}
	}
	return days, nil
}

func (c *cli) scheduleCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Have a payment recur", Args: args(cobra.NoArgs),
		Long: "Has a payment recur from now on. See its dates before with: tieout schedule next.\n\n" + ruleHelp,
	}
	said, format := termsFlags(cmd, true), formatFlag(cmd)
	key := cmd.Flags().String("key", "", "idempotency key: the same schedule under it again is made once (default: made, and printed)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		terms := newTerms()
		if err := said.apply(cmd, terms); err != nil {
			return err
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			request := &billingv1.CreateScheduleRequest{IdempotencyKey: c.keyOf(*key, "schedule", "schedule"), Terms: terms}
			answer, replayed, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).CreateSchedule, request)
			if err != nil {
				return err
			}
			if replayed {
				c.note("replayed: it was made before under this key, and nothing was done again")
			}
			return output.One(c.stdout, *format, scheduleView, answer.GetSchedule())
		})
	}
	return cmd
}

func (c *cli) scheduleUpdateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "update SCHEDULE", Short: "Change what a schedule is about, or its dates", Args: args(cobra.ExactArgs(1)),
		Long: `Changes what the flags say, and leaves the rest. A date that has its occurrence never gets a second one. Without --yes
nothing is done: it shows the schedule as it would be.

` + ruleHelp,
	}
	asFlag(cmd)
	said, yes := termsFlags(cmd, true), yesFlag(cmd)
	return object(c, cmd, scheduleView, func(ctx context.Context, r *remote, args []string) (*billingv1.Schedule, error) {
		found, err := getSchedule(ctx, r, args[0])
		if err != nil {
			return nil, err
		}
		terms := proto.CloneOf(found.GetTerms())
		if err := said.apply(cmd, terms); err != nil {
			return nil, err
		}
		if proto.Equal(terms, found.GetTerms()) {
			return nil, usageError{errors.New("nothing is to be changed: say what with flags")}
		}
		if !*yes {
			found.Terms, found.NextDate, found.NextDueTime = terms, "", nil
			c.note("nothing was done: this is the schedule as it would be; do it with --yes")
			return found, nil
		}
		request := &billingv1.UpdateScheduleRequest{IdempotencyKey: "update/" + uuid.NewString(), ScheduleId: args[0], Terms: terms}
		answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).UpdateSchedule, request)
		return answer.GetSchedule(), err
	})
}
