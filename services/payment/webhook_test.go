package payment

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	eventv1 "github.com/tieout/tieout/gen/tieout/event/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/periodic"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/provider"
	"github.com/tieout/tieout/services/payment/pspsim"
)

const webhookSecret = "whsec_of_this_account"

// told is a bundle whose provider sends webhooks, each so many times more than once.
func told(t *testing.T, duplicates int, change ...func(*Config)) *bundle {
	t.Helper()
	b := setup(t, append(change, func(c *Config) { c.Provider.PSP.Webhook.Secret = webhookSecret })...)
	b.psp.SetWebhooks(pspsim.Webhooks{URL: b.http + WebhookPath, Secret: webhookSecret, Duplicates: duplicates})
	return b
}

// applied waits until so many webhooks were received, applies them, and gives what came of them, by event.
func (b *bundle) applied(t *testing.T, n int64) []string {
	t.Helper()
	waittest.Until(t, "the webhooks are received", func() bool {
		return pgtest.Column[int64](t, b.db, `SELECT count(*) FROM webhook`)[0] >= n
	})
	if _, err := b.payments.applyWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	return pgtest.Column[string](t, b.db, `SELECT state || ' ' || split_part(detail, ' ', 1) FROM webhook ORDER BY received_at, event_id`)
}

func TestWebhook_TellsWhatBecameOfAChargeInDoubt(t *testing.T) {
	t.Parallel()
	b := told(t, 2, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	if diff := cmp.Diff([]string{"2 told"}, b.applied(t, 1)); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEvents(t, "unknown", "resolved", "captured")
	b.mustCharge(t, key, "pm_timeout_after")
	b.wantEffects(t, pspsim.TypeCharge)
	b.wantClean(t)
}

func TestWebhook_OfWhatIsKnownChangesNothing(t *testing.T) {
	t.Parallel()
	b := told(t, 1)
	b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	if diff := cmp.Diff([]string{"3 was", "3 was"}, b.applied(t, 2)); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	b.wantEvents(t, "captured", "refunded")
	b.wantClean(t)
}

func TestWebhook_OfAChargebackIsBookedOnce(t *testing.T) {
	t.Parallel()
	b := told(t, 2)
	charge := b.mustCharge(t, key, "pm_ok").GetProviderChargeId()
	dispute, err := b.psp.Chargeback(pspsim.ChargebackOrder{Charge: charge, AmountMinor: 1250, FeeMinor: new(int64(1500))})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"3 was", "2 charge"}, b.applied(t, 2)); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if p := b.only(t); p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_CHARGEBACK || p.GetChargedBack().GetMinorUnits() != 1250 {
		t.Errorf("got %v, want it charged back", p)
	}
	if p := b.mustRefund(t, key); p.GetState() != paymentv1.PaymentState_PAYMENT_STATE_CHARGEBACK {
		t.Errorf("undone, got %v; what the bank took is not given back once more", p)
	}
	if _, err := b.psp.ReverseChargeback(pspsim.ReversalOrder{Chargeback: dispute.Chargeback}); err != nil {
		t.Fatal(err)
	}
	b.applied(t, 3)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEvents(t, "captured", "chargeback", "chargeback_reversed")
	b.wantClean(t)
}

// What is told twice of what becomes known in between is put by when it is looked at.
func TestWebhook_OfWhatHasBecomeKnownSinceChangesNothing(t *testing.T) {
	t.Parallel()
	b := told(t, 1, hasty)
	_, err := b.charge(t, key, "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	waittest.Until(t, "the webhook is received", func() bool {
		return pgtest.Column[int64](t, b.db, `SELECT count(*) FROM webhook WHERE state = 1`)[0] == 1
	})
	b.mustCharge(t, key, "pm_timeout_after")
	if diff := cmp.Diff([]string{"3 was"}, b.applied(t, 1)); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	b.wantEvents(t, "unknown", "resolved", "captured")
	b.wantClean(t)
}

// take takes in events together, and tells whether somebody is woken to apply them.
func (b *bundle) take(t *testing.T, events []provider.Event) (rung bool) {
	t.Helper()
	in := &intake{name: "psp", received: periodic.NewBell()}
	err := pg.InTxByKey(t.Context(), b.payments.pool, func(tx *pg.Tx) error {
		_, err := in.receive(t.Context(), tx, events)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-in.received:
		return true
	default:
		return false
	}
}

// Of what comes together, that which tells what is known is put by at once, whatever has become of the payment since, and all
// else is left to be applied.
func TestWebhook_OfWhatIsKnownIsPutByAsItComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	charge := provider.Event{
		At: time.Now(), Kind: provider.EventOutcome, Op: provider.Charge, Key: p.GetProviderKey(), ChargeID: p.GetProviderChargeId(),
		Amount: money.Amount{Currency: "GBP", Minor: 1250}, Outcome: provider.Outcome{Kind: provider.Succeeded, ID: p.GetProviderChargeId()},
	}
	var all []provider.Event
	change := func(id string, change func(*provider.Event)) {
		e := charge
		e.ID = id
		change(&e)
		all = append(all, e)
	}
	change("1 charge", func(*provider.Event) {})
	change("2 refund", func(e *provider.Event) {
		e.Op, e.Key = provider.Refund, pgtest.Column[string](t, b.db, `SELECT provider_key FROM operation WHERE op = 5`)[0]
	})
	change("3 without a key", func(e *provider.Event) { e.Key = "" })
	change("4 of nobody", func(e *provider.Event) { e.Key = "nobody's" })
	change("5 of more", func(e *provider.Event) { e.Amount.Minor++ })
	change("6 declined", func(e *provider.Event) { e.Outcome = provider.Outcome{Kind: provider.Declined, Reason: "stolen"} })
	change("7 nothing definite", func(e *provider.Event) { e.Outcome.Kind = provider.Unknown })
	change("8 chargeback", func(e *provider.Event) { e.Kind, e.ChargeID = provider.EventChargeback, "still to come" })

	if b.take(t, all[:2]) {
		t.Error("somebody was woken for what is known")
	}
	if !b.take(t, all) { // with those that were there
		t.Error("nobody was woken for what is new")
	}
	states := `SELECT event_id || ': ' || state || ' ' || split_part(detail, ' ', 1) || CASE WHEN applied_at IS NULL THEN '' ELSE '.' END FROM webhook ORDER BY event_id`
	want := []string{
		"1 charge: 3 was.", "2 refund: 3 was.", "3 without a key: 1 ", "4 of nobody: 1 ", "5 of more: 1 ", "6 declined: 1 ",
		"7 nothing definite: 1 ", "8 chargeback: 1 ",
	}
	if diff := cmp.Diff(want, pgtest.Column[string](t, b.db, states)); diff != "" {
		t.Errorf("as received (-want +got):\n%s", diff)
	}
	if _, err := b.payments.applyWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"1 charge: 3 was.", "2 refund: 3 was.", "3 without a key: 3 was.", "4 of nobody: 4 no.", "5 of more: 4 is.", "6 declined: 4 says.",
		"7 nothing definite: 3 tells.", "8 chargeback: 1 no",
	}
	if diff := cmp.Diff(want, pgtest.Column[string](t, b.db, states)); diff != "" {
		t.Errorf("as applied (-want +got):\n%s", diff)
	}
	b.wantEvents(t, "captured", "refunded")
	b.wantClean(t)
}

// Those that are due are read in the order of their index to the limit, also where the planner takes them for many, and are put
// by through their key.
func TestWebhook_AreFoundByIndexHoweverMany(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, Migrations()...)
	if _, err := pool.Exec(t.Context(), `
INSERT INTO webhook (provider, event_id, event)
SELECT 'psp', 'evt_' || n, jsonb_build_object('ID', 'evt_' || n) FROM generate_series(1, 3000) AS n ORDER BY hashint4(n)`); err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{``, `ANALYZE webhook`, `UPDATE webhook SET state = 3, applied_at = now() WHERE event_id > 'evt_1'; ANALYZE webhook`} {
		if _, err := pool.Exec(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		err := pg.InTxByKey(t.Context(), pool, func(tx *pg.Tx) error {
			if _, err := dueWebhooks(t.Context(), tx); err != nil {
				return err
			}
			for sql, args := range map[string][]any{
				selectDue: {webhookBatch}, markKnown: {[]string{"psp"}, []string{"evt_1"}, wasKnown.state, wasKnown.detail},
			} {
				rows, err := tx.Query(t.Context(), `EXPLAIN `+sql, args...)
				if err != nil {
					return err
				}
				lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
				if err != nil {
					return err
				}
				plan := strings.Join(lines, "\n")
				inOrder := strings.Contains(plan, "Index Scan using webhook_received") && !strings.Contains(plan, "Sort")
				if sql == selectDue && !inOrder || sql == markKnown && strings.Contains(plan, "on webhook_received") {
					t.Errorf("after %q:\n%s", after, plan)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The reversal comes before its chargeback, and that before it is known what the charge is.
func TestWebhook_ThatOvertakesWaits(t *testing.T) {
	t.Parallel()
	b := told(t, 0)
	p := b.mustCharge(t, key, "pm_ok")
	b.psp.SetWebhooks(pspsim.Webhooks{})
	take := func(id string, kind provider.EventKind) {
		t.Helper()
		encoded, err := json.Marshal(provider.Event{
			ID: id, At: time.Now(), Kind: kind, ChargeID: p.GetProviderChargeId(), Amount: money.Amount{Currency: "GBP", Minor: 1250},
			Outcome: provider.Outcome{Kind: provider.Succeeded, ID: "dp_1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.Exec(t.Context(), `INSERT INTO webhook (provider, event_id, event) VALUES ('psp', $1, $2)`, id, encoded); err != nil {
			t.Fatal(err)
		}
	}
	take("evt_won", provider.EventChargebackReversal)
	b.applied(t, 2)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	take("evt_lost", provider.EventChargeback)
	b.applied(t, 3)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CHARGEBACK)
	if _, err := b.db.Exec(t.Context(), `UPDATE webhook SET due_at = now()`); err != nil {
		t.Fatal(err)
	}
	b.applied(t, 3)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	take("evt_of_nobody", provider.EventChargebackReversal)
	if _, err := b.db.Exec(t.Context(), `UPDATE webhook SET received_at = now() - interval '2 hours', event = jsonb_set(event, '{ChargeID}', '"ch_x"') WHERE state = 1`); err != nil {
		t.Fatal(err)
	}
	b.applied(t, 4)
	if got := pgtest.Column[int16](t, b.db, `SELECT state FROM webhook WHERE event_id = 'evt_of_nobody'`)[0]; got != webhookContradicts {
		t.Errorf("what is about nobody's charge ends in state %d", got)
	}
	b.wantEvents(t, "captured", "chargeback", "chargeback_reversed")
	b.wantClean(t)
}

// What contradicts the books is kept for a person to look at, and keeps nobody else.
func TestWebhook_ThatContradictsIsKept(t *testing.T) {
	t.Parallel()
	b := told(t, 0)
	p := b.mustCharge(t, key, "pm_ok")
	other := provider.Event{
		ID: "evt_1", At: time.Now(), Kind: provider.EventOutcome, Op: provider.Charge, Key: "of nobody", Outcome: provider.Outcome{Kind: provider.Succeeded, ID: "ch_9"},
	}
	declined := other
	declined.ID, declined.Key, declined.Outcome = "evt_2", p.GetProviderKey(), provider.Outcome{Kind: provider.Declined, Reason: "stolen"}
	dispute := other
	dispute.ID, dispute.Kind, dispute.ChargeID, dispute.Amount.Currency, dispute.Amount.Minor = "evt_3", provider.EventChargeback, p.GetProviderChargeId(), "GBP", 1251
	for _, e := range []provider.Event{other, declined, dispute} {
		encoded, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.db.Exec(t.Context(), `INSERT INTO webhook (provider, event_id, event) VALUES ('psp', $1, $2)`, e.ID, encoded); err != nil {
			t.Fatal(err)
		}
	}
	b.applied(t, 4)
	states := pgtest.Column[int16](t, b.db, `SELECT state FROM webhook WHERE event_id IN ('evt_1', 'evt_2', 'evt_3')`)
	if diff := cmp.Diff([]int16{webhookContradicts, webhookContradicts, webhookContradicts}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEvents(t, "captured")
	b.wantClean(t)
}

func TestWebhook_IsRefusedWhenItIsNotAuthenticOrTooLong(t *testing.T) {
	t.Parallel()
	b := told(t, 0)
	post := func(signature, body string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.http+WebhookPath, bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Psp-Signature", signature)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := post("t=1,v1=00", `{}`); got != http.StatusBadRequest {
		t.Errorf("forged: got %d", got)
	}
	if got := post("", strings.Repeat("x", 1<<20)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MiB: got %d", got)
	}
	if status, err := b.psp.Forge(t.Context()); err != nil || status != http.StatusBadRequest {
		t.Errorf("forged by the provider's hand: got %d, %v", status, err)
	}
	if n := pgtest.Column[int64](t, b.db, `SELECT count(*) FROM webhook`)[0]; n != 0 {
		t.Errorf("%d webhooks were taken in", n)
	}
}

func TestForceBreaker_HoldsInEveryProcessAndIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.payments
	b.start(t) // another process, which is the last one now
	accounts := paymentv1.NewProviderServiceClient(servicetest.Dial(t, b.process, "operator"))
	force := func(key string, open bool) *paymentv1.Provider {
		t.Helper()
		answer, err := accounts.ForceBreaker(t.Context(), &paymentv1.ForceBreakerRequest{IdempotencyKey: key, Open: open, Reason: "they migrate"})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetProvider()
	}
	if p := force("force-the-breaker", true); p.GetBreaker() != paymentv1.BreakerState_BREAKER_STATE_FORCED_OPEN || p.GetForceReason() != "they migrate" {
		t.Errorf("got %v, want it forced open", p)
	}
	if _, err := first.keepHold(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := b.charge(t, key, "pm_ok")
	rpcerrtest.Want(t, err, rpcerr.DestinationDown)
	if n := pgtest.Column[int64](t, b.db, `SELECT (SELECT count(*) FROM payment) + (SELECT count(*) FROM idem WHERE method = 'Charge')`)[0]; n != 0 {
		t.Errorf("%d rows were written of what was held back", n)
	}
	if err := first.writeBreaker(t.Context(), provider.BreakerForcedOpen); err != nil {
		t.Fatal(err)
	}
	if p := force("release-the-breaker", false); p.GetBreaker() != paymentv1.BreakerState_BREAKER_STATE_CLOSED || p.GetForceReason() != "" {
		t.Errorf("got %v, want it closed", p)
	}
	if _, err := first.keepHold(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mustCharge(t, key, "pm_ok")
	verbs := pgtest.Column[string](t, b.db, `SELECT verb FROM operator_action ORDER BY id`)
	if diff := cmp.Diff([]string{"force the breaker open", "leave the breaker to itself"}, verbs); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	told := &eventv1.BreakerChanged{}
	if err := proto.Unmarshal(pgtest.Column[[]byte](t, b.db, `SELECT data FROM outbox WHERE entity = 'breaker' AND name = 'changed'`)[0], told); err != nil {
		t.Fatal(err)
	}
	wantTold := &eventv1.BreakerChanged{Provider: "psp", State: "forced open", Actor: "operator", Reason: "they migrate"}
	if diff := cmp.Diff(wantTold, told, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	b.wantClean(t)
}
