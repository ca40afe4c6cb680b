package formats_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/formats"
)

// stripe is a report with all columns that are read, and some that are not, in no order of theirs.
const stripe = `balance_transaction_id,Created_UTC,created,available_on_utc,currency,gross,fee,net,reporting_category,type,automatic_payout_id,automatic_payout_effective_at,source_id,charge_id,payment_intent_id,payment_metadata[order_id],payment_metadata[tieout_key],refund_metadata[tieout_key],description,dispute_reason,customer_email,customer_name,card_brand
txn_1,2024-03-01 10:11:12,2024-03-01 02:11:12,2024-03-03 00:00:00,eur,100.00,1.70,98.30,charge,charge,po_1,2024-03-03,ch_1,ch_1,pi_1,order-1,key-1,,"Two  books,
one pen",,a@example.org,Ada,visa
txn_2,2024-03-01 10:12:00,,2024-03-03,eur,-40.00,0.00,-40.00,partial_capture_reversal,refund,po_1,2024-03-03,re_1,ch_1,pi_1,order-1,key-1,,,,,,
txn_3,2024-03-02T09:00:00+01:00,,,eur,-10.00,0.00,-10.00,refund,refund,po_1,2024-03-03,re_2,ch_1,pi_1,order-1,key-1,key-2,,,b@example.org,,
txn_4,2024-03-02 09:00:00,,,eur,-20.00,15.00,-35.00,dispute,adjustment,po_1,2024-03-03,dp_1,ch_0,,,,,Chargeback,fraudulent,,,
txn_5,2024-03-03 00:00:00,,,eur,-13.30,0.00,-13.30,payout,payout,po_1,,po_1,,,,,,STRIPE PAYOUT,,,,
txn_6,2024-03-03 00:00:00,,,jpy,500,0,500,risk_reserved_funds,reserve,po_2,,,,,,,,,,,,
`

func TestStripe_IsReadByReportingCategory(t *testing.T) {
	t.Parallel()
	said, err := transcript(strings.NewReader(stripe), formats.Options{})
	want := []string{
		"1: statement",
		"2: line 1 charge(charge) 100.00 EUR fee 170 2024-03-01 10:11:12 value 2024-03-03 id=txn_1 provider=ch_1 parent=pi_1 key=key-1 reference=order-1 payout=po_1 text=Two books, one pen party=Ada",
		"4: line 2 charge(partial_capture_reversal) -40.00 EUR 2024-03-01 10:12:00 value 2024-03-03 reversal id=txn_2 provider=re_1 parent=pi_1 key=key-1 reference=order-1 payout=po_1",
		"5: line 3 refund(refund) -10.00 EUR 2024-03-02 08:00:00 id=txn_3 provider=re_2 parent=pi_1 key=key-2 reference=order-1 payout=po_1 party=b@example.org",
		"6: line 4 chargeback(dispute) -20.00 EUR fee 1500 2024-03-02 09:00:00 id=txn_4 provider=dp_1 parent=ch_0 payout=po_1 text=Chargeback fraudulent",
		"7: line 5 payout(payout) -13.30 EUR 2024-03-03 id=txn_5 provider=po_1 payout=po_1 text=STRIPE PAYOUT",
		"8: line 6 adjustment(risk_reserved_funds) 500 JPY 2024-03-03 id=txn_6 payout=po_2",
		"line 1: net holds: 6 rows",
		"line 7: payout holds: 13.30 EUR",
		"closed with 6 lines, last true",
	}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
}

// TestStripe_SaysWhatWasConverted reads what the customer paid, where that is another currency: with the sign of the row.
func TestStripe_SaysWhatWasConverted(t *testing.T) {
	t.Parallel()
	const heading = "balance_transaction_id,created,currency,gross,fee,net,reporting_category,customer_facing_amount,customer_facing_currency\n"
	for row, want := range map[string]string{
		"eur,92.00,0.00,92.00,charge,100.00,usd":    "92.00 EUR was 100.00 USD",
		"eur,-9.20,0.00,-9.20,refund,10.00,usd":     "-9.20 EUR was -10.00 USD",
		"eur,-9.20,0.00,-9.20,refund,-10.00,USD":    "-9.20 EUR was -10.00 USD",
		"usd,0.67,0.00,0.67,charge,100,jpy":         "0.67 USD was 100 JPY",
		"eur,92.00,0.00,92.00,charge,92.00,eur":     "92.00 EUR was 0 ",
		"eur,92.00,0.00,92.00,charge,,":             "92.00 EUR was 0 ",
		"eur,92.00,0.00,92.00,charge,100.00,":       "92.00 EUR was 0 ",
		"eur,92.00,0.00,92.00,charge,100.00,xyz":    `customer_facing_currency: unknown currency: "XYZ" is not an ISO 4217 code`,
		"eur,92.00,0.00,92.00,charge,1.000.00,usd":  "customer_facing_amount: malformed amount",
		"eur,92.00,0.00,92.00,charge,100.000,usd":   "customer_facing_amount: too many decimals",
		"eur,0.00,0.00,0.00,charge,100.00,usd":      "0.00 EUR was 0 ",
		"eur,92.00,0.00,92.00,charge,\"-0.00\",usd": "92.00 EUR was 0 ",
	} {
		got := ""
		for part, err := range formats.Read(strings.NewReader(heading+"txn_1,2024-03-01 10:11:12,"+row+"\n"), formats.Options{}) {
			switch {
			case err != nil:
				got = err.Error()
			case part.Line != nil:
				got = fmt.Sprintf("%s was %s", part.Line.Amount, part.Line.Original)
			}
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", row, got, want)
		}
	}
}

// stripeRows is a report of rows that have currency, gross, fee, net, category, payout and source.
func stripeRows(rows ...string) string {
	file := []string{"balance_transaction_id,created,currency,gross,fee,net,reporting_category,automatic_payout_id,source_id"}
	for i, row := range rows {
		file = append(file, fmt.Sprintf("txn_%d,2024-03-01 10:11:12,%s", i+1, row))
	}
	return strings.Join(file, "\n") + "\n"
}

func TestStripe_KnowsItsCategories(t *testing.T) {
	t.Parallel()
	for category, want := range map[string]string{
		"charge": "charge", "partial_capture_reversal": "charge reversal", "charge_failure": "return reversal", "refund": "refund",
		"refund_failure": "return reversal", "dispute": "chargeback", "dispute_reversal": "chargeback_reversal reversal",
		"fee": "fee", "network_cost": "fee", "tax": "fee", "payout": "payout", "payout_reversal": "payout reversal", "topup": "payout",
		"topup_reversal": "payout reversal", "payout_minimum_balance_hold": "adjustment", "transfer": "adjustment",
		"other_adjustment": "adjustment", "connect_reserved_funds": "adjustment", "of another day": "adjustment",
	} {
		for part, err := range formats.Read(strings.NewReader(stripeRows("usd,1.00,0.00,1.00,"+category+",,")), formats.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			if l := part.Line; l != nil {
				got := string(l.Kind)
				if l.Reversal {
					got += " reversal"
				}
				if got != want || l.Code != category {
					t.Errorf("%s is %s with code %q, want %s", category, got, l.Code, want)
				}
			}
		}
	}
}

func TestStripe_ProvesNetOfEveryRow(t *testing.T) {
	t.Parallel()
	rows := []string{"eur,10.00,1.00,9.00,charge,,"}
	for range 20 {
		rows = append(rows, "eur,10.00,1.00,9.01,charge,,")
	}
	said, err := transcript(strings.NewReader(stripeRows(rows...)), formats.Options{})
	proofs := failing(said)
	if err != nil || len(proofs) != 11 {
		t.Fatalf("error %v, proofs %q, want those of 10 rows and the total", err, proofs)
	}
	if want := "line 3: net: the file states 9.01 EUR, its lines come to 9.00 EUR"; proofs[0] != want {
		t.Errorf("got  %s\nwant %s", proofs[0], want)
	}
	if want := "line 1: net: the file states 21 rows, its lines come to 1 rows"; proofs[10] != want {
		t.Errorf("got  %s\nwant %s", proofs[10], want)
	}
}

func TestStripe_ProvesPayoutsWhoseRowsAreInTheFile(t *testing.T) {
	t.Parallel()
	said, err := transcript(strings.NewReader(stripeRows(
		"eur,10.00,1.00,9.00,charge,po_1,ch_1",
		"usd,10.00,1.00,9.00,charge,po_1,ch_2", // another currency is another payout
		"eur,10.00,1.00,9.00,charge,po_2,ch_3",
		"eur,5.00,0.00,5.00,charge,,ch_4",          // not paid yet
		"eur,-4.00,0.00,-4.00,payout,po_2,po_0",    // paid at once, and so part of the next payout
		"eur,3.00,0.00,3.00,payout_reversal,po_2,", // it came back, and so is too
		"eur,-8.00,0.00,-8.00,payout,po_2,po_2",
		"eur,-9.00,0.00,-9.00,payout,,po_1",
		"eur,-7.00,0.00,-7.00,payout,,po_3", // its rows are in another file
		"usd,1.00,0.00,1.00,refund_failure,po_1,",
		"usd,-9.99,0.00,-9.99,payout,po_1,",
	)), formats.Options{})
	var payouts []string
	for _, line := range said {
		if strings.Contains(line, ": payout") {
			payouts = append(payouts, line)
		}
	}
	want := []string{
		"line 9: payout holds: 9.00 EUR",
		"line 12: payout: the file states 9.99 USD, its lines come to 10.00 USD",
		"line 8: payout holds: 8.00 EUR",
	}
	if diff := cmp.Diff(want, payouts); diff != "" || err != nil {
		t.Errorf("error %v, payouts (-want +got):\n%s", err, diff)
	}
}

func TestStripe_WithoutRowsIsAStatementWithoutLines(t *testing.T) {
	t.Parallel()
	said, err := transcript(strings.NewReader(stripeRows()), formats.Options{})
	want := []string{"1: statement", "line 1: net holds: 0 rows", "closed with 0 lines, last true"}
	if diff := cmp.Diff(want, said); diff != "" || err != nil {
		t.Errorf("error %v, said (-want +got):\n%s", err, diff)
	}
}

func TestStripe_NamesLineAndColumnOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	heading, _, _ := strings.Cut(stripeRows(), "\n")
	heading += "\n"
	for file, want := range map[string]string{
		"":                                       "f: the file is empty: it needs a heading and rows",
		"id,amount\n1,2":                         "f:1: balance_transaction_id=balance_transaction_id: there is no such column; created=created: there is no such column; currency=currency: there is no such column; gross=gross: there is no such column; fee=fee: there is no such column; net=net: there is no such column; reporting_category=reporting_category: there is no such column; the heading is id,amount",
		"Net,net\n":                              "",
		stripeRows("eur,10,0.00,10,charge"):      "f:2: it has 7 columns, the heading has 9",
		stripeRows("eur,10,0,10,charge,po,ch,x"): "f:2: it has 10 columns, the heading has 9",
		stripeRows("eur,10,0,10,charge,po,\"ch\"x"):                                     `f:2: extraneous or missing " in quoted-field`,
		stripeRows("eur,10,0,10,charge,po,\"ch\nx,"):                                    `f:2: reading the file: record on line 2; parse error on line 3, column 4: extraneous or missing " in quoted-field`,
		stripeRows(",10,0,10,charge,po,ch"):                                             "f:2: currency: unknown currency: \"\" is not an ISO 4217 code",
		stripeRows("xxx,10,0,10,charge,po,ch"):                                          "f:2: currency: unknown currency: ISO 4217 gives XXX no minor unit",
		stripeRows("eur,ten,0,10,charge,po,ch"):                                         `f:2: gross: malformed amount: "ten" is not a number like 12.34`,
		stripeRows("eur,\"1,0\",0,10,charge,po,ch"):                                     `f:2: gross: malformed amount: "1,0" is not a number like 12.34`,
		stripeRows("jpy,10,1.0,9,charge,po,ch"):                                         `f:2: fee: too many decimals: "1.0", but JPY has 0`,
		stripeRows("eur,10,0,,charge,po,ch"):                                            `f:2: net: malformed amount: "" is not a number like 12.34`,
		stripeRows("eur,10,0,10,,po,ch"):                                                "f:2: reporting_category: is empty",
		stripeRows("jpy,-9223372036854775808,1,0,charge,po,ch"):                         "f:2: net: amount out of range: -9223372036854775808 JPY - 1 JPY",
		stripeRows("jpy,"+maxInt+",0,"+maxInt+",charge,po,", "jpy,1,0,1,charge,po,"):    "f:3: net: amount out of range: sum of 2 amounts in JPY",
		heading + ",2024-03-01,eur,1,0,1,fee,,\n":                                       "f:2: balance_transaction_id: is empty",
		heading + "t,,eur,1,0,1,fee,,\n":                                                "f:2: created: is empty",
		heading + "t,2024-02-30 00:00:00,eur,1,0,1,fee,,\n":                             `f:2: created: "2024-02-30 00:00:00" is no date`,
		heading + "t\x00,2024-02-03,eur,1,0,1,fee,,\n":                                  "f:2: balance_transaction_id: has a NUL byte",
		heading + "t\xff,2024-02-03,eur,1,0,1,fee,,\n":                                  "f:2: balance_transaction_id: is not valid UTF-8",
		strings.Replace(heading, "created", "created_utc", 1) + "t,,":                   "f:2: it has 3 columns, the heading has 9",
		strings.Replace(heading, "created", "created_utc", 1) + "t,x,eur,1,0,1,fee,,\n": `f:2: created_utc: "x" is no date`,
	} {
		_, err := transcript(strings.NewReader(file), formats.Options{Name: "f", Format: formats.Stripe})
		if _, named := errors.AsType[*formats.Error](err); !named || want != "" && err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", file, err, want)
		}
	}
}

// The samples are exports of the objects behind the report: they are not it, and say so.
func TestStripe_SamplesAreNotTheReport(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"balance_transaction_data", "charge_data", "dispute_data", "fee_data", "payment_intent_data", "payout_data", "refund_data", "transfer_data"} {
		_, err := transcript(bytes.NewReader(sample(t, "stripe", name+".csv")), formats.Options{Name: "f", Format: formats.Stripe})
		if of, named := errors.AsType[*formats.Error](err); !named || of.Line != 1 || !strings.Contains(err.Error(), "reporting_category: there is no such column") {
			t.Errorf("%s: got %v, want the columns that are missing", name, err)
		}
	}
}

// FuzzStripe has no file make the reader panic, lose a closing, or fail without saying where.
func FuzzStripe(f *testing.F) {
	f.Add([]byte(stripe))
	f.Add([]byte(stripeRows("usd,-9.99,0.00,-9.99,payout,po_1,", "jpy,5,1,4,charge,po_1,ch_1")))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkRead(t, file, formats.Options{Name: "f", Format: formats.Stripe})
	})
}

// BenchmarkStripe reads rows as the report has them: 15 columns.
func BenchmarkStripe(b *testing.B) {
	const lines = 20_000
	file := "automatic_payout_id,automatic_payout_effective_at_utc,balance_transaction_id,created_utc,available_on_utc,currency,gross,fee,net," +
		"reporting_category,source_id,charge_id,payment_intent_id,payment_metadata[order_id],payment_metadata[tieout_key]\n" +
		strings.Repeat("po_1MowX2eZvKYlo2C,2024-03-04 00:00:00,txn_3MowX2eZvKYlo2C0,2024-03-01 10:11:12,2024-03-03 00:00:00,eur,125.50,3.84,121.66,"+
			"charge,ch_3MowX2eZvKYlo2C0,ch_3MowX2eZvKYlo2C0,pi_3MowX2eZvKYlo2C0,ord_01932f5e-0a5b-7c31,saga/sag_01932f5e-0a5b-7c31/charge\n", lines)
	benchmarkRead(b, file, lines, formats.Options{Format: formats.Stripe})
}
