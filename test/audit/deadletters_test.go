package audit

import "fmt"

var deadLetterPlants = []plant{
	{"a dead letter", `
		INSERT INTO inbox (consumer, event_id) VALUES ('timeline', ` + uuid(1) + `);
		INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, error, deliveries, traceparent)
		VALUES ('timeline', ` + uuid(1) + `, 's', '', '{}', 'bad', 3, '')`, "32_no_dead_letters"},
	{"a dead letter that may come again", `
		INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, error, deliveries, traceparent)
		VALUES ('timeline', ` + uuid(1) + `, 's', '', '{}', 'bad', 3, '')`, "28_given_up_is_done 32_no_dead_letters"},
	{"an event that failed and came to nothing", `
		INSERT INTO event_failure (consumer, event_id, failures, error, failed_at)
		VALUES ('timeline', ` + uuid(1) + `, 2, 'bad', now() - interval '6 minutes')`, "32_failed_events_are_kept"},
	{"an event that failed just now, and one that took effect since", `
		INSERT INTO inbox (consumer, event_id) VALUES ('timeline', ` + uuid(2) + `);
		INSERT INTO event_failure (consumer, event_id, failures, error, failed_at)
		VALUES ('timeline', ` + uuid(1) + `, 2, 'bad', now()), ('timeline', ` + uuid(2) + `, 2, 'bad', now() - interval '6 minutes')`, ""},
	{"a dead letter that nobody discarded", deadLetter(3), "36_dead_letters_of_operators"},
	{"a dead letter that was redriven and came to nothing", deadLetter(2) + `
		INSERT INTO dead_letter_action (dead_letter_id, actor, verb, reason, outcome, error) SELECT id, 'o', 1, 'r', 3, 'bad' FROM dead_letter`,
		"36_dead_letters_of_operators"},
	{"a dead letter that somebody discarded, and redrove since", deadLetter(2) + `
		INSERT INTO dead_letter_action (dead_letter_id, actor, verb, reason, outcome) SELECT id, 'o', 2, 'r', 4 FROM dead_letter;
		INSERT INTO dead_letter_action (dead_letter_id, actor, verb, reason, outcome) SELECT id, 'o', 1, 'r', 1 FROM dead_letter`, ""},
	{"what people did can be changed", `ALTER TABLE dead_letter_action DISABLE TRIGGER USER`, "9_dead_letter_actions_are_append_only"},
}

// deadLetter is the SQL of a dead letter that has ended in a state.
func deadLetter(state int) string {
	return fmt.Sprintf(`
		INSERT INTO inbox (consumer, event_id) VALUES ('timeline', %[1]s);
		INSERT INTO dead_letter (consumer, event_id, subject, payload, headers, error, deliveries, traceparent, state, ended_at)
		VALUES ('timeline', %[1]s, 's', '', '{}', 'bad', 3, '', %d, now());`, uuid(1), state)
}
