package match

import (
	"errors"
	"testing"
)

// TestResult_IsNotGivenAwayWhenARowIsLost has results that no run may come to.
func TestResult_IsNotGivenAwayWhenARowIsLost(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *matcher){
		"as it should be": func(*matcher) {},
		"a row of ours in two matches": func(m *matcher) {
			m.out.records = append(m.out.records, record{at: 0, ours: 1})
		},
		"a row of theirs in two matches": func(m *matcher) {
			m.out.records = append(m.out.records, record{at: 1, theirs: 1})
		},
		"a row of ours lost":    func(m *matcher) { m.out.findings = m.out.findings[1:] },
		"a row of theirs lost":  func(m *matcher) { m.out.findings = m.out.findings[:1] },
		"what is settled again": func(m *matcher) { m.ours.rows[0].Standing = Settled },
	} {
		m := &matcher{ours: side{rows: make([]Row, 2)}, theirs: side{rows: make([]Row, 2)}}
		m.out.begin(2)
		m.out.legs, m.out.records = []int32{0, 0}, []record{{at: 0, ours: 1, theirs: 1, pass: PassStrongID}}
		m.out.findings = []Finding{{Ours: []int32{1}}, {Theirs: []int32{1}}}
		change(m)
		if _, err := m.out.result(m); errors.Is(err, ErrInvariant) == (name == "as it should be") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
