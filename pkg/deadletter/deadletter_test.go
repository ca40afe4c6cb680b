package deadletter_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const (
	isOpen      = deadletterv1.DeadLetterState_DEAD_LETTER_STATE_OPEN
	isRedriven  = deadletterv1.DeadLetterState_DEAD_LETTER_STATE_REDRIVEN
	isDiscarded = deadletterv1.DeadLetterState_DEAD_LETTER_STATE_DISCARDED

	effect      = deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_EFFECT
	nothingToDo = deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_NOTHING_TO_DO
	failedAgain = deadletterv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_FAILED
)

func TestDeadLetter_TellsWhatAPersonNeedsToKnow(t *testing.T) {
	b := setup(t)
	listed := b.bury("books", "pay_1")[0]
	if listed.GetPayload() != nil || len(listed.GetHeaders()) > 0 || listed.GetPayloadBytes() != int64(len("data of pay_1")) {
		t.Errorf("a list has %v", listed)
	}
	l := b.get(listed.GetDeadLetterId())
	if string(l.GetPayload()) != "data of pay_1" || l.GetError() != errBroken.Error() || l.GetAttempts() != 1 || l.GetDeliveryCount() != 1 ||
		l.GetService() != "books" || l.GetConsumer() != "books-takings" || l.GetState() != isOpen || l.GetStreamSequence() != 1 ||
		l.GetSubject() != "evt.books.payment.captured.pay_1" || l.GetEventType() != "tieout.books.payment.captured.v1" ||
		!strings.Contains(l.GetTraceparent(), "0af7651916cd43dd8448eb211c80319c") || l.GetPublishTime() == nil || l.GetFailTime() == nil ||
		l.GetCreateTime() == nil || l.GetEndTime() != nil {
		t.Errorf("got %v", l)
	}
	if !slices.ContainsFunc(l.GetHeaders(), func(h *deadletterv1.DeadLetterHeader) bool {
		return h.GetName() == "ce-id" && h.GetValue() == l.GetEventId()
	}) {
		t.Errorf("got headers %v", l.GetHeaders())
	}
}

func TestRedrive_TakesEffectOnceHoweverOften(t *testing.T) {
	b := setup(t)
	id := b.bury("books", "pay_1")[0].GetDeadLetterId()
	b.breakOn(nil, "pay_1")
	var at sync.WaitGroup
	outcomes := make([]deadletterv1.DeadLetterOutcome, 8)
	for i := range outcomes {
		at.Go(func() {
			answer, err := b.redrive(fmt.Sprintf("redrive/%d", i), id)
			if err != nil {
				t.Error(err)
			}
			outcomes[i] = answer.GetOutcome()
		})
	}
	at.Wait()
	slices.Sort(outcomes)
	if outcomes[0] != effect || outcomes[1] != nothingToDo {
		t.Errorf("got outcomes %v, want one effect", outcomes)
	}
	b.wantEffects("books", "pay_1")
	l := b.get(id)
	if l.GetState() != isRedriven || l.GetEndTime() == nil {
		t.Errorf("got %v", l)
	}
	want := []string{"ada DEAD_LETTER_VERB_REDRIVE mended: DEAD_LETTER_OUTCOME_EFFECT "}
	if diff := cmp.Diff(want, actions(l)); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	if _, err := b.discard("discard/1", id); reason(err) != rpcerr.DeadLetterEnded {
		t.Errorf("discarding it: %v", err)
	}
}

func TestRedrive_WhatFailsAgainIsADeadLetterAgain(t *testing.T) {
	b := setup(t)
	id := b.bury("books", "pay_1")[0].GetDeadLetterId()
	b.breakOn(fmt.Errorf("still closed"), "pay_1")
	answer, err := b.redrive("redrive/1", id)
	if err != nil || answer.GetOutcome() != failedAgain {
		t.Fatalf("got %v, %v", answer, err)
	}
	if l := answer.GetDeadLetter(); l.GetState() != isOpen || l.GetAttempts() != 2 || l.GetError() != "still closed" {
		t.Errorf("got %v", l)
	}
	b.wantEffects("books")
	b.breakOn(nil, "pay_1")
	if again, err := b.redrive("redrive/1", id); err != nil || again.GetOutcome() != failedAgain {
		t.Errorf("under the same key: got %v, %v; want the first answer", again, err)
	}
	if _, err := b.redrive("redrive/2", id); err != nil {
		t.Fatal(err)
	}
	b.wantEffects("books", "pay_1")
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff([]string{"pay_1"}, b.told); diff != "" {
		t.Errorf("told after commits (-want +got):\n%s", diff)
	}
}

// Failed, not applied: the moment's faults are no attempts, and leave nothing behind.
func TestRedrive_BlamesNoEventForTheDatabase(t *testing.T) {
	b := setup(t)
	id := b.bury("books", "pay_1")[0].GetDeadLetterId()
	b.breakOn(errSession, "pay_1")
	if answer, err := b.redrive("redrive/1", id); err == nil {
		t.Fatalf("got %v", answer)
	}
	if l := b.get(id); l.GetAttempts() != 1 || len(l.GetActions()) > 0 {
		t.Errorf("got %v", l)
	}
	b.breakOn(nil, "pay_1")
	if answer, err := b.redrive("redrive/1", id); err != nil || answer.GetOutcome() != effect {
		t.Errorf("under the same key: got %v, %v", answer, err)
	}
	b.wantEffects("books", "pay_1")
}

func TestDiscard_KeepsTheLetterWithWhoAndWhy(t *testing.T) {
	b := setup(t)
	id := b.bury("books", "pay_1")[0].GetDeadLetterId()
	for i := range 2 {
		answer, err := b.discard(fmt.Sprintf("discard/%d", i), id)
		if err != nil || answer.GetDeadLetter().GetState() != isDiscarded {
			t.Fatalf("got %v, %v", answer, err)
		}
	}
	want := []string{"ada DEAD_LETTER_VERB_DISCARD a test: DEAD_LETTER_OUTCOME_DISCARDED "}
	if diff := cmp.Diff(want, actions(b.get(id))); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	for _, sql := range []string{
		`DELETE FROM dead_letter`, `TRUNCATE dead_letter CASCADE`, `UPDATE dead_letter_action SET actor = 'x'`, `DELETE FROM dead_letter_action`,
	} {
		if _, err := b.pool["books"].Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "kept") && !strings.Contains(err.Error(), "never changed") {
			t.Errorf("%s: %v, want that it is refused", sql, err)
		}
	}
	b.breakOn(nil, "pay_1")
	if answer, err := b.redrive("redrive/1", id); err != nil || answer.GetOutcome() != effect { // somebody thought better of it
		t.Errorf("got %v, %v", answer, err)
	}
	b.wantEffects("books", "pay_1")
}

func TestList_GoesThroughTheServicesByFilter(t *testing.T) {
	b := setup(t)
	b.bury("books", "pay_1", "pay_2", "pay_3")
	shop := b.bury("shop", "pay_4", "pay_5")
	if _, err := b.discard("discard/1", shop[0].GetDeadLetterId()); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]string{
		"":                                     "pay_3 pay_2 pay_1 pay_5 pay_4",
		"service = books":                      "pay_3 pay_2 pay_1",
		"service = shop AND state = open":      "pay_5",
		"state = discarded":                    "pay_4",
		`consumer = "shop-takings"`:            "pay_5 pay_4",
		`subject : "pay_2" OR subject : pay_4`: "pay_2 pay_4",
		`error : "Books are"`:                  "pay_3 pay_2 pay_1 pay_5 pay_4",
		`event_type = "tieout.shop.payment.captured.v1" AND attempts = 1 AND age < "1h"`: "pay_5 pay_4",
		`attempts > 1 OR create_time < "2020-01-01T00:00:00Z" OR event_id = "1"`:         "",
		fmt.Sprintf("event_id = %q", shop[1].GetEventId()):                               "pay_5",
	} {
		var got []string
		for _, l := range b.list(filter) {
			got = append(got, l.GetSubject()[strings.LastIndex(l.GetSubject(), ".")+1:])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", filter, got, want)
		}
	}
	first, err := b.desk.ListDeadLetters(t.Context(), &deadletterv1.ListDeadLettersRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []*deadletterv1.ListDeadLettersRequest{
		{Filter: "service = books", PageToken: first.GetNextPageToken()}, {PageToken: "!"},
	} {
		if _, err := b.desk.ListDeadLetters(t.Context(), wrong); reason(err) != rpcerr.RequestInvalid {
			t.Errorf("%v: got %v", wrong, err)
		}
	}
	if _, err := b.desk.ListDeadLetters(t.Context(), &deadletterv1.ListDeadLettersRequest{Filter: "payload = x"}); reason(err) != rpcerr.FilterInvalid {
		t.Errorf("got %v", err)
	}
}

func TestDesk_RefusesWithAReason(t *testing.T) {
	b := setup(t)
	l := b.bury("books", "pay_1")[0]
	if _, err := b.pool["books"].Exec(t.Context(), `UPDATE dead_letter SET consumer = 'books-former'; UPDATE inbox SET consumer = 'books-former'`); err != nil {
		t.Fatal(err)
	}
	const nobody = "dlt_01928f6e-3b4a-7c1d-9e2f-0a1b2c3d4e5f"
	for name, c := range map[string]struct {
		call func() error
		want rpcerr.Reason
	}{
		"no consumer": {func() error { _, err := b.redrive("redrive/1", l.GetDeadLetterId()); return err }, rpcerr.DeadLetterNoConsumer},
		"no letter":   {func() error { _, err := b.redrive("redrive/2", nobody); return err }, rpcerr.NotFound},
		"no id":       {func() error { _, err := b.discard("discard/1", "17"); return err }, rpcerr.RequestInvalid},
		"no key":      {func() error { _, err := b.discard("", nobody); return err }, rpcerr.IdempotencyKeyMissing},
		"no reason": {func() error {
			_, err := b.desk.RedriveDeadLetter(t.Context(), &deadletterv1.RedriveDeadLetterRequest{IdempotencyKey: "redrive/3", DeadLetterId: nobody})
			return err
		}, rpcerr.RequestInvalid},
	} {
		if err := c.call(); reason(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := b.discard("discard/2", l.GetDeadLetterId()); err != nil {
		t.Errorf("what has no consumer can be discarded: %v", err)
	}
}

func TestMetrics_CountWhatIsOpen(t *testing.T) {
	b := setup(t)
	id := b.bury("books", "pay_1", "pay_2")[0].GetDeadLetterId()
	if _, err := b.discard("discard/1", id); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + b.process.HTTPAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for consumer, n := range map[string]int{"books": 1, "shop": 0} {
		want := regexp.MustCompile(fmt.Sprintf(`(?m)^tieout_dead_letter_open\{.*messaging_consumer_group_name="%s-takings".*tieout_service="%[1]s".*\} %d$`, consumer, n))
		if !want.Match(body) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}
