package rpcerr

import (
	"iter"
	"slices"

	"google.golang.org/grpc/codes"
)

// Reason is the machine-readable cause of an error, UPPER_SNAKE_CASE, sent as ErrorInfo.reason (AIP-193). A
// reason is part of the API: it is never renamed, and clients may branch on it.
type Reason string

// The registered reasons. What each means, and the code it is sent with, stands in the table below.
const (
	RequestInvalid          Reason = "REQUEST_INVALID"
	RequestMalformed        Reason = "REQUEST_MALFORMED"
	FilterInvalid           Reason = "FILTER_INVALID"
	MixedCurrencies         Reason = "MIXED_CURRENCIES"
	CurrencyUnknown         Reason = "CURRENCY_UNKNOWN"
	AmountNotPositive       Reason = "AMOUNT_NOT_POSITIVE"
	AmountOverflow          Reason = "AMOUNT_OVERFLOW"
	QuantityOverflow        Reason = "QUANTITY_OVERFLOW"
	SKUUnknown              Reason = "SKU_UNKNOWN"
	PaymentMethodUnknown    Reason = "PAYMENT_METHOD_UNKNOWN"
	IdempotencyKeyMissing   Reason = "IDEMPOTENCY_KEY_MISSING"
	IdempotencyKeyInvalid   Reason = "IDEMPOTENCY_KEY_INVALID"
	IdempotencyKeyReused    Reason = "IDEMPOTENCY_KEY_REUSED"
	IdempotencyKeyInFlight  Reason = "IDEMPOTENCY_KEY_IN_FLIGHT"
	IdempotencyKeyExpired   Reason = "IDEMPOTENCY_KEY_EXPIRED"
	StepTombstoned          Reason = "STEP_TOMBSTONED"
	EpochStale              Reason = "EPOCH_STALE"
	NotFound                Reason = "NOT_FOUND"
	OrderNotCancellable     Reason = "ORDER_NOT_CANCELLABLE"
	SagaRefusesVerb         Reason = "SAGA_REFUSES_VERB"
	OperationNotOpen        Reason = "OPERATION_NOT_OPEN"
	InsufficientStock       Reason = "INSUFFICIENT_STOCK"
	ReservationNotHeld      Reason = "RESERVATION_NOT_HELD"
	ReservationExpired      Reason = "RESERVATION_EXPIRED"
	StockHistoryDamaged     Reason = "STOCK_HISTORY_DAMAGED"
	AdjustmentBelowReserved Reason = "ADJUSTMENT_BELOW_RESERVED"
	PaymentDeclined         Reason = "PAYMENT_DECLINED"
	PaymentOutcomeUnknown   Reason = "PAYMENT_OUTCOME_UNKNOWN"
	PaymentStateRefused     Reason = "PAYMENT_STATE_REFUSED"
	PaymentBusy             Reason = "PAYMENT_BUSY"
	CurrencyMismatch        Reason = "CURRENCY_MISMATCH"
	CaptureExceeded         Reason = "CAPTURE_EXCEEDED"
	CaptureRefused          Reason = "CAPTURE_REFUSED"
	VoidRefused             Reason = "VOID_REFUSED"
	RefundExceeded          Reason = "REFUND_EXCEEDED"
	RefundRefused           Reason = "REFUND_REFUSED"
	JournalUnbalanced       Reason = "JOURNAL_UNBALANCED"
	JournalExists           Reason = "JOURNAL_EXISTS"
	CarrierUnknown          Reason = "CARRIER_UNKNOWN"
	ServiceLevelNotOffered  Reason = "SERVICE_LEVEL_NOT_OFFERED"
	CarrierRefused          Reason = "CARRIER_REFUSED"
	CarrierOutcomeUnknown   Reason = "CARRIER_OUTCOME_UNKNOWN"
	ShipmentHandedOver      Reason = "SHIPMENT_HANDED_OVER"
	ShipmentStateRefused    Reason = "SHIPMENT_STATE_REFUSED"
	FileMalformed           Reason = "FILE_MALFORMED"
	BatchDuplicate          Reason = "BATCH_DUPLICATE"
	BatchHasDuplicates      Reason = "BATCH_HAS_DUPLICATES"
	BatchStateRefused       Reason = "BATCH_STATE_REFUSED"
	ScheduleStateRefused    Reason = "SCHEDULE_STATE_REFUSED"
	OccurrenceExists        Reason = "OCCURRENCE_EXISTS"
	RunUnderWay             Reason = "RUN_UNDER_WAY"
	RunBehind               Reason = "RUN_BEHIND"
	RunStateRefused         Reason = "RUN_STATE_REFUSED"
	MovementNotOpen         Reason = "MOVEMENT_NOT_OPEN"
	StatementStateRefused   Reason = "STATEMENT_STATE_REFUSED"
	BreakStateRefused       Reason = "BREAK_STATE_REFUSED"
	BreakResolutionRefused  Reason = "BREAK_RESOLUTION_REFUSED"
	BreakNotRepairable      Reason = "BREAK_NOT_REPAIRABLE"
	BreakMovementMatched    Reason = "BREAK_MOVEMENT_MATCHED"
	BreakSamePerson         Reason = "BREAK_SAME_PERSON"
	DeadLetterEnded         Reason = "DEAD_LETTER_ENDED"
	DeadLetterNoConsumer    Reason = "DEAD_LETTER_NO_CONSUMER"
	IntakeUnavailable       Reason = "INTAKE_UNAVAILABLE"
	DestinationDown         Reason = "DESTINATION_DOWN"
	Overloaded              Reason = "OVERLOADED"
	QuotaExceeded           Reason = "QUOTA_EXCEEDED"
	DeadlineTooShort        Reason = "DEADLINE_TOO_SHORT"
	DeadlineExceeded        Reason = "DEADLINE_EXCEEDED"
	Cancelled               Reason = "CANCELLED"
	ShuttingDown            Reason = "SHUTTING_DOWN"
	WatchNotRead            Reason = "WATCH_NOT_READ"
	RouteUnknown            Reason = "ROUTE_UNKNOWN"
	OriginRefused           Reason = "ORIGIN_REFUSED"
	RequestTooLarge         Reason = "REQUEST_TOO_LARGE"
	TooManyWatches          Reason = "TOO_MANY_WATCHES"
	Internal                Reason = "INTERNAL"
)

// Registration is a reason with the code it is always sent with and its meaning.
type Registration struct {
	Reason  Reason
	Code    codes.Code
	Meaning string
}

// registry is the table of all reasons; docs/reference/errors.md is printed from it.
var registry = []Registration{
	{RequestInvalid, codes.InvalidArgument, "A field of the request breaks its rule; each is named."},
	{RequestMalformed, codes.InvalidArgument, "The request could not be decoded, for instance for a string that is not UTF-8."},
	{FilterInvalid, codes.InvalidArgument, "The filter of a list cannot be read, or asks for what there is not; the place is named, and the fields there are."},
	{MixedCurrencies, codes.InvalidArgument, "The amounts of one order are in more than one currency."},
	{CurrencyUnknown, codes.InvalidArgument, "The currency is not a code of ISO 4217 that has minor units."},
	{AmountNotPositive, codes.InvalidArgument, "An amount that must be more than zero is not."},
	{AmountOverflow, codes.InvalidArgument, "An amount or a sum of amounts does not fit in 64 bits."},
	{QuantityOverflow, codes.InvalidArgument, "The quantities of one SKU do not add up within 64 bits."},
	{SKUUnknown, codes.NotFound, "The SKU was never received into stock."},
	{PaymentMethodUnknown, codes.InvalidArgument, "The payment provider does not know the payment method."},
	{IdempotencyKeyMissing, codes.InvalidArgument, "The method needs an idempotency key and the request has none."},
	{IdempotencyKeyInvalid, codes.InvalidArgument, "The idempotency key is not 8 to 255 printable ASCII characters."},
	{IdempotencyKeyReused, codes.FailedPrecondition, "The idempotency key was used for another request; the fields that differ are named."},
	{IdempotencyKeyInFlight, codes.Aborted, "The first request under the idempotency key has not finished; ask again."},
	{IdempotencyKeyExpired, codes.FailedPrecondition, "The idempotency key is past its time; what it made is named and is never made again."},
	{StepTombstoned, codes.FailedPrecondition, "The step was compensated before it arrived and is refused for ever."},
	{EpochStale, codes.Aborted, "Another owner of the saga has sent this step since, under a higher epoch; nothing was done."},
	{NotFound, codes.NotFound, "There is nothing of that id."},
	{OrderNotCancellable, codes.FailedPrecondition, "The order has ended, or shipping has begun."},
	{SagaRefusesVerb, codes.FailedPrecondition, "What an operator wants of the saga is not possible where it stands, or would not be safe."},
	{OperationNotOpen, codes.FailedPrecondition, "An operation on many things has ended, or its plan is more than an hour old; plan it again."},
	{InsufficientStock, codes.FailedPrecondition, "There are fewer pieces available than asked for; the SKUs are named."},
	{ReservationNotHeld, codes.FailedPrecondition, "The reservation was released and cannot be committed."},
	{ReservationExpired, codes.FailedPrecondition, "The time of the reservation was over before it was committed; its pieces are back in stock."},
	{StockHistoryDamaged, codes.FailedPrecondition, "The events of the SKU do not add up to a level; the first that is impossible is named."},
	{AdjustmentBelowReserved, codes.FailedPrecondition, "The correction would take away pieces that are promised; how many are not is said."},
	{PaymentDeclined, codes.FailedPrecondition, "The payment provider declined the charge; no money was taken."},
	{PaymentOutcomeUnknown, codes.Unavailable, "The payment provider was asked and its answer was lost; ask again under the same key."},
	{PaymentStateRefused, codes.FailedPrecondition, "What is asked of the payment is not possible in the state in which it is."},
	{PaymentBusy, codes.Aborted, "Another operation on the payment is on its way or in doubt; ask again under the same key."},
	{CurrencyMismatch, codes.InvalidArgument, "The amount is in another currency than the payment."},
	{CaptureExceeded, codes.FailedPrecondition, "More is to be captured than was authorized."},
	{CaptureRefused, codes.FailedPrecondition, "The payment provider does not take what was authorized; a person has to look."},
	{VoidRefused, codes.FailedPrecondition, "The payment provider does not release what was authorized; a person has to look."},
	{RefundExceeded, codes.FailedPrecondition, "More is to be given back than is left of what was captured."},
	{RefundRefused, codes.FailedPrecondition, "The payment provider does not give the money back; a person has to look."},
	{JournalUnbalanced, codes.InvalidArgument, "The lines of a journal do not sum to zero in a currency."},
	{JournalExists, codes.AlreadyExists, "The ledger has a journal of the kind and key already; it is named, and nothing was posted."},
	{CarrierUnknown, codes.InvalidArgument, "The service has no carrier of that name."},
	{ServiceLevelNotOffered, codes.InvalidArgument, "The carrier does not offer the service level."},
	{CarrierRefused, codes.FailedPrecondition, "The carrier does not take the shipment."},
	{CarrierOutcomeUnknown, codes.Unavailable, "The carrier was asked and its answer was lost; ask again under the same key."},
	{ShipmentHandedOver, codes.FailedPrecondition, "The carrier has the shipment, which cannot be cancelled any more; a person has to look."},
	{ShipmentStateRefused, codes.FailedPrecondition, "What is asked of the shipment is not possible in the state in which it is."},
	{FileMalformed, codes.InvalidArgument, "The file as a whole cannot be read, for instance because its heading lacks a column; no row of it was taken."},
	{BatchDuplicate, codes.AlreadyExists, "Another batch has the same payments; it is named."},
	{BatchHasDuplicates, codes.FailedPrecondition, "Items of the batch have references that earlier batches have; look at them, and accept them or not."},
	{BatchStateRefused, codes.FailedPrecondition, "What is asked of the batch is not possible in the state in which it is."},
	{ScheduleStateRefused, codes.FailedPrecondition, "What is asked of the schedule is not possible in the state in which it is."},
	{OccurrenceExists, codes.AlreadyExists, "The schedule has its occurrence of today already; it is named, and a day is never charged twice."},
	{RunUnderWay, codes.FailedPrecondition, "A reconciliation is under way, and there is one at a time; it is named."},
	{RunBehind, codes.FailedPrecondition, "The day of the run is before that of the last one, which has judged by it what is due; a simulation may be of any day."},
	{RunStateRefused, codes.FailedPrecondition, "What is asked of the run is not possible in the state in which it is."},
	{MovementNotOpen, codes.FailedPrecondition, "No run has looked at a movement yet, so that it cannot be decided on."},
	{StatementStateRefused, codes.FailedPrecondition, "What is asked of the statement or its file is not possible in the state in which it is."},
	{BreakStateRefused, codes.FailedPrecondition, "What is decided on the break is not possible in the state in which it is."},
	{BreakResolutionRefused, codes.FailedPrecondition, "Breaks of this code, or of this amount, do not end that way."},
	{BreakNotRepairable, codes.FailedPrecondition, "Nothing here repairs breaks of this code; a person has to."},
	{BreakMovementMatched, codes.FailedPrecondition, "A movement of the break is in another match; that one is undone first, or the next run closes the break."},
	{BreakSamePerson, codes.PermissionDenied, "Who asked for a journal does not approve it; a second person does."},
	{DeadLetterEnded, codes.FailedPrecondition, "The event of the dead letter took effect; it is not discarded any more."},
	{DeadLetterNoConsumer, codes.FailedPrecondition, "The process has no consumer of the name that the dead letter has; it can be discarded."},
	{IntakeUnavailable, codes.Unavailable, "Neither the database nor the intake stream has taken the order in, or has said so; ask again under the same key."},
	{DestinationDown, codes.Unavailable, "Nothing was sent, because what it would be sent to does not answer at present."},
	{Overloaded, codes.Unavailable, "There is more work than can be done, and other work goes first; nothing was done. Ask again after the time that is told."},
	{QuotaExceeded, codes.ResourceExhausted, "The caller has used up what it may do in the time; the limit is named, and nothing was done. Ask again after the time that is told."},
	{DeadlineTooShort, codes.DeadlineExceeded, "The time left was too short to begin; nothing was done."},
	{DeadlineExceeded, codes.DeadlineExceeded, "The time ran out; the outcome is not known to the caller."},
	{Cancelled, codes.Canceled, "The caller went away; the outcome is not known to it."},
	{ShuttingDown, codes.Unavailable, "The server is stopping; ask again, another one answers."},
	{WatchNotRead, codes.Aborted, "What a watch sends was not read for too long; watch again behind the cursor that is named."},
	{RouteUnknown, codes.NotFound, "Over HTTP: there is nothing at this path, or nothing that this method does there."},
	{OriginRefused, codes.PermissionDenied, "Over HTTP: the request comes from a web page of another origin, which is not allowed (web.allow_origins)."},
	{RequestTooLarge, codes.InvalidArgument, "Over HTTP: the body of the request is larger than 1 MiB."},
	{TooManyWatches, codes.ResourceExhausted, "The caller, or all callers together, have as many live connections open as they may; close one, or try again later."},
	{Internal, codes.Internal, "Something went wrong that the caller can do nothing about; the outcome is not known."},
}

// Reasons iterates over all registered reasons in the order of the documentation.
func Reasons() iter.Seq[Registration] { return slices.Values(registry) }

// Code is the gRPC code that the reason is sent with; Internal for one that is not registered.
func (r Reason) Code() codes.Code {
	for _, reg := range registry {
		if reg.Reason == r {
			return reg.Code
		}
	}
	return codes.Internal
}

// notBegun are the reasons that say that nothing was begun, whatever their code.
var notBegun = map[Reason]bool{
	DestinationDown: true, DeadlineTooShort: true, ShuttingDown: true, Overloaded: true, QuotaExceeded: true,
}

// NotBegun tells whether the reason says that nothing was begun: what was asked for costs no attempt.
func (r Reason) NotBegun() bool { return notBegun[r] }
