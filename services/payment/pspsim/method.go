package pspsim

// methods are the payment methods there are, and how what is done with them goes wrong. It is never written to.
var methods = allMethods()

// charging are the faults of a charge or an authorization, by what their payment method is called.
var charging = map[string]Fault{
	"ok":             {},
	"declined":       {Kind: FaultDecline, DeclineCode: "insufficient_funds"},
	"lost_card":      {Kind: FaultDecline, DeclineCode: "lost_card"},
	"expired_card":   {Kind: FaultDecline, DeclineCode: "expired_card"},
	"timeout_after":  {Kind: FaultTimeoutAfter},
	"timeout_before": {Kind: FaultTimeoutBefore},
	"500_then_ok":    {Kind: FaultErrorBefore, perKey: 1},
	"500_after":      {Kind: FaultErrorAfter, perKey: 1},
	"429_then_ok":    {Kind: FaultRateLimited, perKey: 1},
	"malformed":      {Kind: FaultMalformed},
	"other_amount":   {Kind: FaultOtherAmount},
	"drip":           {Kind: FaultDrip},
	"slow":           {Kind: FaultSlow},
}

// allMethods gives pm_NAME of each fault of charging, and pm_OP_NAME of those that what follows a charge can have too:
// then the charge goes well, and the capture, void or refund of it does not.
func allMethods() map[string][]Fault {
	all := map[string][]Fault{
		"pm_lag": {{Kind: FaultErrorAfter, perKey: 1}, {Kind: FaultNotFound, Lookup: true}},
		// What became of it is told by webhook, journal and settlement only.
		"pm_lookup_fails": {{Kind: FaultErrorAfter}, {Kind: FaultErrorBefore, Lookup: true}},
	}
	for name, f := range charging {
		all["pm_"+name] = []Fault{f}
		if f.Kind == FaultDecline || f.Kind == "" {
			continue
		}
		for op := range idPrefixes {
			f.Op = op
			all["pm_"+string(op)+"_"+name] = []Fault{f}
		}
	}
	return all
}

// ofMethod is the fault that a payment method has by itself. Where its operation is not named, it is that of a charge
// or an authorization.
func ofMethod(r target) Fault {
	for _, f := range methods[r.method] {
		if f.hits(r) && (f.Op != "" || r.lookup || !r.op.follows()) {
			return f
		}
	}
	return Fault{}
}
