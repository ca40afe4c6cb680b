package pspsim

import (
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
)

func (b *bench) authorize(key string) chargeObject {
	b.t.Helper()
	body := strings.Replace(chargeBody("pm_ok"), "{", `{"authorize_only": true, `, 1)
	return parse[chargeObject](b.t, b.mustDo(http.MethodPost, "/v1/charges", key, body), http.StatusCreated)
}

func TestAuthorization_IsCapturedOnceOrVoided(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{Journal: t.TempDir() + "/journal"})
	taken, released := b.authorize("a1"), b.authorize("a2")
	if taken.Status != "authorized" || taken.AmountCapturedMinor != 0 {
		t.Errorf("got %+v, want it authorized", taken)
	}
	capture := `{"charge": "` + taken.ID + `", "amount_minor": 1000}`
	void := `{"charge": "` + released.ID + `"}`
	parse[followObject](t, b.mustDo(http.MethodPost, "/v1/captures", "c", capture), http.StatusCreated)
	parse[followObject](t, b.mustDo(http.MethodPost, "/v1/voids", "v", void), http.StatusCreated)
	for i, tt := range []struct{ path, charge, code string }{
		{"/v1/captures", taken.ID, codeAlreadyCaptured}, {"/v1/voids", taken.ID, codeAlreadyCaptured},
		{"/v1/captures", released.ID, codeVoided}, {"/v1/voids", released.ID, codeVoided}, {"/v1/refunds", released.ID, codeNotCaptured},
	} {
		got := b.mustDo(http.MethodPost, tt.path, fmt.Sprint("late", i), `{"charge": "`+tt.charge+`"}`)
		wantError(t, got, 400, apiError{Type: typeInvalid, Code: tt.code, Param: "charge"})
	}
	wantError(t, b.postRefund("r", refundBody(taken.ID, 1001)), 400, apiError{Type: typeInvalid, Code: codeAmountTooLarge, Param: "amount_minor"})
	parse[followObject](t, b.postRefund("r2", refundBody(taken.ID, 1000)), http.StatusCreated)
	b.wantEffects(TypeAuthorize, TypeAuthorize, TypeCapture, TypeVoid, TypeRefund)
	before := b.Journal()
	b.stop()
	after := setup(t, Options{Journal: b.book.journal.file.Name()})
	if diff := cmp.Diff(before, after.Journal()); diff != "" {
		t.Errorf("journal (-before +after):\n%s", diff)
	}
	if c := after.chargesOf("a1")[0]; c.Status != "captured" || c.AmountCapturedMinor != 1000 || c.AmountRefundedMinor != 1000 {
		t.Errorf("got %+v after a restart, want 1000 captured and refunded", c)
	}
}

// traded is a simulator after two days: 12.50 charged each day, 10.00 of 12.50 captured, 4.00 refunded.
func traded(t *testing.T) *bench {
	t.Helper()
	var now atomic.Int64
	now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	b := setup(t, Options{Now: func() time.Time { return time.Unix(now.Load(), 0) }})
	charge := b.mustCharge("k1", "pm_ok")
	b.postCharge("declined", "pm_declined")
	now.Add(24 * 3600)
	b.mustCharge("k2", "pm_ok")
	authorized := b.authorize("a")
	b.mustDo(http.MethodPost, "/v1/captures", "c", `{"charge": "`+authorized.ID+`", "amount_minor": 1000}`)
	b.postRefund("r", refundBody(charge.ID, 400))
	return b
}

func (b *bench) settlement(query string) Settlement {
	b.t.Helper()
	return parse[Settlement](b.t, b.mustDo(http.MethodGet, "/v1/settlement?"+query, "", ""), http.StatusOK)
}

func minor(t *testing.T, decimal string) int64 {
	t.Helper()
	sign := int64(1)
	if rest, negative := strings.CutPrefix(decimal, "-"); negative {
		decimal, sign = rest, -1
	}
	a, err := money.Parse(decimal, "GBP")
	if err != nil {
		t.Fatal(err)
	}
	return sign * a.Minor
}

// rowsOf reads a report as maps by column.
func rowsOf(t *testing.T, report string) []map[string]string {
	t.Helper()
	records, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, name := range records[0] {
			row[name] = record[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func TestSettlement_ReportTiesOutWithTheBankStatements(t *testing.T) {
	t.Parallel()
	b := traded(t)
	payouts := map[string]int64{}
	var got []string
	for _, row := range rowsOf(t, b.settlement("format=stripe-csv").Content) {
		net := minor(t, row["net"])
		if net != minor(t, row["gross"])-minor(t, row["fee"]) {
			t.Errorf("row %v: net is not gross less fee", row)
		}
		payouts[row["automatic_payout_id"]] += net
		got = append(got, strings.Join([]string{row["reporting_category"], row["gross"], row["fee"], row["currency"], row["payment_metadata[tieout_key]"]}, " "))
	}
	want := []string{"charge 12.50 0.38 gbp k1", "charge 12.50 0.38 gbp k2", "charge 12.50 0.35 gbp a", "partial_capture_reversal -2.50 0.00 gbp a", "refund -4.00 0.00 gbp k1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"po20260301gbp": 1212, "po20260302gbp": 1777}, payouts); diff != "" {
		t.Errorf("payouts (-want +got):\n%s", diff)
	}
	var doc camtDocument
	if err := xml.Unmarshal([]byte(b.settlement("format=camt053").Content), &doc); err != nil {
		t.Fatal(err)
	}
	statement := doc.Statements[0]
	inBank := map[string]int64{}
	for _, e := range statement.Entries {
		inBank[e.EndToEnd] = minor(t, e.Amount.Value)
	}
	if diff := cmp.Diff(payouts, inBank); diff != "" {
		t.Errorf("camt.053 (-report +bank):\n%s", diff)
	}
	if closing := statement.Balances[1]; closing.Type != "CLBD" || closing.Amount.Value != "29.89" || closing.Sign != "CRDT" {
		t.Errorf("got closing balance %+v, want 29.89", closing)
	}
	wantMT940 := ":20:PSPSIMGBP\r\n:25:DE89370400440532013000GBP\r\n:28C:1/1\r\n:60F:C260302GBP0,00\r\n" +
		":61:2603020302C12,12NMSCpo20260301gbp\r\n:86:PSPSIM PAYOUT po20260301gbp\r\n" +
		":61:2603030303C17,77NMSCpo20260302gbp\r\n:86:PSPSIM PAYOUT po20260302gbp\r\n:62F:C260303GBP29,89\r\n-\r\n"
	if diff := cmp.Diff(wantMT940, b.settlement("format=mt940").Content); diff != "" {
		t.Errorf("MT940 (-want +got):\n%s", diff)
	}
}

func TestSettlement_SaysWhatIsPlanted(t *testing.T) {
	t.Parallel()
	b := traded(t)
	truth := rowsOf(t, b.settlement("format=stripe-csv").Content)
	const query = "format=stripe-csv&plant=5&seed=7" // of five lines
	made := b.settlement(query)
	if again := b.settlement(query); again.Content == "" || len(made.Planted) != 5 {
		t.Errorf("got %+v, want five discrepancies", made.Planted)
	}
	rows := map[string][]map[string]string{}
	for _, row := range rowsOf(t, made.Content) {
		rows[row["balance_transaction_id"]] = append(rows[row["balance_transaction_id"]], row)
	}
	kinds := map[string]string{}
	for _, d := range made.Planted {
		kinds[d.Line] = d.Kind
		row := rows[d.Line]
		var wrong bool
		switch d.Kind {
		case "missing_row":
			wrong = len(row) != 0
		case "duplicated_row":
			wrong = len(row) != 2
		case "extra_row":
			wrong = len(rows[d.Is]) != 1
		case "other_amount":
			wrong = row[0]["gross"] != d.Is || d.Is == d.Was
		case "shifted_date":
			was := truth[slices.IndexFunc(truth, func(r map[string]string) bool { return r["balance_transaction_id"] == d.Line })]
			const paid = "automatic_payout_effective_at_utc" // of the payout, which is another matter
			wrong = !strings.HasPrefix(row[0]["created_utc"], d.Is) || row[0][paid] != was[paid]
		}
		if wrong {
			t.Errorf("%+v: the file has %v", d, row)
		}
	}
	if len(kinds) != 5 {
		t.Errorf("got %v, want five kinds in five lines", kinds)
	}
	for _, row := range truth {
		if id := row["balance_transaction_id"]; kinds[id] == "" && !cmp.Equal(rows[id], []map[string]string{row}) {
			t.Errorf("%s was changed and not reported", id)
		}
	}
	wantError(t, b.mustDo(http.MethodGet, "/v1/settlement?format=mt940&plant=3", "", ""), 400,
		apiError{Type: typeInvalid, Code: codeInvalidParam, Param: "plant"}) // there are two payouts
	wantError(t, b.mustDo(http.MethodGet, "/v1/settlement?format=pdf", "", ""), 400,
		apiError{Type: typeInvalid, Code: codeInvalidParam, Param: "format"})
}

// What is converted is settled at the rate, in the report and at the bank, and the report says what it was; only there a rate that
// is another one is planted, and nothing else.
func TestSettlement_ConvertsCurrencies(t *testing.T) {
	t.Parallel()
	b := traded(t)
	payouts := map[string]int64{}
	var got []string
	for _, row := range rowsOf(t, b.settlement("format=stripe-csv&convert=GBP:EUR:1.15").Content) {
		payouts[row["automatic_payout_id"]] += minor(t, row["net"])
		got = append(got, strings.Join([]string{row["gross"], row["fee"], row["currency"], row["customer_facing_amount"], row["customer_facing_currency"]}, " "))
	}
	want := []string{"14.38 0.44 eur 12.50 gbp", "14.38 0.44 eur 12.50 gbp", "14.38 0.40 eur 12.50 gbp", "-2.88 0.00 eur -2.50 gbp", "-4.60 0.00 eur -4.00 gbp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	var doc camtDocument
	if err := xml.Unmarshal([]byte(b.settlement("format=camt053&currency=EUR&convert=GBP:EUR:1.15").Content), &doc); err != nil {
		t.Fatal(err)
	}
	inBank := map[string]int64{}
	for _, e := range doc.Statements[0].Entries {
		inBank[e.EndToEnd] = minor(t, e.Amount.Value)
	}
	if diff := cmp.Diff(payouts, inBank); diff != "" || payouts["po20260301eur"] == 0 {
		t.Errorf("camt.053 (-report +bank):\n%s", diff)
	}
	if none := b.settlement("format=mt940&currency=GBP&convert=GBP:EUR:1.15").Content; none != "" {
		t.Errorf("the bank has pounds, which were converted:\n%s", none)
	}
	for _, d := range b.settlement("format=stripe-csv&plant=5&convert=GBP:EUR:1.15").Planted {
		if d.Kind != "other_rate" || d.Currency != "EUR" || d.Was == d.Is {
			t.Errorf("planted %+v", d)
		}
	}
	for _, bad := range []string{"GBP", "GBP:EUR", "GBP:GBP:1", "GBP:XYZ:1", "GBP:EUR:0", "GBP:EUR:1e3", "GBP:EUR:1:2"} {
		wantError(t, b.mustDo(http.MethodGet, "/v1/settlement?format=stripe-csv&convert="+bad, "", ""), 400,
			apiError{Type: typeInvalid, Code: codeInvalidParam, Param: "convert"})
	}
}

// A planted discrepancy is one: the line is not as it was, whatever its amount.
func TestPlanters_AlwaysChangeTheLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, p := range append(slices.Clone(planters), otherRate) {
		for _, gross := range []int64{-10_000, -100, -99, -1, 1, 99, 100, 10_000} {
			for _, currency := range []string{"GBP", "EUR", "JPY"} {
				l := line{id: "txn_1", at: at, currency: currency, gross: gross, fee: 1}
				instead, was, is := p.make(l)
				if len(instead) == 1 && instead[0] == l {
					t.Errorf("%s of %d %s changes nothing", p.kind, gross, currency)
				}
				if len(instead) == 1 && was == is {
					t.Errorf("%s of %d %s says that %s became %s", p.kind, gross, currency, was, is)
				}
			}
		}
	}
}

// With as many lines as there are kinds, each kind is planted once; what was declined stands there as if it was taken.
func TestSettlement_PlantsEveryKind(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for i := range 2 * len(planters) {
		b.mustCharge(fmt.Sprint("k", i), "pm_ok")
	}
	b.postCharge("no", "pm_declined")
	made := b.settlement(fmt.Sprintf("format=stripe-csv&seed=3&plant=%d", len(planters)+1))
	kinds := map[string]Discrepancy{}
	for _, d := range made.Planted {
		kinds[d.Kind] = d
	}
	if len(kinds) != len(planters)+1 {
		t.Errorf("got %v, want every kind once", kinds)
	}
	var declined, halves int
	for _, row := range rowsOf(t, made.Content) {
		if row["payment_metadata[tieout_key]"] == "no" && row["gross"] == "12.50" {
			declined++
		}
		if row["source_id"] == kinds["split_row"].Source {
			halves++
		}
	}
	if declined != 1 || halves != 2 {
		t.Errorf("got %d rows of what was declined and %d of what was split, want 1 and 2:\n%s", declined, halves, made.Content)
	}
	if other := b.settlement("format=camt053&currency=EUR").Content; strings.Contains(other, "<Stmt>") {
		t.Errorf("got statements of a currency that nothing was charged in:\n%s", other)
	}
}

func TestSettlement_PlantsWhatWasDeclinedInThePayoutOfItsCurrency(t *testing.T) {
	t.Parallel()
	b := setup(t, Options{})
	for i := range 2 * len(planters) {
		b.mustCharge(fmt.Sprint("k", i), "pm_ok")
	}
	b.mustDo(http.MethodPost, "/v1/charges", "no", strings.Replace(chargeBody("pm_declined"), "GBP", "EUR", 1))
	made := b.settlement(fmt.Sprintf("format=stripe-csv&seed=3&plant=%d", len(planters)+1))
	for _, row := range rowsOf(t, made.Content) {
		if row["payment_metadata[tieout_key]"] == "no" && !strings.HasSuffix(row["automatic_payout_id"], "eur") {
			t.Errorf("it is in payout %s", row["automatic_payout_id"])
		}
	}
}
