package auditing

import auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"

// comparison is an invariant that spans services.
type comparison int

const (
	chargedOnce comparison = iota
	netCharge
	netAtProvider
	noUnknownSuccess
	noUnknownCapture
	chargedAsOrdered
	sameAmounts
	stockOfOrders
	shipmentsOfOrders
	nothingLeftOpen
	nothingLeftSetAside
	completedOnce
	itemsOfSagas
)

// comparisons are all there are, by number.
var comparisons = [...]struct {
	number    int32
	name      string
	kind      auditv1.CheckKind
	provider  bool // needs the provider's journal
	statement string
}{
	chargedOnce: {1, "charged_once", auditv1.CheckKind_CHECK_KIND_ALWAYS, true,
		"The provider charged or authorized at most once under one key, and took money of it at most once."},
	netCharge: {2, "net_charge", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"We took the total of a completed order or recurring payment, hold nothing of a compensated one, and nothing for one that nobody asked for."},
	netAtProvider: {2, "net_at_provider", auditv1.CheckKind_CHECK_KIND_QUIET, true,
		"The provider took the total of a completed order or recurring payment, and on balance nothing for any other that has ended."},
	noUnknownSuccess: {3, "no_unknown_success", auditv1.CheckKind_CHECK_KIND_QUIET, true,
		"What the provider took and gave back for an order or recurring payment that has ended, and what the customer's bank took back, is in our books."},
	noUnknownCapture: {4, "no_unknown_capture", auditv1.CheckKind_CHECK_KIND_ALWAYS, true,
		"Whatever our books say was set aside, taken or given back, the provider set aside, took or gave back."},
	chargedAsOrdered: {5, "charged_as_ordered", auditv1.CheckKind_CHECK_KIND_ALWAYS, false,
		"A payment is about the total of its order or recurring payment, in its currency."},
	sameAmounts: {5, "same_amounts", auditv1.CheckKind_CHECK_KIND_ALWAYS, true,
		"Amount and currency of a charge or authorization are the same at the provider and in our books."},
	stockOfOrders: {14, "stock_of_orders", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"The shipped pieces of a SKU are those of completed orders, the reserved ones those of orders that have not ended."},
	shipmentsOfOrders: {15, "shipments_of_orders", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"No shipment is scheduled for a compensated order, nor for an order that nobody placed."},
	nothingLeftOpen: {19, "nothing_left_open", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"When an order or recurring payment has ended, no payment and no shipment of it is on its way or in doubt, and no money merely set aside."},
	nothingLeftSetAside: {19, "nothing_left_set_aside", auditv1.CheckKind_CHECK_KIND_QUIET, true,
		"When an order or recurring payment has ended, the provider has captured or voided what it had set aside for it."},
	completedOnce: {20, "completed_once", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"A completed order has one captured payment and one scheduled shipment, a completed recurring payment one captured payment."},
	itemsOfSagas: {47, "items_of_sagas", auditv1.CheckKind_CHECK_KIND_QUIET, false,
		"In a batch of which nothing is under way, the items that succeeded are those whose last attempt has a completed saga."},
}

// finding is something that a comparison is wrong about, by id.
type finding struct {
	comparison comparison
	id         string
}

// findings are what is wrong, with the details.
type findings map[finding]string
