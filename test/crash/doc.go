// Package crash kills processes at every cut that package failpoint marks, and looks whether the promises still hold.
//
// A scenario is a few orders that all go one way: through, or back for one reason. It runs once on fresh processes that
// write down which cuts they pass, and how often. Then it runs again for each of these cuts, the process that passes it
// dying there, once by itself:
//
//   - restart: the process is started again;
//   - takeover, for the orchestrator: a second replica runs beside it and goes on alone. Nobody else has a second one to
//     take over, because nobody else works on his own.
//
// Of a cut that is passed many times the first, the second and the last time are tried. How much goes into one batch is
// chance, so a process may not come to pass a cut as often as it did: such a death is reported as missed. The relay and
// the inbox of events do not know what the events are about, so theirs are tried in one scenario that goes through and
// one that goes back.
//
// After each death every order that was acknowledged must be there and end in the way it should, and everything must tie
// out: the invariants, the provider's journal, the stream. The timeline is looked at when all of a scenario is over, for
// an event that a dead consumer had in hand comes again only after half a minute.
//
// The replays of a scenario share a world, databases included, so each also runs on what the deaths before it left
// behind; that is cheaper than a world each, and harder. A replay that fails spoils its world, and the next gets a new
// one. Scenarios have worlds of their own and run side by side.
//
// `go test` tries a fixed sample; `make crash` tries everything. A failure tells the command that tries only it.
package crash
