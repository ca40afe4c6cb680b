package dunning_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"

	"github.com/tieout/tieout/services/billing/dunning"
)

var update = flag.Bool("update", false, "write docs/reference/dunning.md")

const docsIntro = `# Dunning

Printed from services/billing/dunning by its test; ` + "`go test ./services/billing/dunning -run Documented -update`" + ` writes it.

What becomes of a recurring payment that was declined depends on the code that the provider gives:

- hard: it is not tried again with this payment method;
- correctable: it is not tried again until what is wrong was put right;
- soft: it is tried again;
- a code that is not listed: it is tried again once.

`

func docs() string {
	var b strings.Builder
	b.WriteString(docsIntro)
	p := dunning.DefaultPolicy()
	b.WriteString("## The default policy\n\n| retry | days after the decline before it, at the least |\n|---|---|\n")
	for i, days := range p.Delays {
		fmt.Fprintf(&b, "| %d | %d |\n", i+1, days)
	}
	fmt.Fprintf(&b, "\nOn business days of the customer, from %s to %s of the customer's clocks, and not later than %d days after the first decline.\n", p.From, p.To, p.LastDay)
	b.WriteString("\n## Declined attempts with one payment method, whatever for\n\n| scheme | at most | within hours |\n|---|---|---|\n")
	for _, s := range []dunning.Scheme{dunning.Visa, dunning.Mastercard, dunning.Other} {
		for _, l := range s.Limits() {
			fmt.Fprintf(&b, "| %s | %d | %d |\n", s, l.Attempts, int(l.Within.Hours()))
		}
	}
	b.WriteString("\n## Codes\n\n| code | class | meaning | because of |\n|---|---|---|---|\n")
	for _, c := range dunning.Codes() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Name, c.Class, c.Meaning, c.Source)
	}
	return b.String()
}

func TestCodes_AreDocumented(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/reference/dunning.md"
	want := docs()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what the tables say (-want +got); run this test with -update:\n%s", path, diff)
	}
}

func TestCodes_AreEachListedOnceInAClass(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range dunning.Codes() {
		if seen[c.Name] || c.Name == "" || c.Meaning == "" || c.Source == "" {
			t.Errorf("%q is listed twice, or without saying why", c.Name)
		}
		if c.Class != dunning.Hard && c.Class != dunning.Correctable && c.Class != dunning.Soft {
			t.Errorf("%s is of class %q", c.Name, c.Class)
		}
		if got := dunning.ClassOf(c.Name); got != c.Class {
			t.Errorf("%s is %s, and listed as %s", c.Name, got, c.Class)
		}
		seen[c.Name] = true
	}
	for _, name := range []string{"", "odd", "Lost_Card"} {
		if got := dunning.ClassOf(name); got != dunning.Unknown {
			t.Errorf("%q is %s", name, got)
		}
	}
}

func TestCodes_AreThoseOfStripe(t *testing.T) {
	t.Parallel()
	for _, code := range []stripe.DeclineCode{
		stripe.DeclineCodeAuthenticationRequired, stripe.DeclineCodeApproveWithID, stripe.DeclineCodeCallIssuer,
		stripe.DeclineCodeCardNotSupported, stripe.DeclineCodeCardVelocityExceeded, stripe.DeclineCodeCurrencyNotSupported,
		stripe.DeclineCodeDoNotHonor, stripe.DeclineCodeDoNotTryAgain, stripe.DeclineCodeDuplicateTransaction,
		stripe.DeclineCodeExpiredCard, stripe.DeclineCodeFraudulent, stripe.DeclineCodeGenericDecline,
		stripe.DeclineCodeIncorrectNumber, stripe.DeclineCodeIncorrectCVC, stripe.DeclineCodeIncorrectPIN,
		stripe.DeclineCodeIncorrectZip, stripe.DeclineCodeInsufficientFunds, stripe.DeclineCodeInvalidAccount,
		stripe.DeclineCodeInvalidAmount, stripe.DeclineCodeInvalidCVC, stripe.DeclineCodeInvalidExpiryMonth,
		stripe.DeclineCodeInvalidExpiryYear, stripe.DeclineCodeInvalidNumber, stripe.DeclineCodeInvalidPIN,
		stripe.DeclineCodeIssuerNotAvailable, stripe.DeclineCodeLostCard, stripe.DeclineCodeMerchantBlacklist,
		stripe.DeclineCodeNewAccountInformationAvailable, stripe.DeclineCodeNoActionTaken, stripe.DeclineCodeNotPermitted,
		stripe.DeclineCodeOfflinePINRequired, stripe.DeclineCodeOnlineOrOfflinePINRequired, stripe.DeclineCodePickupCard,
		stripe.DeclineCodePINTryExceeded, stripe.DeclineCodeProcessingError, stripe.DeclineCodeReenterTransaction,
		stripe.DeclineCodeRestrictedCard, stripe.DeclineCodeRevocationOfAllAuthorizations,
		stripe.DeclineCodeRevocationOfAuthorization, stripe.DeclineCodeSecurityViolation,
		stripe.DeclineCodeServiceNotAllowed, stripe.DeclineCodeStolenCard, stripe.DeclineCodeStopPaymentOrder,
		stripe.DeclineCodeTestModeDecline, stripe.DeclineCodeTransactionNotAllowed, stripe.DeclineCodeTryAgainLater,
		stripe.DeclineCodeWithdrawalCountLimitExceeded,
	} {
		if dunning.ClassOf(string(code)) == dunning.Unknown {
			t.Errorf("%s has no class", code)
		}
	}
	// What the connector to Stripe gives where there is no decline code.
	for _, code := range []stripe.ErrorCode{
		stripe.ErrorCodeCardDeclined, stripe.ErrorCodeIncorrectAddress, stripe.ErrorCodeAmountTooLarge, stripe.ErrorCodeAmountTooSmall,
	} {
		if dunning.ClassOf(string(code)) == dunning.Unknown {
			t.Errorf("%s has no class", code)
		}
	}
}
