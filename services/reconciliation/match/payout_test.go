package match_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

func TestPayouts(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"as reported":                {rows: "ours a 900 payout po:1\n theirs x 900 payout po:1", want: "payout a=x"},
		"of several reports":         {rows: "ours a 900 payout po:1\n ours b -100 payout po:1\n theirs x 800 payout po:1", want: "payout a,b=x"},
		"in two credits":             {rows: "ours a 900 payout po:1\n theirs x 500 payout po:1\n theirs y 400 payout po:1", want: "payout a=x,y"},
		"as reported, though wrong":  {rows: "ours a 900 payout po:1 adjust:-50\n theirs x 900 payout po:1", want: "payout a=x"},
		"with what is off":           {rows: "ours a 900 payout po:1 adjust:-50\n theirs x 850 payout po:1", want: "payout a=x"},
		"with what is refused":       {rows: "ours a 900 payout po:1 unpaid:-50\n theirs x 850 payout po:1", want: "payout a=x"},
		"with both":                  {rows: "ours a 900 payout po:1 adjust:7 unpaid:-50\n theirs x 857 payout po:1", want: "payout a=x"},
		"refused, and yet paid":      {rows: "ours a 900 payout po:1 adjust:7 unpaid:-50\n theirs x 907 payout po:1", want: "payout a=x"},
		"refused, and off":           {rows: "ours a 900 payout po:1 adjust:7 unpaid:-50\n theirs x 860 payout po:1", want: "SPLIT_INCOMPLETE a|x -47"},
		"without id, what is unpaid": {rows: "ours a 900 payout po:1 adjust:7 unpaid:-50\n theirs x 857 payout day:22", want: "window a=x"},
		"of what is not paid":        {rows: "ours a 50 payout po:1 unpaid:-50", want: "own a="},
		"late":                       {rows: "ours a 900 payout po:1\n theirs x 900 payout po:1 day:26", want: "payout a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"less":                       {rows: "ours a 900 payout po:1\n theirs x 850 payout po:1", want: "AMOUNT_UNDER a|x -50"},
		"more":                       {rows: "ours a 900 payout po:1\n theirs x 950 payout po:1", want: "AMOUNT_OVER a|x 50"},
		"partly explained":           {rows: "ours a 900 payout po:1 adjust:-50\n theirs x 840 payout po:1", want: "SPLIT_INCOMPLETE a|x -10"},
		"in credits that are off":    {rows: "ours a 900 payout po:1\n theirs x 500 payout po:1\n theirs y 300 payout po:1", want: "SPLIT_INCOMPLETE a|x,y -100"},
		"twice":                      {rows: "ours a 900 payout po:1\n theirs x 900 payout po:1\n theirs y 900 payout po:1 day:21", want: "payout a=x\n DUPLICATE_EXTERNAL a|y 900"},
		"twice what is right":        {rows: "ours a 900 payout po:1 adjust:9\n theirs x 909 payout po:1\n theirs y 909 payout po:1 day:21", want: "payout a=x\n DUPLICATE_EXTERNAL a|y 909"},
		"with more besides":          {rows: "ours a 900 payout po:1\n theirs x 900 payout po:1\n theirs y 50 payout po:1", want: "payout a=x\n SPLIT_INCOMPLETE a|y 50"},
		"again after it was settled": {rows: "ours a 900 payout po:1 settled\n theirs x 900 payout po:1", want: "DUPLICATE_EXTERNAL a|x 900"},
		"not yet":                    {rows: "ours a 900 payout po:1 due:100", want: "TIMING_OPEN a| -900"},
		"not at all":                 {rows: "ours a 900 payout po:1 due:99", want: "MISSING_AT_BANK a| -900"},
		"of nothing":                 {rows: "ours a 0 payout po:1\n ours b 0 payout", want: "own a=\n own b="},
		"and its failure":            {rows: "ours a 900 payout po:1\n ours b -900 payout po:1", want: "own a,b="},
		"that comes to nothing":      {rows: "ours a 50 payout po:1 adjust:-50", want: "own a="},
		"of nobody":                  {rows: "theirs x 900 payout po:1\n theirs y 70 transfer po:2", want: "PAYOUT_UNEXPLAINED |x 900\n PAYOUT_UNEXPLAINED |y 70"},
		"not by another payout's id": {rows: "ours a 900 payout po:1\n theirs x 900 payout po:2", want: "MISSING_AT_BANK a| -900\n PAYOUT_UNEXPLAINED |x 900"},
		"without id, by amount":      {rows: "ours a 900 payout po:1\n theirs x 900 payout day:22", want: "window a=x"},
		"without id, what is right":  {rows: "ours a 900 payout po:1 adjust:-50\n theirs x 850 payout day:22", want: "window a=x"},
		"without id, either amount": {
			rows: "ours a 900 payout po:1 adjust:-50\n theirs x 850 payout\n theirs y 900 payout\n ours b 850 payout po:2", want: "AMBIGUOUS a,b|x,y 0",
		},
		"by id though amount suggest": {rows: "ours a 900 payout po:1\n theirs x 900 payout\n theirs y 900 payout po:1 day:22", want: "payout a=y\n PAYOUT_UNEXPLAINED |x 900"},
		"and a bank's own fee":        {rows: "theirs x -5 fee", want: "own =x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func TestPayouts_WithStrays(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"one explains": {rows: "ours a 90000 payout po:1\n theirs x 95000 payout po:1\n stray s 5100 fee:100\n stray u 7000", want: "payout a=x"},
		"two explain together": {
			rows: "ours a 90000 payout po:1\n theirs x 107000 payout po:1\n stray s 10000\n stray u 7000\n stray v 60000", want: "payout a=x",
		},
		"besides what is off": {rows: "ours a 90000 payout po:1 adjust:-300\n theirs x 94700 payout po:1\n stray s 5000", want: "payout a=x"},
		"one of two explains": {
			rows: "ours a 90000 payout po:1\n theirs x 95000 payout po:1\n stray s 5000\n stray u 5000", want: "AMBIGUOUS a|x 5000",
		},
		"one for two payouts": {
			rows: "ours a 90000 payout po:1\n theirs x 95000 payout po:1\n ours b 80000 payout po:2\n theirs y 85000 payout po:2\n stray s 5000",
			want: "AMBIGUOUS a|x 5000\n AMBIGUOUS b|y 5000",
		},
		"none explains":     {rows: "ours a 90000 payout po:1\n theirs x 95000 payout po:1\n stray s 4000", want: "AMOUNT_OVER a|x 5000"},
		"too long before":   {rows: "ours a 90000 payout po:1 day:90\n theirs x 95000 payout po:1 day:90\n stray s 5000 day:29", want: "AMOUNT_OVER a|x 5000"},
		"too small to tell": {rows: "ours a 90000 payout po:1\n theirs x 90005 payout po:1\n stray s 5\n stray u 6", want: "AMOUNT_OVER a|x 5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultBank())
		})
	}
}

func TestPayouts_SayWhatWasCountedIn(t *testing.T) {
	t.Parallel()
	e := example{rows: "ours a 90000 payout po:1 adjust:-300\n theirs x 94700 payout po:1\n stray s 5000", want: "payout a=x"}
	_, result := e.check(t, match.DefaultBank())
	key := matchtest.Line{Name: "s"}.Key()
	for m := range result.Matches() {
		if want := `{"adjusted":-300,"strays":["` + hex.EncodeToString(key[:]) + `"]}`; m.Evidence != want {
			t.Errorf("evidence %s, want %s", m.Evidence, want)
		}
	}
}

func TestPayouts_AreOfStageBankOnly(t *testing.T) {
	t.Parallel()
	e := example{
		rows: "ours a 900 payout po:1\n theirs x 900 payout po:1 day:60\n theirs f -5 fee\n theirs g 7 adjustment\n theirs c -9 chargeback\n theirs r 9 reversal",
		want: "MISSING_AT_PROVIDER a| -900\n PAYOUT_UNEXPLAINED |x 900\n own =f\n MISSING_INTERNALLY |g 7\n CHARGEBACK_UNMATCHED |c -9\n CHARGEBACK_UNMATCHED |r 9",
	}
	_, result := e.check(t, match.DefaultProvider()) // what they correct, somebody has to know of
	for m := range result.Matches() {
		if !strings.HasPrefix(m.Evidence, `{"own":"`) {
			t.Errorf("evidence %s", m.Evidence)
		}
	}
}
