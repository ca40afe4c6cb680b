package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tieout/tieout/cmd/tieout/output"
	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
)

const (
	deadLetterStatePrefix     = "DEAD_LETTER_STATE_"
	deadLetterVerbPrefix      = "DEAD_LETTER_VERB_"
	deadLetterOutcomePrefix   = "DEAD_LETTER_OUTCOME_"
	deadLetterOperationPrefix = "DEAD_LETTER_OPERATION_STATE_"
)

var deadLetterView = output.View[*deadletterv1.DeadLetter]{
	JSON: output.Message[*deadletterv1.DeadLetter],
	Columns: []output.Column[*deadletterv1.DeadLetter]{
		{Name: "dead_letter_id", Value: (*deadletterv1.DeadLetter).GetDeadLetterId},
		{Name: "service", Value: (*deadletterv1.DeadLetter).GetService},
		{Name: "consumer", Value: (*deadletterv1.DeadLetter).GetConsumer},
		{Name: "state", Value: func(l *deadletterv1.DeadLetter) string { return enum(l.GetState(), deadLetterStatePrefix) }},
		{Name: "subject", Value: (*deadletterv1.DeadLetter).GetSubject},
		{Name: "attempts", Value: func(l *deadletterv1.DeadLetter) string { return strconv.Itoa(int(l.GetAttempts())) }},
		{Name: "create_time", Value: func(l *deadletterv1.DeadLetter) string { return instant(l.GetCreateTime()) }},
		{Name: "error", Value: func(l *deadletterv1.DeadLetter) string { return firstLine(l.GetError()) }},
	},
	Fields: []output.Column[*deadletterv1.DeadLetter]{
		{Name: "event_id", Value: (*deadletterv1.DeadLetter).GetEventId},
		{Name: "event_type", Value: (*deadletterv1.DeadLetter).GetEventType},
		{Name: "deliveries", Value: func(l *deadletterv1.DeadLetter) string { return strconv.Itoa(int(l.GetDeliveryCount())) }},
		{Name: "stream_sequence", Value: func(l *deadletterv1.DeadLetter) string { return pieces(l.GetStreamSequence()) }},
		{Name: "traceparent", Value: (*deadletterv1.DeadLetter).GetTraceparent},
		{Name: "publish_time", Value: func(l *deadletterv1.DeadLetter) string { return instant(l.GetPublishTime()) }},
		{Name: "fail_time", Value: func(l *deadletterv1.DeadLetter) string { return instant(l.GetFailTime()) }},
		{Name: "end_time", Value: func(l *deadletterv1.DeadLetter) string { return instant(l.GetEndTime()) }},
		{Name: "payload_bytes", Value: func(l *deadletterv1.DeadLetter) string { return pieces(l.GetPayloadBytes()) }},
		{Name: "payload", Value: func(l *deadletterv1.DeadLetter) string { return payloadText(l.GetPayload()) }},
	},
	Sections: func(w io.Writer, l *deadletterv1.DeadLetter) error {
		if err := output.Section(w, "Headers", deadLetterHeaderColumns, l.GetHeaders()); err != nil {
			return err
		}
		return output.Section(w, "Actions", deadLetterActionColumns, l.GetActions())
	},
}

// shownPayload is how much of a payload stands in a table; JSON has all of it.
const shownPayload = 300

// payloadText is a payload as people can read it: text as it is, anything else in base64.
func payloadText(payload []byte) string {
	text := "base64 " + base64.StdEncoding.EncodeToString(payload)
	if utf8.Valid(payload) && strings.IndexFunc(string(payload), func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		text = string(payload)
	}
	if runes := []rune(text); len(runes) > shownPayload {
		return string(runes[:shownPayload]) + "…"
	}
	return text
}

// firstLine is what stands in a table of an error that may end in a stack.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

var deadLetterHeaderColumns = []output.Column[*deadletterv1.DeadLetterHeader]{
	{Name: "name", Value: (*deadletterv1.DeadLetterHeader).GetName},
	{Name: "value", Value: (*deadletterv1.DeadLetterHeader).GetValue},
}

var deadLetterActionColumns = []output.Column[*deadletterv1.DeadLetterAction]{
	{Name: "time", Value: func(a *deadletterv1.DeadLetterAction) string { return instant(a.GetTime()) }},
	{Name: "actor", Value: (*deadletterv1.DeadLetterAction).GetActor},
	{Name: "verb", Value: func(a *deadletterv1.DeadLetterAction) string { return enum(a.GetVerb(), deadLetterVerbPrefix) }},
	{Name: "reason", Value: (*deadletterv1.DeadLetterAction).GetReason},
	{Name: "outcome", Value: func(a *deadletterv1.DeadLetterAction) string { return enum(a.GetOutcome(), deadLetterOutcomePrefix) }},
	{Name: "operation_id", Value: (*deadletterv1.DeadLetterAction).GetOperationId},
	{Name: "error", Value: func(a *deadletterv1.DeadLetterAction) string { return firstLine(a.GetError()) }},
}

var deadLetterOperationView = output.View[*deadletterv1.DeadLetterOperation]{
	JSON: output.Message[*deadletterv1.DeadLetterOperation],
	Columns: []output.Column[*deadletterv1.DeadLetterOperation]{
		{Name: "operation_id", Value: (*deadletterv1.DeadLetterOperation).GetOperationId},
		{Name: "service", Value: (*deadletterv1.DeadLetterOperation).GetService},
		{Name: "state", Value: func(o *deadletterv1.DeadLetterOperation) string { return enum(o.GetState(), deadLetterOperationPrefix) }},
		{Name: "verb", Value: func(o *deadletterv1.DeadLetterOperation) string { return enum(o.GetVerb(), deadLetterVerbPrefix) }},
		{Name: "matched", Value: func(o *deadletterv1.DeadLetterOperation) string { return pieces(o.GetMatched()) }},
		{Name: "consumers", Value: func(o *deadletterv1.DeadLetterOperation) string { return lettersByConsumer(o) }},
		{Name: "done", Value: func(o *deadletterv1.DeadLetterOperation) string { return pieces(o.GetDone()) }},
		{Name: "refused", Value: func(o *deadletterv1.DeadLetterOperation) string { return pieces(o.GetRefused()) }},
		{Name: "filter", Value: (*deadletterv1.DeadLetterOperation).GetFilter},
		{Name: "reason", Value: (*deadletterv1.DeadLetterOperation).GetReason},
	},
	Fields: []output.Column[*deadletterv1.DeadLetterOperation]{
		{Name: "planned_by", Value: (*deadletterv1.DeadLetterOperation).GetPlannedBy},
		{Name: "create_time", Value: func(o *deadletterv1.DeadLetterOperation) string { return instant(o.GetCreateTime()) }},
		{Name: "expire_time", Value: func(o *deadletterv1.DeadLetterOperation) string { return instant(o.GetExpireTime()) }},
		{Name: "applied_by", Value: (*deadletterv1.DeadLetterOperation).GetAppliedBy},
		{Name: "end_time", Value: func(o *deadletterv1.DeadLetterOperation) string { return instant(o.GetEndTime()) }},
	},
	Sections: func(w io.Writer, o *deadletterv1.DeadLetterOperation) error {
		return output.Section(w, "Left as they are", deadLetterRefusalColumns, o.GetRefusals())
	},
}

// lettersByConsumer is how many dead letters of an operation each consumer has.
func lettersByConsumer(o *deadletterv1.DeadLetterOperation) string {
	var texts []string
	for _, c := range o.GetConsumers() {
		texts = append(texts, fmt.Sprintf("%s %d", c.GetConsumer(), c.GetCount()))
	}
	return strings.Join(texts, ", ")
}

var deadLetterRefusalColumns = []output.Column[*deadletterv1.DeadLetterRefusal]{
	{Name: "dead_letter_id", Value: (*deadletterv1.DeadLetterRefusal).GetDeadLetterId},
	{Name: "reason", Value: (*deadletterv1.DeadLetterRefusal).GetReason},
}
