package breaks

import "fmt"

// State is where a break is in its life.
type State uint8

// The states, as in the proto and in the database.
const (
	Open            State = iota + 1 // nobody has said anything about it
	Acknowledged                     // somebody looks at it
	Resolving                        // a journal or a repair is under way that ends it
	PendingApproval                  // a second person has to approve what is to end it
	Resolved                         // it has ended; its resolution says how
)

// String is the state's name.
func (s State) String() string {
	return [...]string{"none", "open", "acknowledged", "resolving", "pending_approval", "resolved"}[min(s, Resolved)]
}

// States gives all states.
func States() []State { return []State{Open, Acknowledged, Resolving, PendingApproval, Resolved} }

// Verb is what happens to a break.
type Verb string

// What people do.
const (
	Ack     Verb = "ack"     // says that somebody looks at it
	Assign  Verb = "assign"  // says who
	Snooze  Verb = "snooze"  // leaves it alone until a time
	Resolve Verb = "resolve" // has a journal or a repair end it
	Accept  Verb = "accept"  // leaves it as it is, with a note
	Reopen  Verb = "reopen"  // takes the end of it back
	Approve Verb = "approve" // lets what another person proposed be done
	Reject  Verb = "reject"  // does not
)

// What happens by itself.
const (
	See     Verb = "see"     // it is seen, for the first time or again
	Match   Verb = "match"   // its movements are matched
	Vanish  Verb = "vanish"  // who saw it has looked, and does not see it any more
	Propose Verb = "propose" // resolve, where a second person has to approve
	Finish  Verb = "finish"  // the journal is posted, or the repair done
	Fail    Verb = "fail"    // the journal or the repair is refused for good
)

// Verbs gives all verbs, those of people first.
func Verbs() []Verb {
	return []Verb{Ack, Assign, Snooze, Resolve, Accept, Reopen, Approve, Reject, See, Match, Vanish, Propose, Finish, Fail}
}

// life says what a break is after each verb. What is not in it is refused.
var life = map[State]map[Verb]State{
	Open: {
		Ack: Acknowledged, Assign: Acknowledged, Snooze: Open, Resolve: Resolving, Propose: PendingApproval, Accept: Resolved,
		See: Open, Match: Resolved, Vanish: Resolved,
	},
	Acknowledged: {
		Assign: Acknowledged, Snooze: Acknowledged, Resolve: Resolving, Propose: PendingApproval, Accept: Resolved,
		See: Acknowledged, Match: Resolved, Vanish: Resolved,
	},
	// What was begun is ended, whatever is seen meanwhile: a journal that may be posted already cannot be left out.
	Resolving:       {Finish: Resolved, Fail: Acknowledged, See: Resolving, Match: Resolving, Vanish: Resolving},
	PendingApproval: {Approve: Resolving, Reject: Acknowledged, See: PendingApproval, Match: Resolved, Vanish: Resolved},
	Resolved:        {Reopen: Open, See: Open, Match: Resolved, Vanish: Resolved},
}

// Next gives the state of a break after a verb, and whether it takes it at all. What a person has decided to leave stays resolved
// when it is seen again.
func Next(from State, by Resolution, v Verb) (State, bool) {
	if from == Resolved && v == See && !by.ByEvidence() {
		return Resolved, true
	}
	to, ok := life[from][v]
	return to, ok
}

// Refusal says why a break in a state does not take a verb.
func Refusal(from State, v Verb) string {
	return fmt.Sprintf("a break that is %s cannot take %s", from, v)
}
