// Package provider is how the payment service speaks to a payment provider: the interface, what an answer can
// mean, and the connectors.
//
// A request for money ends in one of five ways, and a connector must never guess between them. Succeeded,
// Declined and MethodUnknown are the provider's own word. Unknown means that the request may have left and no
// word came back: it may have happened, or may still happen. NotSent means that it certainly did not leave.
package provider
