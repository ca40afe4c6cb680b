package match_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tieout/tieout/services/reconciliation/match"
)

func TestRules_DefaultsAreValidAndReadBack(t *testing.T) {
	t.Parallel()
	for _, r := range []match.Rules{match.DefaultProvider(), match.DefaultBank()} {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Stage, err)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back match.Rules
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestRules_ReadOverWhatIsThere(t *testing.T) {
	t.Parallel()
	r := match.DefaultProvider()
	document := `{"window": {"before": 2, "after": 4}, "carriers": [{"ours": "key", "theirs": ["id"]}], "own_kinds": [], "closest": true}`
	if err := json.Unmarshal([]byte(document), &r); err != nil {
		t.Fatal(err)
	}
	want := match.DefaultProvider()
	want.Window = match.Days{Before: 2, After: 4}
	want.Carriers = []match.Pair{{Ours: match.CarrierKey, Theirs: []match.Carrier{match.CarrierID}}}
	want.Own, want.Closest = []match.Kind{}, true
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func TestRules_RefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	for document, field := range map[string]string{
		`{"stage": "shop"}`:                                           "stage",
		`{"carriers": [{"ours": "id", "theirs": []}]}`:                "carriers[0].theirs",
		`{"window": {"before": -1}}`:                                  "window.before",
		`{"window": {"after": 91}}`:                                   "wide_window.after",
		`{"wide_window": {"after": 4000}}`:                            "wide_window.after",
		`{"amount_tolerance": {"minor": -1}}`:                         "amount_tolerance.minor",
		`{"amount_tolerance": {"basis_points": 10001}}`:               "amount_tolerance.basis_points",
		`{"fee_tolerance": -1}`:                                       "fee_tolerance",
		`{"component_limit": 65}`:                                     "component_limit",
		`{"similarity": 0}`:                                           "similarity",
		`{"similarity_margin": 1001}`:                                 "similarity_margin",
		`{"subset": {"rows": 41}}`:                                    "subset.rows",
		`{"subset": {"complement": 4}}`:                               "subset.complement",
		`{"subset": {"budget": -1}}`:                                  "subset.budget",
		`{"subset": {"rarity": 0}}`:                                   "subset.rarity",
		`{"passes": ["strong_id", "strong_id"]}`:                      "passes[1]",
		`{"passes": ["by_hand"]}`:                                     "passes[0]",
		`{"passes": ["own"]}`:                                         "passes[0]",
		`{"passes": ["fuzzy"]}`:                                       "passes",
		`{"passes": ["guess"]}`:                                       "guess",
		`{"carriers": [{"ours": "name", "theirs": ["id"]}]}`:          "name",
		`{"carriers": [{"kinds": ["gift"], "ours": "id"}]}`:           "gift",
		`{"windows": {}}`:                                             "windows",
		`{"window": {"before": 1.5}}`:                                 "window.before",
		`{"carriers": [{"ours": "id", "theirs": ["id"], "also": 1}]}`: "also",
	} {
		r := match.DefaultProvider()
		err := json.Unmarshal([]byte(document), &r)
		if err == nil {
			err = r.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want something about %s", document, err, field)
		}
	}
}

func TestRules_RefuseWhatHasNoName(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*match.Rules){
		func(r *match.Rules) { r.Carriers[0].Ours = match.NumCarriers },
		func(r *match.Rules) { r.Carriers[0].Theirs = []match.Carrier{match.NumCarriers} },
		func(r *match.Rules) { r.Carriers[0].Kinds = []match.Kind{0} },
		func(r *match.Rules) { r.Own = []match.Kind{match.KindTransfer + 1} },
		func(r *match.Rules) { r.Passes = []match.Pass{match.NumPasses} },
	} {
		r := match.DefaultProvider()
		change(&r)
		if err := r.Validate(); err == nil {
			t.Errorf("%+v is valid", r)
		}
		if text, err := json.Marshal(r); err == nil {
			t.Errorf("%+v was written: %s", r, text)
		}
		if _, err := match.Run(match.Input{}, r); err == nil {
			t.Errorf("%+v ran", r)
		}
	}
}

// FuzzRules reads documents over the defaults: what is valid is read back as it was, and can be run by.
func FuzzRules(f *testing.F) {
	for _, r := range []match.Rules{match.DefaultProvider(), match.DefaultBank()} {
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"passes":["strong_id","window"],"closest":true,"component_limit":2}`))
	f.Add([]byte(`{"carriers":[{"kinds":["charge"],"ours":"id","theirs":["parent","id"],"shared":true}],"subset":{"budget":3}}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		r := match.DefaultProvider()
		if json.Unmarshal(document, &r) != nil || r.Validate() != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back := match.Rules{}
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%s is read back as %s: %v", text, again, err)
		}
		in, _ := partition(t, "ours a 500 id:1 ref:1\n ours b 500 key:2\n ours c 500\n theirs x 500 id:1\n theirs y 500 ref:1\n theirs z 499 day:22")
		if _, err := match.Run(in, r); err != nil {
			t.Fatal(err)
		}
	})
}
