package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/test/systemtest"
)

// do makes a request under a key, wants it answered with a status, and gives the answer, of which it reads JSON into told.
func (f *fixture) do(method, url, key, body string, want int, told any) *http.Response {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, url, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want || json.Unmarshal(raw, told) != nil {
		f.Fatalf("%s %s: got %d %s, %v", method, url, answer.StatusCode, raw, err)
	}
	return answer
}

// restBatch is what REST and watches tell of a batch.
type restBatch struct {
	Batch struct {
		BatchID string `json:"batch_id"`
		State   string
	}
}

func TestWeb_TakesABatchFromItsFileToItsEnd(t *testing.T) {
	f, at := setupWeb(t)
	file := systemtest.PaymentFile(50, func(int) string { return "pm_ok" })
	upload := at + "/batches?" + url.Values{"header.name": {"dues"}, "header.cut_off_time": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}}.Encode()
	var planned, again, started restBatch
	f.do("POST", upload, "upload-0001", file, http.StatusOK, &planned)
	if answer := f.do("POST", upload, "upload-0001", file, http.StatusOK, &again); again.Batch.BatchID != planned.Batch.BatchID || answer.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same file again is %s, not %s: %v", again.Batch.BatchID, planned.Batch.BatchID, answer.Header)
	}
	if planned.Batch.State != "BATCH_STATE_PLANNED" {
		t.Errorf("got %+v", planned)
	}
	one := at + "/batches/" + planned.Batch.BatchID
	f.do("POST", one+":start", "start-0001", "{}", http.StatusOK, &started)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, one+"/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var last restBatch
	var cursor, event string
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "id":
			cursor = value
		case "event":
			event = value
		case "data":
			if event == "batch" {
				if err := json.Unmarshal([]byte(value), &last); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if event != "end" || last.Batch.State != "BATCH_STATE_FINISHED" {
		t.Errorf("the watch ends with %s, and the batch as %s", event, last.Batch.State)
	}
	r.Header.Set("Last-Event-ID", cursor)
	if answer, err := http.DefaultClient.Do(r); err != nil || answer.StatusCode != http.StatusNoContent {
		t.Errorf("behind the end: got %v, %v, want 204", answer, err)
	}
}

// restLetter is what REST tells of a dead letter.
type restLetter struct {
	DeadLetterID string `json:"dead_letter_id"`
	State        string
	Actions      []struct{ Actor, Reason string }
}

func TestWeb_ShowsDeadLettersAndTakesWhatPeopleDecide(t *testing.T) {
	f, at := setupWeb(t)
	conn, err := nats.Connect(f.world.NATS.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var list struct {
		Letters []restLetter `json:"dead_letters"`
	}
	open := at + "/deadLetters?" + url.Values{"filter": {`state = open AND consumer = "orchestrator-timeline"`}}.Encode()
	if err := conn.Publish("evt.payment.payment.captured.pay_poison", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "it is a dead letter", func() bool {
		f.do("GET", open, "", "", http.StatusOK, &list)
		return len(list.Letters) == 1
	})
	one := at + "/deadLetters/" + list.Letters[0].DeadLetterID
	var redriven, discarded, shown struct {
		Letter  restLetter `json:"dead_letter"`
		Outcome string
	}
	f.do("POST", one+":redrive", "redrive-0001", `{"reason":"try"}`, http.StatusOK, &redriven)
	if redriven.Letter.State != "DEAD_LETTER_STATE_OPEN" || redriven.Outcome != "DEAD_LETTER_OUTCOME_FAILED" {
		t.Errorf("poison that is driven again: got %+v", redriven)
	}
	f.do("POST", one+":discard", "discard-0001", `{"reason":"it is none of ours"}`, http.StatusOK, &discarded)
	f.do("GET", one, "", "", http.StatusOK, &shown)
	if shown.Letter.State != "DEAD_LETTER_STATE_DISCARDED" || len(shown.Letter.Actions) != 2 || shown.Letter.Actions[1].Reason != "it is none of ours" {
		t.Errorf("got %+v", shown)
	}
	f.do("GET", open, "", "", http.StatusOK, &list)
	if len(list.Letters) != 0 {
		t.Errorf("still open: %+v", list)
	}
}
