package objective

import (
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// Interval is how often the rules record the rates, in seconds.
const Interval = 30

// Objectives are the contents of slo.yaml.
type Objectives struct {
	Objectives []Objective `yaml:"objectives"`
}

// Objective is one of them.
type Objective struct {
	// Name is short, as it stands in the label slo of what is recorded.
	Name string `yaml:"name"`
	// Summary is the objective in a sentence.
	Summary string `yaml:"summary"`
	// Ratio is how much of all must go well: 0.999. With 1 there is no budget for errors, and nothing to alert on but each
	// of them, which alerts.yaml does.
	Ratio float64 `yaml:"ratio"`
	// Of says what all is made of.
	Of Kind `yaml:"of"`
	// Bad and Total are PromQL. Of events they give a rate over [5m], without labels. Of time Bad gives 1 while it is bad and 0
	// while it is not, and Total is left out.
	Bad   string `yaml:"bad"`
	Total string `yaml:"total"`
	// Alert is the name of the alert that tells that the budget is used up too fast.
	Alert string `yaml:"alert"`
	// Least is how much must have gone badly, in events or seconds, before the alert tells: one bad event of a quiet night
	// is a large part of few.
	Least float64 `yaml:"least"`
}

// Kind is what an objective is about.
type Kind string

// The kinds.
const (
	Events Kind = "events"
	Time   Kind = "time"
)

// Budget is how much of all may go badly.
func (o Objective) Budget() float64 { return 1 - o.Ratio }

// Read reads slo.yaml. Fields that are not known are errors.
func Read(r io.Reader) (Objectives, error) {
	var all Objectives
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	if err := decoder.Decode(&all); err != nil {
		return all, fmt.Errorf("reading objectives: %w", err)
	}
	if len(all.Objectives) == 0 {
		return all, errors.New("reading objectives: there are none")
	}
	var errs []error
	seen := map[string]bool{}
	for i, o := range all.Objectives {
		for _, err := range o.check() {
			errs = append(errs, fmt.Errorf("objective %d, %q: %w", i+1, o.Name, err))
		}
		if seen[o.Name] {
			errs = append(errs, fmt.Errorf("objective %d, %q: there is one of that name", i+1, o.Name))
		}
		seen[o.Name] = true
	}
	return all, errors.Join(errs...)
}

var objectiveName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (o Objective) check() (errs []error) {
	if !objectiveName.MatchString(o.Name) {
		errs = append(errs, errors.New("name is lower case letters, digits and _"))
	}
	if o.Ratio <= 0 || o.Ratio > 1 {
		errs = append(errs, errors.New("ratio is more than 0 and at most 1"))
	}
	if o.Summary == "" || o.Bad == "" {
		errs = append(errs, errors.New("summary and bad are needed"))
	}
	switch {
	case o.Of != Events && o.Of != Time:
		errs = append(errs, fmt.Errorf("of is %s or %s", Events, Time))
	case (o.Of == Events) != (o.Total != ""):
		errs = append(errs, errors.New("total is needed of events, and not of time"))
	}
	if (o.Alert == "") != (o.Ratio == 1) {
		errs = append(errs, errors.New("alert is needed where there is a budget, and not where there is none"))
	}
	if o.Least < 0 {
		errs = append(errs, errors.New("least is not negative"))
	}
	return errs
}
