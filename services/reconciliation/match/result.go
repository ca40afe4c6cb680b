package match

import "github.com/tieout/tieout/services/reconciliation/breaks"

// Input is one partition: an account and a currency at a stage.
type Input struct {
	// Ours and Theirs may be put in another order; results name rows by their place afterwards.
	Ours, Theirs []Row
	// Stray are rows of ours that another stage misses: they may explain why a payout is more or less than its lines. They are
	// never matched.
	Stray []Row
	// AsOf is the day on which it is judged what is due.
	AsOf Day
	// Text gives the references and remittance information of a row, as it was written, for the few rows where tokens are not
	// enough. It must give the same text for the same row each time.
	Text func(Row) string
}

// Pass says how a match was proven.
type Pass uint8

// The passes, in their order.
const (
	PassByHand    Pass = iota // a person decided
	PassStrongID              // the same id in a carrier
	PassComposite             // the only ones with this reference and amount, or amount and day
	PassPayout                // the lines of a payout come to the credit
	PassWindow                // the only assignment within tolerance and days
	PassFuzzy                 // the same, by similar references
	PassSubset                // the only subset that comes to the amount
)

// Match is rows that are the same money. The places are indices into Input.Ours and Input.Theirs after the run.
type Match struct {
	Ours, Theirs []int32
	Pass         Pass
	// Carriers are, of a match by id, where ours and theirs carry it.
	OursBy, TheirsBy Carrier
	// Score is how good it is, in thousandths: 1000 when everything ties.
	Score int16
	// Evidence says for people and for the digest what was compared, where the pass and the carriers do not say all; as
	// JSON. Empty else.
	Evidence string
}

// Finding is what is not as it should be.
type Finding struct {
	Code         breaks.Code
	Ours, Theirs []int32
	// Amount is the money that is not explained, in minor units: theirs less ours, of a fee what theirs is more.
	Amount int64
	// Matched says that the rows are matched nevertheless: the finding is a note on that match.
	Matched bool
	// Payout and Effect say by how much the payout with this token is off because of it.
	Payout Token
	Effect int64
	// Nearest is the candidate that came closest, and why it is not the one; as JSON. Empty when there was none.
	Nearest string
}
