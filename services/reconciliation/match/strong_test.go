package match_test

import (
	"testing"

	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/match/matchtest"
)

func TestStrongID(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"ties by id":                       {rows: "ours a 500 id:1\n theirs x 500 id:1", want: "strong_id a=x"},
		"ties by key":                      {rows: "ours a 500 key:1\n theirs x 500 id:9 key:1", want: "strong_id a=x"},
		"ties by reference":                {rows: "ours a 500 key:7 ref:1\n theirs x 500 id:9 ref:1", want: "strong_id a=x"},
		"ties a capture by its charge":     {rows: "ours a 500 id:1\n theirs x 500 id:cp parent:1", want: "strong_id a=x"},
		"ties a refund by its charge":      {rows: "ours a -500 refund parent:1 key:5\n theirs x -500 refund id:9 parent:1", want: "strong_id a=x"},
		"does not tie kinds":               {rows: "ours a 500 id:1 due:120\n theirs x 500 id:1 refund", want: "TIMING_OPEN a| -500\n RETURN_UNMATCHED |x 500"},
		"ties a day within the window":     {rows: "ours a 500 id:1\n theirs x 500 id:1 day:23", want: "strong_id a=x"},
		"notes a day out of the window":    {rows: "ours a 500 id:1\n theirs x 500 id:1 day:24", want: "strong_id a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"notes a day before the window":    {rows: "ours a 500 id:1\n theirs x 500 id:1 day:18", want: "strong_id a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"ties by id however late":          {rows: "ours a 500 id:1\n theirs x 500 id:1 day:900", want: "strong_id a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"ties by reference up to the wide": {rows: "ours a 500 ref:1\n theirs x 500 ref:1 day:110", want: "strong_id a=x\n DATE_OUT_OF_WINDOW* a|x 0"},
		"not by reference beyond it":       {rows: "ours a 500 ref:1\n theirs x 500 ref:1 day:111", want: "MISSING_AT_PROVIDER a| -500\n MISSING_INTERNALLY |x 500"},
		"finds more":                       {rows: "ours a 500 id:1\n theirs x 600 id:1", want: "AMOUNT_OVER a|x 100"},
		"finds less":                       {rows: "ours a 500 key:1\n theirs x 400 key:1", want: "AMOUNT_UNDER a|x -100"},
		"finds more of a refund":           {rows: "ours a -500 refund id:1\n theirs x -400 refund id:1", want: "AMOUNT_OVER a|x 100"},
		"keeps what is off from amounts": {
			rows: "ours a 500 id:1\n theirs x 600 id:1\n theirs y 500\n ours b 600",
			want: "AMOUNT_OVER a|x 100\n MISSING_AT_PROVIDER b| -600\n MISSING_INTERNALLY |y 500",
		},
		"notes a fee":            {rows: "ours a 500 id:1 fee:10\n theirs x 500 id:1 fee:12", want: "strong_id a=x\n FEE_VARIANCE* a|x 2"},
		"not one that is nobody": {rows: "ours a 500 id:1\n theirs x 500 id:1 fee:12", want: "strong_id a=x"},
		"not one in tolerance": {rows: "ours a 500 id:1 fee:10\n theirs x 500 id:1 fee:12", want: "strong_id a=x",
			rules: func(r *match.Rules) { r.FeeTolerance = 2 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultProvider())
		})
	}
}

func TestStrongID_OfSeveral(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"ties a partial capture": {
			rows: "ours a 600 id:1\n theirs x 1000 id:1 parent:1\n theirs y -400 id:cp parent:1", want: "strong_id a=x,y",
		},
		"ties one that names no charge": {
			rows: "ours a 600 id:1\n theirs x 1000 id:1\n theirs y -400 id:cp parent:1", want: "strong_id a=x,y",
		},
		"ties a refund in parts":    {rows: "ours a -900 refund key:5 ref:1\n theirs x -500 refund id:8 ref:1\n theirs y -400 refund id:9 ref:1", want: "strong_id a=x,y"},
		"ties what we booked twice": {rows: "ours a 300 key:1\n ours b 200 key:1\n theirs x 500 key:1", want: "strong_id a,b=x"},
		"names a residual":          {rows: "ours a 900 id:1\n theirs x 500 parent:1\n theirs y 300 parent:1", want: "SPLIT_INCOMPLETE a|x,y -100"},
		"names a residual of ours":  {rows: "ours a 500 key:1\n ours b 300 key:1\n theirs x 900 key:1", want: "SPLIT_INCOMPLETE a,b|x 100"},
		"names what is over":        {rows: "ours a 500 id:1\n theirs x 500 parent:1\n theirs y -200 parent:1", want: "strong_id a=x\n SPLIT_INCOMPLETE a|y -200"},
		"names what is off of two": {
			rows: "ours a 500 id:1\n ours b 300 id:1\n theirs x 500 id:1\n theirs y 299 id:1", want: "strong_id a=x\n AMOUNT_UNDER b|y -1",
		},
		"leaves what may come": {
			rows: "ours a 500 id:1\n ours b 300 id:1 due:120\n theirs x 500 id:1", want: "strong_id a=x\n TIMING_OPEN b| -300",
		},
		"tells parts of an order apart": {
			rows: "ours a -500 refund ref:1 key:a\n ours b -700 refund ref:1 key:b\n theirs x -700 refund ref:1 id:7\n theirs y -500 refund ref:1 id:8",
			want: "strong_id a=y\n strong_id b=x",
		},
		"not when they are the same": {
			rows: "ours a -500 refund ref:1 key:a\n ours b -500 refund ref:1 key:b\n theirs x -500 refund ref:1 id:7\n theirs y -500 refund ref:1 id:8",
			want: "AMBIGUOUS a,b|x,y 0",
		},
		"not two refunds with ids": {
			rows: "ours a -500 refund ref:1 id:a day:10\n theirs x -500 refund ref:1 id:x day:50", want: "MISSING_AT_PROVIDER a| 500\n RETURN_UNMATCHED |x -500",
		},
		"suggests them when they are near": {
			rows: "ours a -500 refund ref:1 id:a\n theirs x -500 refund ref:1 id:x", want: "REFERENCE_MISMATCH a|x 0",
		},
		"names parts of an order": {
			rows: "ours a -500 refund ref:1 key:a\n theirs x -100 refund ref:1 id:7\n theirs y -300 refund ref:1 id:8",
			want: "SPLIT_INCOMPLETE a|x,y 100",
		},
		"finds a subset of an order": {
			rows: "ours a -500 refund ref:1 key:a\n theirs x -200 refund ref:1 id:7\n theirs y -300 refund ref:1 id:8\n theirs z -250 refund ref:1 id:9",
			want: "subset a=x,y\n RETURN_UNMATCHED |z -250",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultProvider())
		})
	}
}

func TestStrongID_TwoForOne(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"the same line twice":      {rows: "ours a 500 id:1\n theirs x 500 id:1\n theirs y 500 id:1 day:21", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500"},
		"the first counts":         {rows: "ours a 500 id:1\n theirs x 500 id:1 day:21\n theirs y 500 id:1", want: "strong_id a=y\n DUPLICATE_EXTERNAL a|x 500"},
		"but one in time before":   {rows: "ours a 500 id:1\n theirs x 500 id:1 day:21\n theirs y 500 id:1 day:2", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500"},
		"charged twice for a key":  {rows: "ours a 500 id:1 key:1\n theirs x 500 id:1 key:1\n theirs y 500 id:2 key:1", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500"},
		"and for an order":         {rows: "ours a 500 id:1 ref:1\n theirs x 500 id:1 ref:1\n theirs y 500 id:2 ref:1", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500"},
		"not for another amount":   {rows: "ours a 500 id:1 ref:1\n theirs x 500 id:1 ref:1\n theirs y 501 id:2 ref:1", want: "strong_id a=x\n MISSING_INTERNALLY |y 501"},
		"not long after":           {rows: "ours a 500 id:1 ref:1\n theirs x 500 id:1 ref:1\n theirs y 500 id:2 ref:1 day:200", want: "strong_id a=x\n MISSING_INTERNALLY |y 500"},
		"long after, for a key":    {rows: "ours a 500 id:1 key:1\n theirs x 500 id:1 key:1\n theirs y 500 id:2 key:1 day:200", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500"},
		"of what is settled":       {rows: "ours a 500 id:1 key:1 settled\n theirs y 500 id:2 key:1", want: "DUPLICATE_EXTERNAL a|y 500"},
		"three lines":              {rows: "ours a 500 id:1\n theirs x 500 id:1\n theirs y 500 id:1 day:21\n theirs z 500 id:1 day:22", want: "strong_id a=x\n DUPLICATE_EXTERNAL a|y 500\n DUPLICATE_EXTERNAL a|z 500"},
		"booked twice":             {rows: "ours a 500 id:1\n ours b 500 id:1 day:21\n theirs x 500 id:1", want: "strong_id a=x\n DUPLICATE_INTERNAL b|x -500"},
		"booked again by key":      {rows: "ours a 500 id:1 key:1\n ours b 500 key:1\n theirs x 500 id:1 key:1", want: "strong_id a=x\n DUPLICATE_INTERNAL b|x -500"},
		"booked again afterwards":  {rows: "ours b 500 key:1\n theirs x 500 id:1 key:1 settled", want: "DUPLICATE_INTERNAL b|x -500"},
		"not what has its own id":  {rows: "ours a -5 refund id:1 ref:1\n ours b -5 refund id:2 ref:1 due:120\n theirs x -5 refund id:1 ref:1", want: "strong_id a=x\n TIMING_OPEN b| 5"},
		"not what has its own key": {rows: "ours a -5 refund key:k1 ref:1\n ours b -5 refund key:k2 ref:1 due:120\n theirs x -5 refund id:1 ref:1", want: "AMBIGUOUS a,b|x 5"},
		"not when more may come": {
			rows: "ours a -5 refund id:1 ref:1\n ours b -5 refund ref:1\n ours c -5 refund ref:1\n theirs x -5 refund id:1 ref:1\n theirs y -5 refund id:2 ref:1\n theirs z -5 refund id:3 ref:1",
			want: "strong_id a=x\n AMBIGUOUS b,c|y,z 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultProvider())
		})
	}
}

func TestStrongID_WhatIsNotSure(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]example{
		"doubt is resolved":         {rows: "ours a 500 key:1 doubt\n theirs x 500 id:1 key:1", want: "UNKNOWN_RESOLVED a|x 500"},
		"whatever the amount":       {rows: "ours a 500 key:1 doubt\n theirs x 400 id:1 key:1", want: "UNKNOWN_RESOLVED a|x 400"},
		"in parts":                  {rows: "ours a 500 id:1 doubt\n theirs x 900 id:1\n theirs y -400 parent:1", want: "UNKNOWN_RESOLVED a|x,y 500"},
		"refusal is contradicted":   {rows: "ours a 500 key:1 refused\n theirs x 500 id:1 key:1", want: "STATE_CONFLICT a|x 500"},
		"doubt alone is silent":     {rows: "ours a 500 key:1 doubt\n ours b 300 key:2 refused", want: ""},
		"by reference":              {rows: "ours a 500 ref:1 doubt\n theirs x 500 id:1 ref:1", want: "UNKNOWN_RESOLVED a|x 500"},
		"not another amount":        {rows: "ours a 500 ref:1 doubt\n theirs x 400 id:1 ref:1", want: "MISSING_INTERNALLY |x 400"},
		"never by amount":           {rows: "ours a 500 doubt\n theirs x 500", want: "MISSING_INTERNALLY |x 500"},
		"what is booked goes first": {rows: "ours a 500 ref:1 doubt\n ours b 500 ref:1\n theirs x 500 id:1 ref:1", want: "strong_id b=x"},
		"and the attempt after it":  {rows: "ours a 500 ref:1 doubt\n ours b 500 ref:1\n theirs x 500 id:1 ref:1\n theirs y 500 id:2 ref:1 day:21", want: "strong_id b=x\n UNKNOWN_RESOLVED a|y 500"},
		"unless the amount is his":  {rows: "ours a 500 ref:1 doubt\n ours b 700 ref:1 due:120\n theirs x 500 id:1 ref:1", want: "UNKNOWN_RESOLVED a|x 500\n TIMING_OPEN b| -700"},
		"doubt before refusal":      {rows: "ours a 500 ref:1 refused\n ours b 500 ref:1 doubt\n theirs x 500 id:1 ref:1", want: "UNKNOWN_RESOLVED b|x 500"},
		"and both of two":           {rows: "ours a 500 ref:1 refused\n ours b 500 ref:1 doubt\n theirs x 500 id:1 ref:1 day:1\n theirs y 500 id:2 ref:1", want: "UNKNOWN_RESOLVED b|x 500\n STATE_CONFLICT a|y 500"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.check(t, match.DefaultProvider())
		})
	}
}

func TestFinding_SaysWhatAPayoutIsOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rows   string
		code   breaks.Code
		effect int64
	}{
		"a line twice":          {"ours a 500 id:1\n theirs x 500 id:1 po:1\n theirs y 500 id:1 day:21 fee:20 po:1", breaks.DuplicateExternal, -480},
		"a line of nobody":      {"theirs y 500 id:1 fee:20 po:1", breaks.MissingInternally, -480},
		"a refund of nobody":    {"theirs y -500 id:1 refund fee:20 po:1", breaks.ReturnUnmatched, 520},
		"more":                  {"ours a 500 id:1\n theirs x 600 id:1 fee:20 po:1", breaks.AmountOver, -100},
		"less":                  {"ours a 500 id:1\n theirs x 400 id:1 fee:20 po:1", breaks.AmountUnder, 100},
		"a fee":                 {"ours a 500 id:1 fee:10\n theirs x 500 id:1 fee:20 po:1", breaks.FeeVariance, 10},
		"a residual":            {"ours a 900 id:1\n theirs x 500 parent:1 po:1\n theirs y 300 parent:1 po:1", breaks.SplitIncomplete, 100},
		"what is over":          {"ours a 900 id:1\n theirs x 900 parent:1 po:1\n theirs y 300 parent:1 fee:20 po:1", breaks.SplitIncomplete, -280},
		"proven":                {"ours a 900 key:1 doubt\n theirs x 900 key:1 po:1", breaks.UnknownResolved, 0},
		"contradicted":          {"ours a 900 key:1 refused\n theirs x 900 key:1 po:1", breaks.StateConflict, 0},
		"a residual of payouts": {"ours a 900 id:1\n theirs x 500 parent:1 po:2\n theirs y 300 parent:1 po:1", breaks.SplitIncomplete, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, _ := partition(t, c.rows)
			result, err := match.Run(in, match.DefaultProvider())
			if err != nil {
				t.Fatal(err)
			}
			found := findingsOf(result, c.code)
			if len(found) != 1 || found[0].Effect != c.effect {
				t.Fatalf("got %+v, want one %s with effect %d", result.Findings, c.code, c.effect)
			}
			want := matchtest.Tokens(1).Of("1")
			if name == "a residual of payouts" {
				want = match.Token{}
			}
			if found[0].Payout != want {
				t.Errorf("payout %v, want %v", found[0].Payout, want)
			}
		})
	}
}
