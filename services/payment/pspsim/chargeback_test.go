package pspsim

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// chargeback has the bank take a charge back, as an order says.
func (b *bench) chargeback(order string) chargebackObject {
	b.t.Helper()
	return parse[chargebackObject](b.t, b.order("/admin/chargebacks", order), http.StatusOK)
}

func (b *bench) reverse(order string) chargebackObject {
	b.t.Helper()
	return parse[chargebackObject](b.t, b.order("/admin/chargebacks/reverse", order), http.StatusOK)
}

func TestChargeback_TakesBackAndIsReversed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	b := setup(t, Options{Journal: path})
	charge := b.mustCharge("k", "pm_ok")
	part := b.chargeback(`{"charge": "` + charge.ID + `", "amount_minor": 400, "fee_minor": 700}`)
	want := chargebackObject{ID: part.ID, Status: "open", Charge: charge.ID, AmountMinor: 400, FeeMinor: 700, Currency: "GBP", Created: part.Created}
	if diff := cmp.Diff(want, part); diff != "" || !strings.HasPrefix(part.ID, "dp_") {
		t.Errorf("chargeback %s (-want +got):\n%s", part.ID, diff)
	}
	rest := b.chargeback(`{"charge": "` + charge.ID + `"}`)
	if rest.AmountMinor != 850 || rest.FeeMinor != 1500 {
		t.Errorf("got %+v, want the other 850 for a fee of 1500", rest)
	}
	won := b.reverse(`{"chargeback": "` + part.ID + `", "return_fee": true}`)
	if won.ID != part.ID || won.Status != "reversed" || won.AmountMinor != 400 || won.FeeMinor != -700 {
		t.Errorf("got %+v, want %s reversed, and the fee given back", won, part.ID)
	}
	entry := b.Journal()[3]
	wantEntry := Entry{Seq: 4, At: won.Created, Type: TypeChargebackReversal, ID: entry.ID, Chargeback: part.ID, Charge: charge.ID,
		AmountMinor: 400, FeeMinor: -700, Currency: "GBP", Reference: "ord_1", PaymentMethod: "pm_ok"}
	if diff := cmp.Diff(wantEntry, entry); diff != "" || !strings.HasPrefix(entry.ID, "dr_") {
		t.Errorf("entry %s (-want +got):\n%s", entry.ID, diff)
	}
	b.wantEffects(TypeCharge, TypeChargeback, TypeChargeback, TypeChargebackReversal)
	b.stop()

	after := setup(t, Options{Journal: path})
	if got := after.chargesOf("k")[0].AmountDisputedMinor; got != 850 {
		t.Errorf("the charge says %d disputed after a restart, want 850", got)
	}
	after.reverse(`{"chargeback": "` + rest.ID + `"}`)
	wantError(t, after.order("/admin/chargebacks/reverse", `{"chargeback": "`+rest.ID+`"}`), 404,
		apiError{Type: typeInvalid, Code: codeMissing, Param: "chargeback"})
	if entry := after.Journal()[4]; entry.FeeMinor != 0 {
		t.Errorf("got a fee of %d, want that it is kept", entry.FeeMinor)
	}
}

func TestChargeback_IsOfWhatWasCaptured(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	authorized, charge := b.authorize("a"), b.mustCharge("k", "pm_ok")
	bad := func(code, param string) apiError { return apiError{Type: typeInvalid, Code: code, Param: param} }
	for _, tt := range []struct {
		order  string
		status int
		want   apiError
	}{
		{`{"charge": "ch_none"}`, 404, bad(codeMissing, "charge")},
		{`{"charge": "` + authorized.ID + `"}`, 400, bad(codeNotCaptured, "charge")},
		{`{"charge": "` + charge.ID + `", "amount_minor": 1251}`, 400, bad(codeAmountTooLarge, "amount_minor")},
		{`{"charge": "` + charge.ID + `", "amount_minor": -1}`, 400, bad(codeInvalidParam, "")},
		{`{"charge": "` + charge.ID + `", "fee_minor": -1}`, 400, bad(codeInvalidParam, "")},
	} {
		wantError(t, b.order("/admin/chargebacks", tt.order), tt.status, tt.want)
	}
	b.wantEffects(TypeAuthorize, TypeCharge)
	b.mustDo(http.MethodPost, "/v1/captures", "c", `{"charge": "`+authorized.ID+`", "amount_minor": 1000}`)
	if got := b.chargeback(`{"charge": "` + authorized.ID + `", "fee_minor": 0}`); got.AmountMinor != 1000 || got.FeeMinor != 0 {
		t.Errorf("got %+v, want the 1000 that were captured, without a fee", got)
	}
	wantError(t, b.order("/admin/chargebacks", `{"charge": "`+authorized.ID+`"}`), 400, bad(codeDisputed, "charge"))
}

// A bank does not ask what was refunded; the provider does ask what was taken back.
func TestChargeback_AndRefundsOfTheSameCharge(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	charge := b.mustCharge("k", "pm_ok")
	b.postRefund("r1", refundBody(charge.ID, 1000))
	first := b.chargeback(`{"charge": "` + charge.ID + `", "amount_minor": 1200}`)
	disputed := apiError{Type: typeInvalid, Code: codeDisputed, Param: "charge"}
	wantError(t, b.postRefund("r2", refundBody(charge.ID, 1)), 400, disputed)
	b.reverse(`{"chargeback": "` + first.ID + `"}`)
	b.chargeback(`{"charge": "` + charge.ID + `", "amount_minor": 100}`)
	wantError(t, b.postRefund("r3", refundBody(charge.ID, 151)), 400, apiError{Type: typeInvalid, Code: codeAmountTooLarge, Param: "amount_minor"})
	parse[followObject](t, b.postRefund("r4", refundBody(charge.ID, 150)), http.StatusCreated)
	b.wantEffects(TypeCharge, TypeRefund, TypeChargeback, TypeChargebackReversal, TypeChargeback, TypeRefund)
}

func TestChargeback_IsToldByWebhook(t *testing.T) {
	t.Parallel()
	b, r := receiving(t, Webhooks{Duplicates: 1})
	charge := b.mustCharge("k", "pm_ok")
	made := b.chargeback(`{"charge": "` + charge.ID + `"}`)
	b.reverse(`{"chargeback": "` + made.ID + `", "return_fee": true}`)
	const told, undone = "charge.chargeback ", "charge.chargeback_reversed "
	r.want(t, "charge.succeeded k", "charge.succeeded k", told, told, undone, undone)
	type webhook struct {
		Op   EntryType        `json:"op"`
		Data chargebackObject `json:"data"`
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	opened := parse[webhook](t, answered{status: 200, body: string(r.bodies[2])}, 200)
	if diff := cmp.Diff(webhook{TypeChargeback, made}, opened); diff != "" {
		t.Errorf("webhook (-want +got):\n%s", diff)
	}
	reversed := parse[webhook](t, answered{status: 200, body: string(r.bodies[4])}, 200)
	if reversed.Op != TypeChargebackReversal || reversed.Data.ID != made.ID || reversed.Data.FeeMinor != -1500 {
		t.Errorf("got %+v, want the reversal of %s", reversed, made.ID)
	}
}

func TestSettlement_HasChargebacksByThemselves(t *testing.T) {
	t.Parallel()
	b := traded(t)
	made := b.chargeback(`{"charge": "` + b.Journal()[0].ID + `", "amount_minor": 850}`)
	b.reverse(`{"chargeback": "` + made.ID + `", "return_fee": true}`)
	rows := rowsOf(t, b.settlement("format=stripe-csv").Content)
	var got []string
	for _, row := range rows[len(rows)-2:] {
		got = append(got, strings.Join([]string{row["automatic_payout_id"], row["reporting_category"], row["gross"], row["fee"], row["net"],
			row["source_id"], row["charge_id"], row["payment_metadata[tieout_key]"]}, " "))
	}
	of := " " + made.ID + " " + made.Charge + " k1"
	want := []string{"dp000007gbp dispute -8.50 15.00 -23.50" + of, "dp000008gbp dispute_reversal 8.50 -15.00 23.50" + of}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	bank := b.settlement("format=mt940").Content
	for _, want := range []string{
		":61:2603030303D23,50NMSCdp000007gbp\r\n:86:PSPSIM DISPUTE dp000007gbp " + made.Charge + "\r\n",
		":61:2603030303C23,50NMSCdp000008gbp\r\n:86:PSPSIM DISPUTE dp000008gbp " + made.Charge + "\r\n",
		":61:2603030303C17,77NMSCpo20260302gbp\r\n", ":62F:C260303GBP29,89\r\n",
	} {
		if !strings.Contains(bank, want) {
			t.Errorf("the bank statement lacks %q:\n%s", want, bank)
		}
	}
	if camt := b.settlement("format=camt053").Content; !strings.Contains(camt, "<CdtDbtInd>DBIT</CdtDbtInd>") || !strings.Contains(camt, "dp000007gbp") {
		t.Errorf("camt.053 lacks the chargeback:\n%s", camt)
	}
}
