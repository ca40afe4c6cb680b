// Package outbox publishes events that were written in the transaction of the change they tell of.
//
// Write puts events into the table outbox; they exist exactly when the change does. Run is the relay: it publishes
// what is not published yet to the stream bus.Stream and writes down the sequence the stream gave it.
//
// What holds, whatever crashes:
//
//   - Every committed event is published at least once. A relay that dies between publishing and marking publishes
//     again; the event's id lets the stream (for two minutes) and every inbox (for ever) drop the repetition.
//   - The relay looks for rows that are unpublished: behind the last one, and in the gaps before it, for a transaction that
//     commits late has a lower seq than rows that are out already. A gap is closed when every transaction that could fill
//     it has ended.
//   - One relay is active per database, chosen by an advisory lock that lives and dies with its connection. All its
//     SQL runs on that connection, so a relay that lost the lock cannot mark rows any more.
//   - What waits together is handed in together: the stream takes all of it or none, and syncs it once. Where it does not take
//     it – one of the events is known, or the server is older than 2.12 – they go one by one.
//   - Events are published in the order of seq. When a publish fails, everything from the failed row on is published
//     again, so after a failure the stream may hold later events of the same window ahead of the failed one.
//   - Postgres is the truth. The relay remembers when the stream was created and the last event it acknowledged, and
//     looks at both when it starts, after a reconnect and every ten seconds. A stream that was created anew gets
//     everything the outbox still holds; a stream that lost its tail gets what it lost. The relay does not create
//     the stream: until somebody does (bus.EnsureStream), the table grows.
//
// Published rows are deleted when they are older than Config.Retention: that is how far back a lost stream can be
// filled again.
package outbox
