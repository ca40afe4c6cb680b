package idem

// Done and Refused are the states of a row that keeps an answer.
const (
	Done    = int16(done)
	Refused = int16(refused)
)

// Replay reads what a row keeps for a request.
func Replay(r Request, kept int16, fingerprint, answer []byte, into any) (replayed bool, refusal, err error) {
	fieldDigests(fingerprint) // as Find shows them
	return row{state: state(kept), fingerprint: fingerprint, answer: answer}.replay(r, into)
}
