// Package redact takes out of text what must not be kept in a log: card numbers, e-mail addresses and secrets. It knows them
// by their looks, since what a caller writes into a free field is in nobody's hand.
//
// It would rather take too much than too little, except from ids: a log whose ids are cut up follows no order. UUIDs, trace
// ids, digests and timestamps therefore stay whole, although one in a few hundred of them holds digits that would make a card
// number.
package redact
