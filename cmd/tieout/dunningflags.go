package main

import (
	"errors"

	"github.com/spf13/pflag"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

// dunningFlags are what is said of how declined payments are tried again.
type dunningFlags struct {
	set    *pflag.FlagSet
	policy billingv1.DunningPolicy
}

func newDunningFlags(set *pflag.FlagSet) *dunningFlags {
	f := &dunningFlags{set: set}
	set.Int32SliceVar(&f.policy.DelayDays, "retry-after", nil, "try what was declined again after so many days each, as in 1,3,5,7")
	set.Int32Var(&f.policy.GiveUpAfterDays, "give-up-after", 0, "how many days after the first decline the last attempt may be")
	set.StringVar(&f.policy.EarliestTime, "earliest", "", "try again from this time of day on, as in 08:00")
	set.StringVar(&f.policy.LatestTime, "latest", "", "try again up to this time of day, as in 20:00")
	set.BoolVar(&f.policy.BusinessDaysOnly, "business-days", false, "not on Saturdays and Sundays")
	return f
}

// read gives the policy, or nil when nothing was said of one.
func (f *dunningFlags) read() (*billingv1.DunningPolicy, error) {
	said := f.policy.GetTimeZone() != ""
	for _, name := range []string{"retry-after", "give-up-after", "earliest", "latest", "business-days"} {
		said = said || f.set.Changed(name)
	}
	if !said {
		return nil, nil //nolint:nilnil // what was declined is not tried again
	}
	if len(f.policy.GetDelayDays()) == 0 || f.policy.GetGiveUpAfterDays() == 0 {
		return nil, usageError{errors.New("to try again what was declined needs --retry-after and --give-up-after")}
	}
	return &f.policy, nil
}
