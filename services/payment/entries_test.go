package payment

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/rpcerr/rpcerrtest"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/services/payment/ledger"
)

func payout(t *testing.T, key string, minor int64) booking {
	t.Helper()
	j, err := ledger.Payout(money.Amount{Currency: "GBP", Minor: minor}, money.Amount{Currency: "GBP", Minor: 1})
	if err != nil {
		t.Fatal(err)
	}
	return booking{journal: j, key: key}
}

func TestListEntries_PagesAreStableWhileJournalsAreWritten(t *testing.T) {
	t.Parallel()
	b := openBooks(t)
	for i := range 5 {
		if err := b.post(t.Context(), payout(t, fmt.Sprintf("po_%d", i), 10), payout(t, fmt.Sprintf("po_%d/b", i), 20)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := b.everything(t.Context(), entryFilter{}, 1000, quietly)
	if err != nil || len(want) != 40 {
		t.Fatalf("got %d entries, error %v; want 40", len(want), err)
	}
	if !slices.IsSortedFunc(want, func(x, y entry) int {
		if x.Journal == y.Journal {
			return int(x.Line - y.Line)
		}
		return y.CreatedAt.Compare(x.CreatedAt)
	}) {
		t.Errorf("entries are not in order: %v", want)
	}
	for _, size := range []int32{1, 3, 7} {
		later := 0
		got, err := b.everything(t.Context(), entryFilter{}, size, func() error {
			if later++; later > 5 {
				return nil
			}
			return b.post(t.Context(), payout(t, fmt.Sprintf("later_%d_%d", size, later), 30))
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
		if want, err = b.everything(t.Context(), entryFilter{}, 1000, quietly); err != nil {
			t.Fatal(err)
		}
	}
}

// openLedger is a client of the ledger of a running service.
func openLedger(t *testing.T, b *bundle) paymentv1.LedgerServiceClient {
	t.Helper()
	return paymentv1.NewLedgerServiceClient(servicetest.Dial(t, servicetest.Start(t, b.service(func(*service.Env) {})), "test"))
}

func gbp(minor int64) *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: "GBP", MinorUnits: minor}
}

func TestLedgerService_ShowsAChargeAndItsRefund(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	books := openLedger(t, b)
	page, err := books.ListEntries(t.Context(), &paymentv1.ListEntriesRequest{PaymentId: p.GetPaymentId()})
	if err != nil || len(page.GetEntries()) != 4 {
		t.Fatalf("got %v, error %v; want four entries", page, err)
	}
	p = b.only(t)
	refund, capture := page.GetEntries()[0], page.GetEntries()[2]
	entry := func(of *paymentv1.Entry, line int32, a paymentv1.LedgerAccount, minor int64) *paymentv1.Entry {
		e := &paymentv1.Entry{
			JournalId: of.GetJournalId(), Line: line, Account: a, Amount: gbp(minor), Kind: paymentv1.JournalKind_JOURNAL_KIND_CAPTURE,
			PaymentId: p.GetPaymentId(), Reference: "ord_1", ProviderId: p.GetProviderChargeId(),
			EffectiveTime: of.GetCreateTime(), CreateTime: of.GetCreateTime(),
		}
		if of == refund {
			e.Kind, e.ProviderId, e.Key = paymentv1.JournalKind_JOURNAL_KIND_REFUND, b.psp.Journal()[1].ID, p.GetProviderKey()+"/refund"
		}
		return e
	}
	want := []*paymentv1.Entry{
		entry(refund, 1, paymentv1.LedgerAccount_LEDGER_ACCOUNT_REFUNDS, 1250),
		entry(refund, 2, paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, -1250),
		entry(capture, 1, paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, 1250),
		entry(capture, 2, paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE, -1250),
	}
	if diff := cmp.Diff(want, page.GetEntries(), protocmp.Transform()); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestGetBalances_AreAsOfATimeOrAJournal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	b.mustRefund(t, key)
	books := openLedger(t, b)
	page, err := books.ListEntries(t.Context(), &paymentv1.ListEntriesRequest{})
	if err != nil || len(page.GetEntries()) != 4 {
		t.Fatalf("got %v, error %v; want four entries", page, err)
	}
	refund, capture := page.GetEntries()[0], page.GetEntries()[2]
	balance := func(a paymentv1.LedgerAccount, debits, credits int64) *paymentv1.Balance {
		return &paymentv1.Balance{Account: a, Balance: gbp(debits - credits), Debits: gbp(debits), Credits: gbp(credits)}
	}
	wantNow := []*paymentv1.Balance{
		balance(paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, 1250, 1250),
		balance(paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE, 0, 1250),
		balance(paymentv1.LedgerAccount_LEDGER_ACCOUNT_REFUNDS, 1250, 0),
	}
	wantThen := []*paymentv1.Balance{
		balance(paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, 1250, 0),
		balance(paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE, 0, 1250),
	}
	for name, tt := range map[string]struct {
		request *paymentv1.GetBalancesRequest
		want    []*paymentv1.Balance
	}{
		"now":              {&paymentv1.GetBalancesRequest{}, wantNow},
		"of a currency":    {&paymentv1.GetBalancesRequest{CurrencyCode: "GBP"}, wantNow},
		"of another one":   {&paymentv1.GetBalancesRequest{CurrencyCode: "JPY"}, nil},
		"as of the refund": {&paymentv1.GetBalancesRequest{AsOf: &paymentv1.GetBalancesRequest_AsOfTime{AsOfTime: refund.GetCreateTime()}}, wantNow},
		"as of before": {&paymentv1.GetBalancesRequest{
			AsOf: &paymentv1.GetBalancesRequest_AsOfTime{AsOfTime: timestamppb.New(refund.GetCreateTime().AsTime().Add(-time.Nanosecond))},
		}, wantThen},
		"as of the capture": {&paymentv1.GetBalancesRequest{AsOf: &paymentv1.GetBalancesRequest_AsOfJournalId{AsOfJournalId: capture.GetJournalId()}}, wantThen},
	} {
		got, err := books.GetBalances(t.Context(), tt.request)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.GetBalances(), protocmp.Transform()); diff != "" {
			t.Errorf("balances %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestListEntries_FiltersByWhatItIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	second := b.mustCharge(t, "saga/sag_2/charge", "pm_ok")
	books := openLedger(t, b)
	all, err := books.ListEntries(t.Context(), &paymentv1.ListEntriesRequest{})
	if err != nil || len(all.GetEntries()) != 4 {
		t.Fatalf("got %v, error %v; want four entries", all, err)
	}
	newest := all.GetEntries()[0].GetCreateTime()
	justAfter := timestamppb.New(newest.AsTime().Add(time.Nanosecond))
	lines := func(from, to int) []*paymentv1.Entry { return all.GetEntries()[from:to] }
	for name, tt := range map[string]struct {
		request *paymentv1.ListEntriesRequest
		want    []*paymentv1.Entry
	}{
		"account":                  {&paymentv1.ListEntriesRequest{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_REVENUE}, []*paymentv1.Entry{lines(1, 2)[0], lines(3, 4)[0]}},
		"account without entries":  {&paymentv1.ListEntriesRequest{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_BANK}, nil},
		"payment":                  {&paymentv1.ListEntriesRequest{PaymentId: second.GetPaymentId()}, lines(0, 2)},
		"currency":                 {&paymentv1.ListEntriesRequest{CurrencyCode: "GBP"}, lines(0, 4)},
		"another currency":         {&paymentv1.ListEntriesRequest{CurrencyCode: "JPY"}, nil},
		"since":                    {&paymentv1.ListEntriesRequest{Since: newest}, lines(0, 2)},
		"since a nanosecond later": {&paymentv1.ListEntriesRequest{Since: justAfter}, nil},
		"until":                    {&paymentv1.ListEntriesRequest{Until: newest}, lines(2, 4)},
		"until a nanosecond later": {&paymentv1.ListEntriesRequest{Until: justAfter}, lines(0, 4)},
	} {
		got, err := books.ListEntries(t.Context(), tt.request)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.GetEntries(), protocmp.Transform()); diff != "" {
			t.Errorf("entries by %s (-want +got):\n%s", name, diff)
		}
	}
	var paged []*paymentv1.Entry
	for token, first := "", true; first || token != ""; first = false {
		page, err := books.ListEntries(t.Context(), &paymentv1.ListEntriesRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		paged, token = append(paged, page.GetEntries()...), page.GetNextPageToken()
	}
	if diff := cmp.Diff(all.GetEntries(), paged, protocmp.Transform()); diff != "" {
		t.Errorf("pages of 3 (-want +got):\n%s", diff)
	}
}

func TestLedgerService_RefusesWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	books := openLedger(t, setup(t))
	token := func(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }
	const journal = "jrn_01a1ff8a-d6f0-7dc6-a8c7-997f6569b9f1"
	for _, tt := range []struct {
		request *paymentv1.ListEntriesRequest
		reason  rpcerr.Reason
		field   string
	}{
		{&paymentv1.ListEntriesRequest{PageToken: token("ord_1")}, rpcerr.RequestInvalid, "page_token"},
		{&paymentv1.ListEntriesRequest{PageToken: token("ord_1 1 2026-01-01T00:00:00Z")}, rpcerr.RequestInvalid, "page_token"},
		{&paymentv1.ListEntriesRequest{PageToken: token(journal + " 70000 2026-01-01T00:00:00Z")}, rpcerr.RequestInvalid, "page_token"},
		{&paymentv1.ListEntriesRequest{PageToken: token(journal + " 1 today")}, rpcerr.RequestInvalid, "page_token"},
		{&paymentv1.ListEntriesRequest{PaymentId: "ord_1"}, rpcerr.RequestInvalid, "payment_id"},
		{&paymentv1.ListEntriesRequest{Account: 99}, rpcerr.RequestInvalid, "account"},
		{&paymentv1.ListEntriesRequest{CurrencyCode: "XAU"}, rpcerr.CurrencyUnknown, "currency_code"},
		{&paymentv1.ListEntriesRequest{Since: &timestamppb.Timestamp{Nanos: -1}}, rpcerr.RequestInvalid, "since"},
		{&paymentv1.ListEntriesRequest{Until: &timestamppb.Timestamp{Seconds: 1 << 60}}, rpcerr.RequestInvalid, "until"},
	} {
		_, err := books.ListEntries(t.Context(), tt.request)
		rpcerrtest.Want(t, err, tt.reason, tt.field)
	}
	for _, none := range []string{journal, "pay_01a1ff8a-d6f0-7dc6-a8c7-997f6569b9f1", "x"} {
		_, err := books.GetBalances(t.Context(), &paymentv1.GetBalancesRequest{AsOf: &paymentv1.GetBalancesRequest_AsOfJournalId{AsOfJournalId: none}})
		rpcerrtest.Want(t, err, rpcerr.NotFound, "as_of_journal_id")
	}
	_, err := books.GetBalances(t.Context(), &paymentv1.GetBalancesRequest{CurrencyCode: "gbp"})
	rpcerrtest.Want(t, err, rpcerr.CurrencyUnknown, "currency_code")
	_, err = books.GetBalances(t.Context(), &paymentv1.GetBalancesRequest{
		AsOf: &paymentv1.GetBalancesRequest_AsOfTime{AsOfTime: &timestamppb.Timestamp{Seconds: 1 << 60}},
	})
	rpcerrtest.Want(t, err, rpcerr.RequestInvalid, "as_of_time")
}

func TestContract_HasTheChartAndTheKindsOfTheLedger(t *testing.T) {
	t.Parallel()
	for i, line := range ledger.Chart() {
		if a := accountToProto(line.Account); int(a) != i+1 || accountFromProto(a) != line.Account {
			t.Errorf("%s is %s, the account at place %d of the chart", line.Account, a, i+1)
		}
	}
	if got, want := len(paymentv1.LedgerAccount_name), len(ledger.Chart())+1; got != want {
		t.Errorf("the contract has %d accounts, want %d", got, want)
	}
	for _, r := range ledger.Rules() {
		if got := paymentv1.JournalKind(r.Kind).String(); got != "JOURNAL_KIND_"+strings.ToUpper(r.Name) {
			t.Errorf("%s is %s in the contract", r.Name, got)
		}
	}
	if got, want := len(paymentv1.JournalKind_name), len(ledger.Rules())+1; got != want {
		t.Errorf("the contract has %d kinds, want %d", got, want)
	}
}
