package formats

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/tieout/tieout/pkg/money"
)

// camtTotals are what a statement says its entries come to, and what they do.
//
// It is not laid down whether entries that are not booked are counted. So a total holds where either all entries come to it,
// or those that are booked. Neither is it whether a page has totals of its own or those of all pages. So where a statement
// has several, a total that is not the page's proves nothing; the balances do.
type camtTotals struct {
	stated      [3]camtTotal // of all, of credits, of debits
	all, booked [3]camtTally
	currency    money.Currency // of the entries
	mixed       bool           // they have several
}

// A camtTotal is one of TtlNtries, TtlCdtNtries and TtlDbtNtries.
type camtTotal struct {
	at       int
	counted  bool
	count    int64
	sum, net string // decimal, empty where they are not stated
	sign     int64  // of net
}

// A camtTally is what entries come to.
type camtTally struct{ count, sum, net int64 }

// camtTotalNames are the elements of the totals.
var camtTotalNames = [3]string{"TtlNtries", "TtlCdtNtries", "TtlDbtNtries"}

// totalsChild reads a child of TxsSummry.
func (p *camt) totalsChild(name []byte) error {
	for i, total := range camtTotalNames {
		if string(name) == total {
			return p.total(&p.stmt.totals.stated[i])
		}
	}
	return nil
}

func (p *camt) total(t *camtTotal) error {
	*t = camtTotal{at: p.x.line()}
	net := func(name []byte) (err error) {
		switch string(name) {
		case "TtlNetNtryAmt", "Amt":
			t.net, err = p.reference()
		case "CdtDbtInd":
			t.sign, err = p.sign()
		}
		return err
	}
	return p.x.children(func(name []byte) (err error) {
		switch string(name) {
		case "NbOfNtries":
			t.count, t.counted, err = p.number("NbOfNtries")
		case "Sum":
			t.sum, err = p.reference()
		case "TtlNetNtry": // since version 04; before, its parts stand by themselves
			err = p.x.children(net)
		default:
			err = net(name)
		}
		return err
	})
}

// count adds an entry, which moves an amount in the direction of its sign.
func (t *camtTotals) count(c money.Currency, minor, sign int64, pending bool) error {
	t.mixed = t.mixed || t.currency != "" && t.currency != c
	t.currency = c
	direction := 1
	if sign < 0 {
		direction = 2
	}
	for _, of := range [...]int{0, direction} {
		if err := t.all[of].add(minor); err != nil {
			return err
		}
		if !pending {
			if err := t.booked[of].add(minor); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *camtTally) add(minor int64) error {
	sum, fits := camtAdd(t.sum, max(minor, -minor))
	if !fits {
		return fmt.Errorf("%w: the sum of the entries", money.ErrOverflow)
	}
	t.count, t.sum, t.net = t.count+1, sum, t.net+minor
	return nil
}

// proveTotals compares what is stated with what the entries come to.
func (p *camt) proveTotals() error {
	t := &p.stmt.totals
	for i, stated := range t.stated {
		if stated.counted {
			if err := p.prove(stated.at, RuleCount, "", stated.count, t.all[i].count, t.booked[i].count); err != nil {
				return err
			}
		}
		currency := cmp.Or(t.currency, p.stmt.Currency)
		if t.mixed || currency == "" {
			continue // there is no sum of several currencies, and none of nothing in no currency
		}
		field := p.list + "/TxsSummry/" + camtTotalNames[i]
		if stated.sum != "" {
			sum, err := camtSum(stated.sum, currency)
			if err != nil {
				return p.failAt(stated.at, field+"/Sum", err)
			}
			if err := p.prove(stated.at, RuleSum, currency, sum, t.all[i].sum, t.booked[i].sum); err != nil {
				return err
			}
		}
		if stated.net != "" {
			net, err := camtSum(stated.net, currency)
			if err != nil {
				return p.failAt(stated.at, field+"/TtlNetNtry", err)
			}
			if stated.sign < 0 || stated.sign == 0 && t.all[i].net < 0 {
				net = -net
			}
			if err := p.prove(stated.at, RuleSum, currency, net, t.all[i].net, t.booked[i].net); err != nil {
				return err
			}
		}
	}
	return nil
}

// prove compares a total with that of all entries, or of those that are booked where it is theirs.
func (p *camt) prove(at int, rule Rule, currency money.Currency, stated, all, booked int64) error {
	if stated == booked {
		all = booked
	}
	if pages := &p.stmt.pages; stated != all && (pages.page > 1 || pages.given && !pages.last) {
		return nil
	}
	text := func(n int64) string {
		if currency == "" {
			return strconv.FormatInt(n, 10)
		}
		return money.Amount{Currency: currency, Minor: n}.String()
	}
	return p.emit(Part{Proof: &Proof{At: at, Rule: rule, Stated: text(stated), Computed: text(all)}})
}

// camtSum is a total, which has no currency of its own, in that of the entries.
func camtSum(decimal string, c money.Currency) (int64, error) {
	unsigned, negative := strings.CutPrefix(decimal, "-")
	n, err := camtMinor([]byte(unsigned), c.Exponent())
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q %s", err, decimal, c)
	}
	if negative {
		n = -n
	}
	return n, nil
}
