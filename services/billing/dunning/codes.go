package dunning

// Class says what a decline means for the attempts after it.
type Class string

// The classes there are.
const (
	// Hard: this payment method is not charged for this payment again.
	Hard Class = "hard"
	// Correctable: it is not charged again until what was wrong is put right.
	Correctable Class = "correctable"
	// Soft: it may go better later.
	Soft Class = "soft"
	// Unknown: the code is not in the table.
	Unknown Class = "unknown"
)

// Code is a provider's code for a decline.
type Code struct {
	// Name is Stripe's (docs.stripe.com/declines/codes), which the other connectors use too.
	Name    string
	Class   Class
	Meaning string
	// Source is the rule that puts it into its class: the response code and category of Visa's rule on decline response
	// codes (in force since April 2021), Mastercard's merchant advice code (MAC), or what Stripe says. Where these differ
	// the strictest holds.
	Source string
}

// Codes are the codes that are known.
func Codes() []Code {
	return []Code{
		{"card_not_supported", Hard, "The card does not take payments of this kind.", "Visa 57, category 1"},
		{"currency_not_supported", Hard, "The card does not take the currency.", "Stripe: ask whether the card takes the currency"},
		{"do_not_try_again", Hard, "The issuer says so.", "Mastercard MAC 03"},
		{"fraudulent", Hard, "The issuer or the provider suspects fraud.", "Mastercard MAC 03; Stripe: as lost_card"},
		{"incorrect_number", Hard, "There is no such card.", "Visa 14, categories 1 and 3"},
		{"invalid_account", Hard, "The account is closed or does not exist.", "Visa 14 and 46, category 1"},
		{"invalid_number", Hard, "There is no such card.", "Visa 14, categories 1 and 3"},
		{"lost_card", Hard, "The card is reported lost.", "Visa 41, category 1; Mastercard MAC 03"},
		{"merchant_blacklist", Hard, "The merchant has blocked the card.", "Stripe: on the block list"},
		{"not_permitted", Hard, "The payment is not permitted.", "Visa 57, category 1"},
		{"pickup_card", Hard, "The card is to be kept; it may be lost or stolen.", "Visa 04 and 07, category 1"},
		{"restricted_card", Hard, "The card may not be used; it may be lost or stolen.", "Stripe: may be lost or stolen; Visa 62 is category 2"},
		{"revocation_of_all_authorizations", Hard, "The customer has revoked all recurring payments.", "Visa R3, category 1; Mastercard MAC 21"},
		{"revocation_of_authorization", Hard, "The customer has revoked this recurring payment.", "Visa R1, category 1; Mastercard MAC 21"},
		{"security_violation", Hard, "The issuer suspects abuse.", "Mastercard 83 with MAC 03"},
		{"service_not_allowed", Hard, "The card is not allowed this service.", "Visa 57, category 1"},
		{"stolen_card", Hard, "The card is reported stolen.", "Visa 43, category 1; Mastercard MAC 03"},
		{"stop_payment_order", Hard, "The customer has stopped this payment.", "Visa R0, category 1; Mastercard MAC 21"},
		{"testmode_decline", Hard, "A card for tests was used.", "Stripe: use a genuine card"},
		{"transaction_not_allowed", Hard, "The card is not allowed payments of this kind.", "Visa 57, category 1"},

		{"amount_too_large", Correctable, "The amount is more than the provider takes.", "Stripe: another amount"},
		{"amount_too_small", Correctable, "The amount is less than the provider takes.", "Stripe: another amount"},
		{"authentication_required", Correctable, "The customer has to confirm the payment.", "Visa 1A, category 3"},
		{"duplicate_transaction", Correctable, "The same amount was charged to the card just before.", "Stripe: see whether there is a recent payment"},
		{"expired_card", Correctable, "The card has expired.", "Visa 54, category 3; Mastercard MAC 01"},
		{"incorrect_address", Correctable, "The address is wrong.", "Visa category 3"},
		{"incorrect_cvc", Correctable, "The security code is wrong.", "Visa N7, category 3"},
		{"incorrect_pin", Correctable, "The PIN is wrong.", "Visa 55, category 3"},
		{"incorrect_zip", Correctable, "The postal code is wrong.", "Visa category 3"},
		{"invalid_amount", Correctable, "The amount is wrong, or more than is allowed.", "Stripe: another amount"},
		{"invalid_cvc", Correctable, "The security code is wrong.", "Visa N7, category 3"},
		{"invalid_expiry_month", Correctable, "The month of expiry is wrong.", "Visa 54, category 3"},
		{"invalid_expiry_year", Correctable, "The year of expiry is wrong.", "Visa 54, category 3"},
		{"invalid_pin", Correctable, "The PIN is wrong.", "Visa 55, category 3"},
		{"new_account_information_available", Correctable, "The card was replaced by another.", "Mastercard MAC 01"},
		{"offline_pin_required", Correctable, "The card has to be there, with its PIN.", "Stripe: insert the card"},
		{"online_or_offline_pin_required", Correctable, "The card has to be there, with its PIN.", "Stripe: enter the PIN"},
		{"pin_try_exceeded", Correctable, "The PIN was wrong too often.", "Stripe: another card or method"},

		{"approve_with_id", Soft, "The payment cannot be authorized now.", "Stripe: try again"},
		{"call_issuer", Soft, "The issuer gives no reason.", "Visa category 4"},
		{"card_declined", Soft, "The issuer gives no reason.", "Visa category 4"},
		{"card_velocity_exceeded", Soft, "The balance, credit or limit of the card is used up.", "Visa 61, category 2; Mastercard MAC 02"},
		{"do_not_honor", Soft, "The issuer gives no reason.", "Visa 05, category 4"},
		{"generic_decline", Soft, "The issuer gives no reason.", "Visa category 4"},
		{"insufficient_funds", Soft, "There is not enough money.", "Visa 51, category 2; Mastercard MAC 02"},
		{"issuer_not_available", Soft, "The issuer cannot be reached.", "Visa 91, category 2"},
		{"no_action_taken", Soft, "The issuer gives no reason.", "Visa category 4"},
		{"processing_error", Soft, "Something went wrong on the way.", "Visa 96, category 2"},
		{"reenter_transaction", Soft, "Something went wrong on the way.", "Visa 19, category 2"},
		{"try_again_later", Soft, "The issuer asks for another attempt.", "Mastercard MAC 02"},
		{"withdrawal_count_limit_exceeded", Soft, "The card was used too often.", "Visa 65, category 2; Mastercard MAC 02"},
	}
}

// classes are the classes of the codes that are known. It is never written to.
var classes = classesOf(Codes())

func classesOf(codes []Code) map[string]Class {
	all := make(map[string]Class, len(codes))
	for _, c := range codes {
		all[c.Name] = c.Class
	}
	return all
}

// ClassOf is the class of a provider's code.
func ClassOf(code string) Class {
	if class, known := classes[code]; known {
		return class
	}
	return Unknown
}
