package breaks

// Severity is how pressing a break is.
type Severity uint8

// The severities, as in the proto and in the database.
const (
	Low Severity = iota + 1
	Medium
	High
	Critical
)

// String is the severity's name.
func (s Severity) String() string {
	return [...]string{"none", "low", "medium", "high", "critical"}[min(s, Critical)]
}

// Resolution is what ended a break.
type Resolution uint8

// The resolutions, as in the proto and in the database; zero is none.
const (
	Matched    Resolution = iota + 1 // its movements are matched
	Vanished                         // whoever saw it does not see it any more
	Accepted                         // a person accepts it, with a note
	WrittenOff                       // a journal gives the money up
	Reposted                         // a journal puts right what was booked
	Repaired                         // whoever caused it was driven on
)

// String is the resolution's name.
func (r Resolution) String() string {
	return [...]string{"none", "matched", "vanished", "accepted", "written_off", "reposted", "repaired"}[min(r, Repaired)]
}

// ByEvidence says that no person has decided that the difference is well as it is: seen again, the break is open again. A repair
// is of these: what is there again afterwards was not repaired.
func (r Resolution) ByEvidence() bool { return r == Matched || r == Vanished || r == Repaired }

// Kind is what the taxonomy says of a code.
type Kind struct {
	Code    Code
	Meaning string
	// Action is what is done about it by default.
	Action string
	// Severity is the least there is, whatever the amount.
	Severity Severity
	// Resolutions are what a person may end it by, besides accepting it.
	Resolutions []Resolution
	// Against is the ledger account that a repost books it against.
	Against string
}

// The ledger accounts that breaks are booked against.
const (
	accountFees      = "fees"
	accountSuspense  = "suspense"
	AccountWriteOffs = "write_offs" // what is written off
)

var (
	bookable           = []Resolution{WrittenOff, Reposted}
	repairable         = []Resolution{Repaired}
	bookableRepairable = []Resolution{WrittenOff, Reposted, Repaired}
)

// Taxonomy gives all codes, in the order of the documentation.
func Taxonomy() []Kind {
	return []Kind{
		{TimingOpen, "The counterpart is not due yet.", "It ages; it is never kept as a break.", Low, nil, ""},
		{MissingAtProvider, "Ours is not in the provider's report after its due date.", "Ask the provider by key, then escalate.", Medium, bookableRepairable, accountSuspense},
		{MissingAtBank, "Ours, or a payout, is not on the bank statement after its due date.", "Ask the provider, then escalate.", Medium, bookableRepairable, accountSuspense},
		{MissingInternally, "Theirs has none of ours.", "Look it up by reference; book it to suspense, never to revenue.", Medium, bookableRepairable, accountSuspense},
		{UnknownResolved, "A payment in doubt is proven by a statement.", "Finish or compensate the saga, and link the evidence.", High, repairable, ""},
		{AmountOver, "The same id, and theirs is more than ours.", "Within rounding, book it; else it stays open.", Low, bookable, accountSuspense},
		{AmountUnder, "The same id, and theirs is less than ours.", "Within rounding, book it; else it stays open.", Low, bookable, accountSuspense},
		{FeeVariance, "The gross ties, the fee does not.", "Accumulate, and ask for the fee schedule.", Low, bookable, accountFees},
		{FXVariance, "The gross ties, the rate does not.", "Book it.", Low, bookable, accountSuspense},
		{CurrencyMismatch, "The same id in another currency.", "It stays open.", High, bookable, accountSuspense},
		{DuplicateExternal, "Theirs has two for one of ours.", "Propose a refund.", High, bookableRepairable, accountSuspense},
		{DuplicateInternal, "Ours has two for one of theirs.", "Propose a reversal.", High, bookableRepairable, accountSuspense},
		{DuplicateFile, "The file was taken in before.", "It was dropped, and is recorded.", Low, nil, ""},
		{OverlappingStatement, "The statement covers what another one has.", "It is held.", Medium, nil, ""},
		{SequenceGap, "A statement is missing before it.", "It is held until the missing one is there.", Medium, nil, ""},
		{BatchControl, "The file's own control totals do not hold.", "It is in quarantine, and nothing of it is matched.", High, nil, ""},
		{StateConflict, "We say failed and they say captured, or the reverse.", "Repair the saga.", Critical, bookableRepairable, accountSuspense},
		{DateOutOfWindow, "All but the date ties.", "It is matched, with this note.", Low, nil, ""},
		{ReferenceMismatch, "All but the reference ties.", "It is suggested, and a person decides.", Low, bookable, accountSuspense},
		{Ambiguous, "Several are equally good.", "None is ever picked; a person decides.", Medium, bookable, accountSuspense},
		{SplitIncomplete, "Parts that belong together leave a residual.", "Look for the residual, which is named.", Medium, bookable, accountSuspense},
		{PayoutUnexplained, "A payout at the bank without origin.", "Look for its lines.", High, bookable, accountSuspense},
		{ReturnUnmatched, "A return or refund without origin.", "Look back without limit.", Medium, bookable, accountSuspense},
		{ChargebackUnmatched, "A chargeback without origin.", "Look back without limit.", High, bookable, accountSuspense},
		{LedgerInvariant, "A clearing account is not zero after its time.", "Page somebody.", Critical, bookable, accountSuspense},
		{SagaDivergence, "What the services did to an order does not go together.", "Drive the saga on under the same keys.", High, repairable, ""},
	}
}

// Describe gives what the taxonomy says of a code, and whether it is one.
func Describe(c Code) (Kind, bool) {
	for _, k := range Taxonomy() {
		if k.Code == c {
			return k, true
		}
	}
	return Kind{}, false
}
