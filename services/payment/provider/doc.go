// Package provider is how the payment service speaks to a payment provider: the interface, what an answer can
// mean, and the connectors.
//
// A request ends in one of five ways, and a connector must never guess between them. Succeeded, Declined and
// MethodUnknown are the provider's own word. Unknown means that the request may have left and no word came back: it
// may have happened, or may still happen. NotSent means that it certainly did not leave.
//
// The connectors are [Sim], to the simulator in pspsim, and [Stripe]; [New] makes the one that is configured. Each makes
// its calls through an account: bounded in time, traced, behind a [Breaker] that an operator can hold open. Package
// providertest is what every connector must pass.
//
// What speaks against the provider, and opens the breaker, is no answer: connections that are refused or die, no whole
// answer within the call's timeout, and 5xx. Whatever else it answers shows that it is up, even what cannot be read. A
// caller who went away, or left it less than half the timeout, says nothing either way. Where calls are too few for a rate,
// three in a row open it, if none has succeeded for a window.
package provider
