package payment

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/bus/bustest"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// patient is for batches that wait for all.
func patient(c *Config) { c.BatchPatience = time.Minute }

func chargeBatch(t *testing.T, on paymentv1.PaymentServiceClient, requests ...*paymentv1.ChargeRequest) []*paymentv1.BatchChargeResponse_Result {
	t.Helper()
	answer, err := on.BatchCharge(t.Context(), &paymentv1.BatchChargeRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func refundBatch(t *testing.T, on paymentv1.PaymentServiceClient, keys ...string) []*paymentv1.BatchRefundResponse_Result {
	t.Helper()
	requests := make([]*paymentv1.RefundRequest, len(keys))
	for i, k := range keys {
		requests[i] = &paymentv1.RefundRequest{IdempotencyKey: k}
	}
	answer, err := on.BatchRefund(t.Context(), &paymentv1.BatchRefundRequest{Requests: requests})
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != len(requests) {
		t.Fatalf("%d results for %d requests", len(answer.GetResults()), len(requests))
	}
	return answer.GetResults()
}

func wantStatus(t *testing.T, s *spb.Status, reason rpcerr.Reason, fields ...string) *rpcerr.Error {
	t.Helper()
	return rpcerrtest.Want(t, status.FromProto(s).Err(), reason, fields...)
}

// keys gives so many keys.
func keys(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("saga/sag_%d/charge", i)
	}
	return all
}

func toChargeAll(keys []string, method string) []*paymentv1.ChargeRequest {
	all := make([]*paymentv1.ChargeRequest, len(keys))
	for i, k := range keys {
		all[i] = toCharge(k, method)
	}
	return all
}

func TestBatchCharge_AnswersEachByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	before := b.mustCharge(t, "saga/sag_0/charge", "pm_ok")
	b.mustRefund(t, "saga/sag_9/charge")
	nothing, gold, other := toCharge("saga/sag_2/charge", "pm_ok"), toCharge("saga/sag_3/charge", "pm_ok"), toCharge("saga/sag_0/charge", "pm_ok")
	nothing.Amount.MinorUnits, gold.Amount.CurrencyCode, other.Amount.MinorUnits = 0, "XAU", 1
	got := chargeBatch(t, b,
		toCharge("saga/sag_1/charge", "pm_ok"),
		nothing,
		gold,
		toCharge("saga/sag_4/charge", "pm_declined"),
		toCharge("saga/sag_5/charge", "pm_none"),
		toCharge("short", "pm_ok"),
		toCharge("saga/sag_0/charge", "pm_ok"),
		other,
		toCharge("saga/sag_1/charge", "pm_ok"), // the first again
		toCharge("saga/sag_9/charge", "pm_ok"),
		toCharge("saga/sag_6/charge", "pm_slow"),
	)
	for i, ok := range []bool{true, false, false, false, false, false, true, false, false, false, true} {
		captured := got[i].GetResponse().GetPayment().GetState() == paymentv1.PaymentState_PAYMENT_STATE_CAPTURED
		if captured != ok || (got[i].GetStatus() == nil) != ok || got[i].GetReplayed() != (i == 6) {
			t.Errorf("request %d: got %v", i, got[i])
		}
	}
	wantStatus(t, got[1].GetStatus(), rpcerr.AmountNotPositive, "requests[1].amount.minor_units")
	wantStatus(t, got[2].GetStatus(), rpcerr.CurrencyUnknown, "requests[2].amount.currency_code")
	declined := wantStatus(t, got[3].GetStatus(), rpcerr.PaymentDeclined)
	if diff := cmp.Diff(map[string]string{"declineReason": "insufficient_funds"}, declined.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	wantStatus(t, got[4].GetStatus(), rpcerr.PaymentMethodUnknown, "requests[4].payment_method")
	wantStatus(t, got[5].GetStatus(), rpcerr.IdempotencyKeyInvalid, "requests[5].idempotency_key")
	wantStatus(t, got[7].GetStatus(), rpcerr.IdempotencyKeyReused, "amount")
	wantStatus(t, got[8].GetStatus(), rpcerr.IdempotencyKeyInFlight)
	wantStatus(t, got[9].GetStatus(), rpcerr.StepTombstoned)
	if diff := cmp.Diff(before, got[6].GetResponse().GetPayment(), protocmp.Transform()); diff != "" {
		t.Errorf("answer given again (-first +again):\n%s", diff)
	}
	again := chargeBatch(t, b, toCharge("saga/sag_1/charge", "pm_ok"), toCharge("saga/sag_4/charge", "pm_declined"))
	if diff := cmp.Diff(got[0].GetResponse(), again[0].GetResponse(), protocmp.Transform()); diff != "" {
		t.Errorf("answer given again (-first +again):\n%s", diff)
	}
	wantStatus(t, again[1].GetStatus(), rpcerr.PaymentDeclined)
	if !again[0].GetReplayed() || !again[1].GetReplayed() {
		t.Errorf("not marked as replayed: %v", again)
	}
	if n := len(b.psp.Journal()); n != 4 { // 0, 1 and 6 are charged, 4 is declined
		t.Errorf("the provider has %d effects, want 4", n)
	}
}

func TestBatchRefund_AnswersEachByItself(t *testing.T) {
	t.Parallel()
	b := setup(t, patient, hasty)
	all := keys(6)
	b.mustCharge(t, all[0], "pm_ok")
	_, err := b.charge(t, all[1], "pm_declined")
	rpcerrtest.Want(t, err, rpcerr.PaymentDeclined)
	_, err = b.charge(t, all[2], "pm_timeout_after")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	_, err = b.charge(t, all[3], "pm_timeout_before")
	rpcerrtest.Want(t, err, rpcerr.PaymentOutcomeUnknown)
	b.backdate(t, time.Minute)
	got := refundBatch(t, b, all[0], all[1], all[2], all[3], all[4], "short", all[0])
	wantStatus(t, got[5].GetStatus(), rpcerr.IdempotencyKeyInvalid, "requests[5].idempotency_key")
	wantStatus(t, got[6].GetStatus(), rpcerr.IdempotencyKeyInFlight)
	for i, want := range []paymentv1.PaymentState{
		paymentv1.PaymentState_PAYMENT_STATE_REFUNDED, paymentv1.PaymentState_PAYMENT_STATE_DECLINED,
		paymentv1.PaymentState_PAYMENT_STATE_REFUNDED, paymentv1.PaymentState_PAYMENT_STATE_VOIDED,
		paymentv1.PaymentState_PAYMENT_STATE_UNSPECIFIED, // there was none
	} {
		if p := got[i].GetResponse().GetPayment(); got[i].GetStatus() != nil || p.GetState() != want {
			t.Errorf("refund %d: got %v, want state %s", i, got[i], want)
		}
	}
	for i, again := range refundBatch(t, b, all[:5]...) {
		if diff := cmp.Diff(got[i].GetResponse(), again.GetResponse(), protocmp.Transform()); diff != "" || !again.GetReplayed() {
			t.Errorf("refund %d, replayed %v (-first +again):\n%s", i, again.GetReplayed(), diff)
		}
	}
	for i, r := range chargeBatch(t, b, toChargeAll(all[:5], "pm_ok")...) {
		if i != 5 {
			wantStatus(t, r.GetStatus(), rpcerr.StepTombstoned)
		}
	}
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeDecline, pspsim.TypeCharge, pspsim.TypeRefund, pspsim.TypeRefund)
}

func TestBatchCharge_AnswersASlowOneAsInFlightAndGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	var posts atomic.Int32
	b.PaymentServiceClient = b.start(t, func(c *Config) {
		c.Provider.PSP.Timeout, c.BatchPatience = time.Minute, 200*time.Millisecond
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool {
			if posts.Add(1) == 1 {
				await(t, release)
			}
			deliver()
			return true
		})
	})
	all := keys(4)
	inFlight := 0
	for _, r := range chargeBatch(t, b, toChargeAll(all, "pm_ok")...) {
		if r.GetStatus() == nil {
			continue
		}
		inFlight++
		if e := wantStatus(t, r.GetStatus(), rpcerr.IdempotencyKeyInFlight); e.RetryAfter <= 0 {
			t.Error("the caller is not told when to ask again")
		}
	}
	if inFlight == 0 {
		t.Error("none is in flight, want the one that is held")
	}
	// The others do not wait for it, and its refund does not touch it.
	waittest.Until(t, "the others are captured", func() bool {
		return pgtest.Column[int64](t, b.db, `SELECT count(*) FROM payment WHERE state = 3`)[0] == 3
	})
	held := pgtest.Column[string](t, b.db, `SELECT key FROM idem WHERE state = 1`)
	if len(held) != 1 {
		t.Fatalf("in flight are %v, want one", held)
	}
	wantStatus(t, refundBatch(t, b, held[0])[0].GetStatus(), rpcerr.IdempotencyKeyInFlight)
	close(release)
	waittest.Until(t, "it has gone on", func() bool {
		return chargeBatch(t, b, toCharge(held[0], "pm_ok"))[0].GetReplayed()
	})
	if n := len(b.psp.Journal()); n != 4 {
		t.Errorf("the provider has %d effects, want 4", n)
	}
}

func TestBatchCharge_InParallelChargesEachOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := keys(8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			waittest.Until(t, "all are charged", func() bool {
				for _, r := range chargeBatch(t, b, toChargeAll(all, "pm_ok")...) {
					if r.GetStatus() != nil {
						return false
					}
				}
				return true
			})
		})
	}
	wg.Wait()
	if n := len(b.psp.Journal()); n != len(all) {
		t.Errorf("the provider has %d effects, want %d", n, len(all))
	}
}

// What Postgres refuses of one item is that item's error, at its intent and at its outcome.
func TestBatchCharge_OnePoisonousItemFailsAlone(t *testing.T) {
	t.Parallel()
	for when, trigger := range map[string]string{
		"at its intent":  `BEFORE INSERT ON payment FOR EACH ROW WHEN (NEW.reference = 'ord_poison' AND NEW.state = 1)`,
		"at its outcome": `BEFORE UPDATE ON payment FOR EACH ROW WHEN (NEW.reference = 'ord_poison' AND NEW.state = 3)`,
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			b := setup(t, patient)
			for _, sql := range []string{
				`CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poison' USING ERRCODE = 'check_violation'; END $$`,
				`CREATE TRIGGER poison ` + trigger + ` EXECUTE FUNCTION poison()`,
			} {
				if _, err := b.db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			requests := toChargeAll(keys(4), "pm_ok")
			requests[1].Reference = "ord_poison"
			for i, r := range chargeBatch(t, b, requests...) {
				if i == 1 {
					wantStatus(t, r.GetStatus(), rpcerr.Internal)
				} else if r.GetStatus() != nil {
					t.Errorf("request %d: got %v", i, r)
				}
			}
			for _, sql := range []string{`DROP TRIGGER poison ON payment`, `UPDATE idem SET lease_until = now() WHERE state = 1`} {
				if _, err := b.db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			if got := chargeBatch(t, b, requests[1])[0]; got.GetStatus() != nil {
				t.Errorf("asked again: got %v", got)
			}
			b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeCharge, pspsim.TypeCharge, pspsim.TypeCharge)
		})
	}
}

// A batch writes each table once for its intents and once for its outcomes, in two commits.
func TestBatch_CostsTwoCommitsHoweverMany(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	for _, sql := range []string{
		`CREATE TABLE written (tx bigint, name text)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
		 BEGIN INSERT INTO written VALUES (txid_current(), TG_TABLE_NAME); RETURN NULL; END $$`,
		`CREATE TRIGGER note BEFORE INSERT ON idem FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`CREATE TRIGGER note BEFORE INSERT ON payment FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`CREATE TRIGGER note BEFORE INSERT ON operation FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`CREATE TRIGGER note BEFORE INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`CREATE TRIGGER note BEFORE INSERT ON posting FOR EACH STATEMENT EXECUTE FUNCTION note()`,
		`CREATE TRIGGER note BEFORE INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION note()`,
	} {
		if _, err := b.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	all := keys(100)
	want := func(of string, statements ...string) {
		t.Helper()
		got := pgtest.Column[string](t, b.db, `SELECT dense_rank() OVER (ORDER BY tx) || ' ' || name FROM written ORDER BY tx, name`)
		if diff := cmp.Diff(statements, got); diff != "" {
			t.Errorf("statements of %s, by commit (-want +got):\n%s", of, diff)
		}
		if _, err := b.db.Exec(t.Context(), `TRUNCATE written`); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range chargeBatch(t, b, toChargeAll(all, "pm_ok")...) {
		if r.GetStatus() != nil {
			t.Errorf("charge %d: got %v", i, r)
		}
	}
	want("charges", "1 idem", "1 operation", "1 payment", "2 idem", "2 journal", "2 operation", "2 outbox", "2 payment", "2 posting")
	for i, r := range refundBatch(t, b, all...) {
		if r.GetStatus() != nil {
			t.Errorf("refund %d: got %v", i, r)
		}
	}
	// The row of the refund, and the tombstone that its charge becomes.
	want("refunds", "1 idem", "1 idem", "1 operation", "1 payment", "2 idem", "2 journal", "2 operation", "2 outbox", "2 payment", "2 posting")
}

func TestEpoch_OfAnOwnerThatWasFollowedIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, patient)
	from := func(epoch int64) *commonv1.Origin { return &commonv1.Origin{Epoch: epoch} }
	charge := func(epoch int64) *spb.Status {
		r := toCharge(key, "pm_ok")
		r.Origin = from(epoch)
		return chargeBatch(t, b, r)[0].GetStatus()
	}
	refund := func(epoch int64) error {
		_, err := b.Refund(t.Context(), &paymentv1.RefundRequest{IdempotencyKey: key, Origin: from(epoch)})
		return err
	}
	if s := charge(5); s != nil {
		t.Fatal(s)
	}
	wantStatus(t, charge(4), rpcerr.EpochStale)
	rpcerrtest.Want(t, refund(4), rpcerr.EpochStale)
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	if err := refund(6); err != nil {
		t.Fatal(err)
	}
	rpcerrtest.Want(t, refund(5), rpcerr.EpochStale)
	wantStatus(t, charge(5), rpcerr.EpochStale)
	wantStatus(t, charge(6), rpcerr.StepTombstoned)
	b.wantEffects(t, pspsim.TypeCharge, pspsim.TypeRefund)
}

func TestStop_WaitsForWhatGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held, release := make(chan struct{}), make(chan struct{})
	cfg := servicetest.Config()
	cfg.NATS.URL = bustest.Server(t).URL()
	p, err := service.Start(t.Context(), cfg, t.Output(), b.service(func(*service.Env) {}, func(c *Config) {
		c.Provider.PSP.Timeout, c.BatchPatience = time.Minute, time.Millisecond
		c.Provider.PSP.URL = between(t, b.psp.URL(), func(_ string, deliver func()) bool {
			close(held)
			await(t, release)
			deliver()
			return true
		})
	}))
	if err != nil {
		t.Fatal(err)
	}
	on := paymentv1.NewPaymentServiceClient(servicetest.Dial(t, p, "orchestrator"))
	wantStatus(t, chargeBatch(t, on, toCharge(key, "pm_ok"))[0].GetStatus(), rpcerr.IdempotencyKeyInFlight)
	await(t, held)
	stopped := make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	waittest.Until(t, "no calls are taken any more", func() bool {
		conn, err := net.Dial("tcp", p.GRPCAddr())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	b.wantState(t, paymentv1.PaymentState_PAYMENT_STATE_CAPTURED)
	b.wantEvents(t, "captured")
}
