package ledger_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/services/payment/ledger"
)

var update = flag.Bool("update", false, "rewrite docs/reference/ledger.md")

const docsIntro = `# Ledger

Printed from services/payment/ledger; a test compares.

What happened to money is a journal: a set of postings, which sums to zero in each of its currencies. More than zero
debits an account, less than zero credits it. Nothing in the ledger is ever changed, and nothing is added to a journal
once it is written: triggers refuse it, and the role of the service may only read and add. What is wrong is put right by
another journal.

A journal says which payment it is about, if it is about one; what it is for; the provider's id of what happened; and a
key, under which the ledger takes it once. It has two times: when it was written, by which balances as of a time go, and
when it happened, as the provider or the bank says.

` + "`tieout ledger balances --as-of T` and `tieout ledger entries` show it; `LedgerService` is the API.\n" + `
Captures, refunds, chargebacks and their reversals are posted with what happens to payments. The other kinds are posted
when somebody has decided on them, by ` + "`LedgerService.PostJournal`" + `: once per kind and key, with a reason that stands in
the audit trail. A second one of the kind and key is refused with JOURNAL_EXISTS, which names the first.
`

const docsDifferences = `
## Differences

What the provider or the bank says differently than the ledger is put into suspense first, never into revenue: a
correction between suspense and the account that is wrong, by the sign of the difference, with the break as its key. It
leaves suspense by a write-off with the same key when nobody explains it, and when it is explained by another correction,
which needs a key of its own. Suspense is zero when every difference is accounted for.

`

// TestDocs_ShowTheRulesAsTheyAre compares the documentation with what is printed from the rules.
func TestDocs_ShowTheRulesAsTheyAre(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/reference/ledger.md"
	var b strings.Builder
	b.WriteString(docsIntro + "\n## Accounts\n\n| account | its balance is |\n|---|---|\n")
	for _, line := range ledger.Chart() {
		fmt.Fprintf(&b, "| %s | %s |\n", line.Account, line.Meaning)
	}
	b.WriteString("\n## Kinds of journals\n\nA fee debits fees and credits provider_clearing, besides what the amount does; less than zero, it is given back.\n" +
		"A void is no journal, and neither is a decline: no money moved.\n\n" +
		"| kind | debit | credit | fee | of a payment | when |\n|---|---|---|---|---|---|\n")
	for _, r := range ledger.Rules() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.Name, cmp.Or(string(r.Debit), "as it says"), cmp.Or(string(r.Credit), "as it says"),
			yes(r.HasFee, "may have one"), yes(r.OfPayment, "always"), r.Meaning)
	}
	b.WriteString("\n## Examples\n\n" + table(examples(t)) + docsDifferences + table(differences(t)))
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(committed), b.String()); diff != "" {
		t.Errorf("docs/reference/ledger.md is not what the rules say; run this test with -update (-committed +now):\n%s", diff)
	}
}

func yes(is bool, text string) string {
	if is {
		return text
	}
	return ""
}

type example struct {
	what    string
	journal ledger.Journal
}

// table prints journals.
func table(all []example) string {
	var b strings.Builder
	b.WriteString("| what | kind | postings |\n|---|---|---|\n")
	for _, e := range all {
		var postings []string
		for _, p := range e.journal.Postings() {
			postings = append(postings, fmt.Sprintf("%s %s", p.Account, p.Amount))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.what, e.journal.Kind(), strings.Join(postings, "<br>"))
	}
	return b.String()
}

// kit gives what reads amounts, and what adds examples.
func kit(t *testing.T, all *[]example) (in func(string, money.Currency) money.Amount, add func(string, func() (ledger.Journal, error))) {
	t.Helper()
	in = func(decimal string, c money.Currency) money.Amount {
		a, err := money.Parse(decimal, c)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	return in, func(what string, makeJournal func() (ledger.Journal, error)) {
		j, err := makeJournal()
		if err != nil {
			t.Fatal(err)
		}
		*all = append(*all, example{what, j})
	}
}

// differences are what becomes of what the provider says otherwise than the ledger.
func differences(t *testing.T) (all []example) {
	t.Helper()
	in, add := kit(t, &all)
	move := func(debit, credit ledger.Account) func() (ledger.Journal, error) {
		return func() (ledger.Journal, error) {
			return ledger.Correction(ledger.Posting{Account: debit, Amount: in("1.00", "GBP")}, ledger.Posting{Account: credit, Amount: in("-1.00", "GBP")})
		}
	}
	add("the provider holds 1.00 GBP less than the ledger says", move(ledger.Suspense, ledger.ProviderClearing))
	add("nobody explains it: the loss is given up", func() (ledger.Journal, error) { return ledger.WriteOff(ledger.Suspense, in("1.00", "GBP")) })
	add("or it turns out to be a fee", move(ledger.Fees, ledger.Suspense))
	add("the provider holds 1.00 GBP more than the ledger says", move(ledger.ProviderClearing, ledger.Suspense))
	add("nobody explains it: the surplus is kept", func() (ledger.Journal, error) { return ledger.WriteOff(ledger.Suspense, in("-1.00", "GBP")) })
	return all
}

func examples(t *testing.T) (all []example) {
	t.Helper()
	in, add := kit(t, &all)
	none := money.Amount{}
	add("12.50 GBP are captured, the fee is not known yet", func() (ledger.Journal, error) { return ledger.Capture(in("12.50", "GBP"), none) })
	add("1,250 yen are captured, for a fee of 45 yen", func() (ledger.Journal, error) { return ledger.Capture(in("1250", "JPY"), in("45", "JPY")) })
	add("4.125 dinars are captured, for a fee in pounds", func() (ledger.Journal, error) { return ledger.Capture(in("4.125", "KWD"), in("0.35", "GBP")) })
	add("1.125 dinars of them go back, and a part of the fee", func() (ledger.Journal, error) { return ledger.Refund(in("1.125", "KWD"), in("-0.10", "GBP")) })
	add("the customer takes 12.50 GBP back, the provider 15.00 for it", func() (ledger.Journal, error) { return ledger.Chargeback(in("12.50", "GBP"), in("15.00", "GBP")) })
	add("it is decided for us, and the fee comes back too", func() (ledger.Journal, error) {
		return ledger.ChargebackReversal(in("12.50", "GBP"), in("-15.00", "GBP"))
	})
	add("it is decided against us, and nobody pays", func() (ledger.Journal, error) { return ledger.WriteOff(ledger.CustomerReceivable, in("12.50", "GBP")) })
	add("the provider pays 120,000 yen out, for 300 yen", func() (ledger.Journal, error) { return ledger.Payout(in("120000", "JPY"), in("300", "JPY")) })
	add("a monthly fee of 2.00 GBP", func() (ledger.Journal, error) { return ledger.Fee(in("2.00", "GBP")) })
	add("a payout that turned out to be a pound less", func() (ledger.Journal, error) {
		return ledger.Correction(ledger.Posting{Account: ledger.Suspense, Amount: in("1.00", "GBP")}, ledger.Posting{Account: ledger.Bank, Amount: in("-1.00", "GBP")})
	})
	return all
}
