package quota

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/tieout/tieout/pkg/shed"
)

// Config is who may ask for how much.
type Config struct {
	// Rules are the quotas. Where no rule holds for a caller and a class there is none.
	Rules []Rule `koanf:"rules"`
	// Exempt are callers that no rule for everybody holds for, as the services of the system.
	Exempt []string `koanf:"exempt"`
}

// Everybody is the caller of a rule that holds for each caller which has none of its own for the class.
const Everybody = "*"

// Rule is a quota.
type Rule struct {
	// Caller is who it holds for; "*" is each caller by itself.
	Caller string `koanf:"caller"`
	// Class is which methods it holds for: finish, new, read or batch, as the methods declare it.
	Class string `koanf:"class"`
	// Rate is how many calls a second the caller may make in the long run.
	Rate float64 `koanf:"rate"`
	// Burst is how many it may make at once after a pause. 0 is what the rate gives in a second.
	Burst int `koanf:"burst"`
}

// burst is Burst, or its default.
func (r Rule) burst() float64 { return cmp.Or(float64(r.Burst), math.Ceil(r.Rate)) }

// subject names the quota of a caller.
func (r Rule) subject(caller string) string { return "caller:" + caller + "/class:" + r.Class }

// String says what the quota is.
func (r Rule) String() string {
	return fmt.Sprintf("%g calls a second, %g at once", r.Rate, r.burst())
}

// Validate tells what is wrong with the rules.
func (c Config) Validate() error {
	var errs []error
	seen := map[key]bool{}
	for i, r := range c.Rules {
		class, ok := shed.ParseClass(r.Class)
		k := key{r.Caller, class}
		switch {
		case !ok || class == shed.Step:
			errs = append(errs, fmt.Errorf("quotas.rules[%d]: class %q is not finish, new, read or batch", i, r.Class))
		case r.Caller == "" || len(r.Caller) > 128:
			errs = append(errs, fmt.Errorf("quotas.rules[%d]: caller is a name of up to 128 bytes, or %q", i, Everybody))
		case !(r.Rate > 0) || math.IsInf(r.Rate, 1) || r.Burst < 0:
			errs = append(errs, fmt.Errorf("quotas.rules[%d]: rate %v and burst %d: a rate is more than zero, a burst not less", i, r.Rate, r.Burst))
		case seen[k]:
			errs = append(errs, fmt.Errorf("quotas.rules[%d]: there is another rule for caller %q and class %s", i, r.Caller, r.Class))
		}
		seen[k] = true
	}
	return errors.Join(errs...)
}
