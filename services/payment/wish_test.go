package payment

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
)

// subject is a payment of a test, which may not be there yet.
type subject struct {
	reference     string // of the payment, and the beginning of all keys
	paymentMethod string
	opens         method // what makes it, in a schedule
	since         int    // effects of the provider before it
	wishes        []*wish
}

// wish is something that is asked for a subject under a key, once or more often.
type wish struct {
	of      *subject
	method  method
	name    string   // tells it from others of the method; what undoes has the name of what it undoes
	amount  int64    // minor units; zero for all there is
	answers []answer // in the order in which they came
}

// wish gives the wish of that name.
func (s *subject) wish(m method, name string, amount int64) *wish {
	at := slices.IndexFunc(s.wishes, func(w *wish) bool { return w.method == m && w.name == name })
	if at < 0 {
		at = len(s.wishes)
		s.wishes = append(s.wishes, &wish{of: s, method: m, name: name, amount: amount})
	}
	return s.wishes[at]
}

// wavered tells whether the answers contradict each other. What was answered for good is answered again, but for what
// was undone in between.
func (w *wish) wavered() bool {
	var before answer
	known := false
	for _, a := range w.answers {
		if !a.definite() {
			continue
		}
		if known && !a.same(before) && !a.refusedWith(rpcerr.StepTombstoned) {
			return true
		}
		before, known = a, true
	}
	return false
}

// String names the wish.
func (w *wish) String() string {
	return fmt.Sprintf("%s %s/%s %d", w.method, w.of.reference, w.name, w.amount)
}

func (w *wish) key() string { return w.of.reference + "/" + w.name }

// What makes a subject's payment: its name, and minor units.
const (
	opening = "opening"
	total   = 1250
)

// answer is what a wish was answered.
type answer struct {
	payment *paymentv1.Payment
	refusal *rpcerr.Error // nil when it is done
	err     error
}

// definite tells whether the answer is there for good.
func (a answer) definite() bool { return a.err == nil || a.refusal != nil && a.refusal.Definite() }

// done tells whether it was carried out.
func (a answer) done() bool { return a.err == nil }

// refusedWith tells whether it was refused with that reason.
func (a answer) refusedWith(reason rpcerr.Reason) bool {
	return a.refusal != nil && a.refusal.Reason == reason
}

// same tells whether two answers say the same.
func (a answer) same(b answer) bool {
	if a.err != nil || b.err != nil {
		return a.refusal != nil && b.refusal != nil && a.refusal.Reason == b.refusal.Reason && a.refusal.Message == b.refusal.Message
	}
	return proto.Equal(a.payment, b.payment)
}

// String shows the answer.
func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return "done: " + a.payment.GetState().String()
}

// errNoPayment is the answer to what cannot be asked for, as nobody can name the payment yet.
var errNoPayment = errors.New("there is no payment")

// ask asks for a wish so many times at once, in turn of both processes, one of them first.
func (r *rig) ask(t *testing.T, first int, w *wish, times int) answer {
	t.Helper()
	got := r.asking(t, first, w, times)()
	w.answers = append(w.answers, got...)
	return append(got, answer{err: errNoPayment})[0]
}

// asking gives what asks, and waits for the answers; none where nobody can ask yet.
func (r *rig) asking(t *testing.T, first int, w *wish, times int) func() []answer {
	t.Helper()
	pid := r.paymentID(t, w.of)
	if pid == "" && w.byID() {
		return func() []answer { return nil }
	}
	return func() []answer {
		got := make([]answer, times)
		var asking sync.WaitGroup
		for i := range got {
			asking.Go(func() {
				a := &got[i]
				a.payment, a.err = w.send(t.Context(), r.on[(first+i)%len(r.on)].client, pid)
				a.refusal, _ = rpcerr.FromError(a.err)
			})
		}
		asking.Wait()
		return got
	}
}

// byID tells whether it is about a payment by its id.
func (w *wish) byID() bool { return w.method == methodRefundPayment || w.method == methodVoidPayment }

// paymentID gives a subject's payment; empty when there is none.
func (r *rig) paymentID(t *testing.T, s *subject) string {
	t.Helper()
	ids := pgtest.Column[PaymentID](t, r.db, `SELECT id FROM payment WHERE reference = $1`, s.reference)
	if len(ids) > 1 {
		t.Errorf("%s has %d payments", s.reference, len(ids))
	}
	if len(ids) == 0 {
		return ""
	}
	return ids[0].String()
}

func (w *wish) send(ctx context.Context, on paymentv1.PaymentServiceClient, paymentID string) (*paymentv1.Payment, error) {
	key, amount := w.key(), &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: w.amount}
	if w.amount == 0 {
		amount = nil
	}
	switch w.method {
	case methodCharge:
		a, err := on.Charge(ctx, &paymentv1.ChargeRequest{
			IdempotencyKey: key, Amount: amount, PaymentMethod: w.of.paymentMethod, CustomerId: "cus_1", Reference: w.of.reference,
		})
		return a.GetPayment(), err
	case methodAuthorize:
		a, err := on.Authorize(ctx, &paymentv1.AuthorizeRequest{
			IdempotencyKey: key, Amount: amount, PaymentMethod: w.of.paymentMethod, CustomerId: "cus_1", Reference: w.of.reference,
		})
		return a.GetPayment(), err
	case methodCapture:
		a, err := on.Capture(ctx, &paymentv1.CaptureRequest{
			IdempotencyKey: key, Amount: amount,
			Authorization: &paymentv1.CaptureRequest_AuthorizationKey{AuthorizationKey: w.of.reference + "/" + opening},
		})
		return a.GetPayment(), err
	case methodRefund:
		a, err := on.Refund(ctx, &paymentv1.RefundRequest{IdempotencyKey: key})
		return a.GetPayment(), err
	case methodVoid:
		a, err := on.Void(ctx, &paymentv1.VoidRequest{IdempotencyKey: key})
		return a.GetPayment(), err
	case methodVoidPayment:
		a, err := on.VoidPayment(ctx, &paymentv1.VoidPaymentRequest{IdempotencyKey: key, PaymentId: paymentID, Reason: "a test"})
		return a.GetPayment(), err
	}
	a, err := on.RefundPayment(ctx, &paymentv1.RefundPaymentRequest{IdempotencyKey: key, PaymentId: paymentID, Amount: amount, Reason: "a test"})
	return a.GetPayment(), err
}

// insist asks for a wish until the answer is there for good, while time passes.
func (r *rig) insist(t *testing.T, first int, w *wish) (a answer) {
	t.Helper()
	for range 8 {
		r.expire(t, w.of)
		if a = r.ask(t, first, w, 1); a.definite() || errors.Is(a.err, errNoPayment) {
			return a
		}
		r.age(t, w.of, 10*time.Second)
	}
	t.Errorf("%s gets no answer but %v", w, a)
	return a
}

// signed is the header of a webhook that was signed at a time.
func signed(secret string, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// post gives what a webhook is answered.
func post(to http.Handler, body []byte, signature string) *httptest.ResponseRecorder {
	q, w := httptest.NewRequest(http.MethodPost, WebhookPath, bytes.NewReader(body)), httptest.NewRecorder()
	q.Header.Set("Psp-Signature", signature)
	to.ServeHTTP(w, q)
	return w
}
