package match_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

// today is the day on which the tests judge what is due.
const today = 100

var kinds = map[string]match.Kind{
	"refund": match.KindRefund, "chargeback": match.KindChargeback, "reversal": match.KindChargebackReversal, "fee": match.KindFee,
	"payout": match.KindPayout, "return": match.KindReturn, "adjustment": match.KindAdjustment, "transfer": match.KindTransfer,
}

var standings = map[string]match.Standing{"doubt": match.InDoubt, "refused": match.Refused, "settled": match.Settled}

var carrierOf = map[string]match.Carrier{
	"id": match.CarrierID, "parent": match.CarrierParent, "key": match.CarrierKey, "ref": match.CarrierReference, "po": match.CarrierPayout,
}

// named are rows of a test, and what they are called in it.
type named struct {
	names map[match.Key]string
	texts map[match.Key]string
}

// row reads a row: a name, an amount, and what else there is of it, such as "a 500 day:20 id:ch_1 refund doubt fee:3". A row is a
// charge of day 20 and was due on day 30.
func (n *named) row(t testing.TB, text string) match.Row {
	t.Helper()
	words := strings.Fields(text)
	row := match.Row{Kind: match.KindCharge, Day: 20, Due: 30, Key: matchtest.Line{Name: words[0]}.Key()}
	n.names[row.Key] = words[0]
	for i, word := range words[1:] {
		name, value, _ := strings.Cut(word, ":")
		number, err := strconv.ParseInt(value, 10, 64)
		carrier, carried := carrierOf[name]
		switch {
		case i == 0:
			row.Amount, err = strconv.ParseInt(word, 10, 64)
		case kinds[word] != 0:
			row.Kind, err = kinds[word], nil
		case carried:
			row.Carriers[carrier], err = matchtest.Tokens(1).Of(value), nil
		case name == "day":
			row.Day = match.Day(number)
		case name == "due":
			row.Due = match.Day(number)
		case name == "fee":
			row.Fee, row.FeeKnown = number, true
		case name == "adjust":
			row.Adjust = number
		case name == "unpaid":
			row.Refused = number
		case name == "text":
			n.texts[row.Key], err = strings.ReplaceAll(value, "_", " "), nil
		case standings[name] != 0:
			row.Standing, err = standings[name], nil
		default:
			t.Fatalf("%q of %q says nothing", word, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return row
}

// partition is an input as text. The first word of a line is whose it is: ours, theirs or stray.
func partition(t testing.TB, text string) (match.Input, *named) {
	t.Helper()
	n := &named{map[match.Key]string{}, map[match.Key]string{}}
	in := match.Input{AsOf: today, Texts: func(rows []match.Row) []string {
		texts := make([]string, len(rows))
		for i, row := range rows {
			texts[i] = n.texts[row.Key]
		}
		return texts
	}}
	for line := range strings.Lines(text) {
		whose, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch whose {
		case "ours":
			in.Ours = append(in.Ours, n.row(t, rest))
		case "theirs":
			in.Theirs = append(in.Theirs, n.row(t, rest))
		case "stray":
			in.Stray = append(in.Stray, n.row(t, rest))
		case "":
		default:
			t.Fatalf("%q is of nobody", line)
		}
	}
	return in, n
}

func (n *named) of(rows []match.Row, places []int32) string {
	var names []string
	for _, i := range places {
		names = append(names, n.names[rows[i].Key])
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// say is a result as text, in no order of keys: "strong_id a=x", and "AMOUNT_OVER a|x 100". A note has a star.
func (n *named) say(in match.Input, r *match.Result) []string {
	said := []string{}
	for m := range r.Matches() {
		said = append(said, fmt.Sprintf("%s %s=%s", m.Pass, n.of(in.Ours, m.Ours), n.of(in.Theirs, m.Theirs)))
	}
	for _, f := range r.Findings {
		star := ""
		if f.Matched {
			star = "*"
		}
		said = append(said, fmt.Sprintf("%s%s %s|%s %d", f.Code, star, n.of(in.Ours, f.Ours), n.of(in.Theirs, f.Theirs), f.Amount))
	}
	slices.Sort(said)
	return said
}

// example is a partition and what is to be said of it.
type example struct {
	rows, want string
	rules      func(*match.Rules)
}

// check matches an example by rules that it may change.
func (e example) check(t *testing.T, rules match.Rules) (match.Input, match.Result) {
	t.Helper()
	if e.rules != nil {
		e.rules(&rules)
	}
	in, names := partition(t, e.rows)
	result, err := match.Run(in, rules)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for line := range strings.Lines(e.want) {
		if line = strings.TrimSpace(line); line != "" {
			want = append(want, line)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names.say(in, &result)); diff != "" {
		t.Errorf("of\n%s\n(-want +got)\n%s", e.rows, diff)
	}
	return in, result
}

// findingsOf are the findings with a code.
func findingsOf(r match.Result, code breaks.Code) (found []match.Finding) {
	for _, f := range r.Findings {
		if f.Code == code {
			found = append(found, f)
		}
	}
	return found
}
