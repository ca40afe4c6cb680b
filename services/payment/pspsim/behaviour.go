package pspsim

// An answering says when a charge request is answered.
type answering int

const (
	promptly answering = iota
	slowly             // after Options.SlowDelay
	never              // the connection is held until the client leaves or the server closes
)

// A behaviour is what a payment method makes the provider do. Its steps happen
// in the order of its fields.
type behaviour struct {
	failures int       // the first so many requests of a key get 500 and have no effect
	effect   EntryType // what then takes effect; empty: nothing ever does
	decline  string    // the decline code, when the effect is a decline
	answer   answering
}

// behaviours is keyed by payment method and never written to.
var behaviours = map[string]behaviour{
	"pm_ok":             {effect: TypeCharge},
	"pm_declined":       {effect: TypeDecline, decline: "insufficient_funds"},
	"pm_timeout_after":  {effect: TypeCharge, answer: never},
	"pm_timeout_before": {answer: never},
	"pm_500_then_ok":    {failures: 1, effect: TypeCharge},
	"pm_slow":           {effect: TypeCharge, answer: slowly},
}
