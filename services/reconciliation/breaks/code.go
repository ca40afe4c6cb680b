package breaks

// Code says what kind of difference a break is.
type Code string

// The codes there are.
const (
	TimingOpen           Code = "TIMING_OPEN"           // the counterpart is not due yet
	MissingAtProvider    Code = "MISSING_AT_PROVIDER"   // ours is not in the provider's report after its due date
	MissingAtBank        Code = "MISSING_AT_BANK"       // ours, or a payout, is not on the bank statement after its due date
	MissingInternally    Code = "MISSING_INTERNALLY"    // theirs has none of ours
	UnknownResolved      Code = "UNKNOWN_RESOLVED"      // a payment in doubt is proven by a statement
	AmountOver           Code = "AMOUNT_OVER"           // same id, theirs is more than ours
	AmountUnder          Code = "AMOUNT_UNDER"          // same id, theirs is less than ours
	FeeVariance          Code = "FEE_VARIANCE"          // the gross ties, the fee does not
	FXVariance           Code = "FX_VARIANCE"           // the gross ties, the rate does not
	CurrencyMismatch     Code = "CURRENCY_MISMATCH"     // same id, other currency
	DuplicateExternal    Code = "DUPLICATE_EXTERNAL"    // theirs has two for one of ours
	DuplicateInternal    Code = "DUPLICATE_INTERNAL"    // ours has two for one of theirs
	DuplicateFile        Code = "DUPLICATE_FILE"        // the file was taken in before
	OverlappingStatement Code = "OVERLAPPING_STATEMENT" // the statement covers what another one has
	SequenceGap          Code = "SEQUENCE_GAP"          // a statement is missing before it
	BatchControl         Code = "BATCH_CONTROL"         // the file's own control totals do not hold
	StateConflict        Code = "STATE_CONFLICT"        // we say failed, they say captured, or the reverse
	DateOutOfWindow      Code = "DATE_OUT_OF_WINDOW"    // all but the date ties
	ReferenceMismatch    Code = "REFERENCE_MISMATCH"    // all but the reference ties
	Ambiguous            Code = "AMBIGUOUS"             // several are equally good
	SplitIncomplete      Code = "SPLIT_INCOMPLETE"      // parts that belong together leave a residual
	PayoutUnexplained    Code = "PAYOUT_UNEXPLAINED"    // a payout at the bank without origin
	ReturnUnmatched      Code = "RETURN_UNMATCHED"      // a return or refund without origin
	ChargebackUnmatched  Code = "CHARGEBACK_UNMATCHED"  // a chargeback without origin
	LedgerInvariant      Code = "LEDGER_INVARIANT"      // a clearing account is not zero after its time
	SagaDivergence       Code = "SAGA_DIVERGENCE"       // what the services did to an order does not go together
)
