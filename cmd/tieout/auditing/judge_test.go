package auditing

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/services/payment/pspsim"
)

func gbp(minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: minor}
}

// paid is a payment of 10.00 GBP.
func paid(state paymentv1.PaymentState, captured, refunded, chargedBack int64) *paymentv1.Payment {
	return &paymentv1.Payment{
		PaymentId: "pay_1", State: state, Amount: gbp(1000), Captured: gbp(captured), Refunded: gbp(refunded), ChargedBack: gbp(chargedBack),
		ProviderKey: "k1", ProviderChargeId: "ch_1",
	}
}

// did is a journal: "authorize capture:900".
func did(effects string) (journal []pspsim.Entry) {
	charges := 0
	for effect := range strings.FieldsSeq(effects) {
		what, amount, some := strings.Cut(effect, ":")
		e := pspsim.Entry{Type: pspsim.EntryType(what), Currency: "GBP", AmountMinor: 1000, Reference: "ord_1"}
		if some {
			e.AmountMinor, _ = strconv.ParseInt(amount, 10, 64)
		}
		if e.Type == pspsim.TypeCharge || e.Type == pspsim.TypeAuthorize {
			charges++
			e.ID, e.IdempotencyKey = fmt.Sprintf("ch_%d", charges), "k1"
		} else {
			e.ID, e.Charge = fmt.Sprintf("x_%d", len(journal)), "ch_1"
		}
		journal = append(journal, e)
	}
	return journal
}

const (
	completed, compensated = orderv1.OrderState_ORDER_STATE_COMPLETED, orderv1.OrderState_ORDER_STATE_COMPENSATED
	parked                 = orderv1.OrderState_ORDER_STATE_PARKED
	captured, refunded     = paymentv1.PaymentState_PAYMENT_STATE_CAPTURED, paymentv1.PaymentState_PAYMENT_STATE_REFUNDED
	partly, chargeback     = paymentv1.PaymentState_PAYMENT_STATE_PARTIALLY_REFUNDED, paymentv1.PaymentState_PAYMENT_STATE_CHARGEBACK
	authorized, voided     = paymentv1.PaymentState_PAYMENT_STATE_AUTHORIZED, paymentv1.PaymentState_PAYMENT_STATE_VOIDED
	capturing, created     = paymentv1.PaymentState_PAYMENT_STATE_CAPTURING, paymentv1.PaymentState_PAYMENT_STATE_CREATED
)

// judged are an order, its only payment, what the provider did, and the comparisons that are wrong about them.
var judged = []struct {
	name    string
	state   orderv1.OrderState
	payment *paymentv1.Payment
	journal string
	red     string
}{
	{"charged", completed, paid(captured, 1000, 0, 0), "charge", ""},
	{"captured", completed, paid(captured, 1000, 0, 0), "authorize capture", ""},
	{"voided", compensated, paid(voided, 0, 0, 0), "authorize void", ""},
	{"charged and refunded", compensated, paid(refunded, 1000, 1000, 0), "charge refund", ""},
	{"captured, and given back in part by a person", completed, paid(partly, 1000, 300, 0), "authorize capture refund:300", ""},
	{"captured, and taken back by the bank", completed, paid(chargeback, 1000, 0, 1000), "authorize capture chargeback", ""},
	{"taken back, and given back again", completed, paid(captured, 1000, 0, 0), "authorize capture chargeback chargeback_reversal", ""},
	{"parked before the capture", parked, paid(authorized, 0, 0, 0), "authorize", ""},
	{"declined", compensated, paid(paymentv1.PaymentState_PAYMENT_STATE_DECLINED, 0, 0, 0), "", ""},

	{"captured in part", completed, paid(captured, 900, 0, 0), "authorize capture:900", "2_net_at_provider 2_net_charge"},
	{"not captured", completed, paid(authorized, 0, 0, 0), "authorize",
		"19_nothing_left_open 19_nothing_left_set_aside 20_completed_once 2_net_at_provider 2_net_charge"},
	{"captured, as far as the provider knows", completed, paid(capturing, 0, 0, 0), "authorize capture",
		"19_nothing_left_open 20_completed_once 2_net_charge 3_no_unknown_success"},
	{"captured, as far as we know", completed, paid(captured, 1000, 0, 0), "authorize", "19_nothing_left_set_aside 2_net_at_provider 4_no_unknown_capture"},
	{"captured twice", completed, paid(captured, 1000, 0, 0), "authorize capture capture", "1_charged_once 2_net_at_provider 3_no_unknown_success"},
	{"authorized twice", completed, paid(captured, 1000, 0, 0), "authorize capture authorize", "19_nothing_left_set_aside 1_charged_once"},
	{"never sent", compensated, paid(created, 0, 0, 0), "", "19_nothing_left_open"},
	{"not voided", compensated, paid(authorized, 0, 0, 0), "authorize", "19_nothing_left_open 19_nothing_left_set_aside"},
	{"voided, as far as we know", compensated, paid(voided, 0, 0, 0), "authorize", "19_nothing_left_set_aside"},
	{"captured and kept", compensated, paid(captured, 1000, 0, 0), "authorize capture", "2_net_at_provider 2_net_charge"},
	{"given back in part", compensated, paid(partly, 1000, 300, 0), "charge refund:300", "2_net_at_provider 2_net_charge"},
	{"given back, as far as we know", completed, paid(refunded, 1000, 1000, 0), "charge", "4_no_unknown_capture"},
	{"given back, as far as the provider knows", completed, paid(captured, 1000, 0, 0), "charge refund", "3_no_unknown_success"},
	{"taken back by the bank, which we do not know", completed, paid(captured, 1000, 0, 0), "charge chargeback", "3_no_unknown_success"},
	{"authorized, as far as we know", parked, paid(authorized, 0, 0, 0), "", "4_no_unknown_capture"},
}

func TestJudge_TellsWhatAnOrderHasCostFromWhatItShould(t *testing.T) {
	t.Parallel()
	for _, tt := range judged {
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, e := range did(tt.journal) {
				_ = json.NewEncoder(w).Encode(e) // a client that leaves is none of our business
			}
		}))
		t.Cleanup(provider.Close)
		c := &comparer{providerURL: provider.URL}
		charges, err := c.readJournal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		e := effects{
			of:       subjectOfOrder(&orderv1.Order{OrderId: "ord_1", State: tt.state, Total: gbp(1000)}),
			payments: []*paymentv1.Payment{tt.payment}, charges: charges["ord_1"], witness: true, wrong: findings{},
		}
		if tt.state == completed {
			e.shipments = []*shipmentv1.Shipment{{ShipmentId: "shp_1", State: shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED}}
		}
		e.judge()
		if diff := cmp.Diff(tt.red, e.wrong.names()); diff != "" {
			t.Errorf("%s: red comparisons (-want +got):\n%s\n%v", tt.name, diff, e.wrong)
		}
	}
}

// names are those of the comparisons that are wrong about something.
func (f findings) names() string {
	var names []string
	for at := range f {
		names = append(names, fmt.Sprintf("%d_%s", comparisons[at.comparison].number, comparisons[at.comparison].name))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}
