package match

import "github.com/tieout/tieout/services/reconciliation/breaks"

// composite is the pass by a reference together with the amount, and by the amount together with the day: only where there is
// one row on each side.
func (m *matcher) composite() {
	for _, p := range m.rules.Composite {
		m.bucketed(func(side int, r *Row) (bucketKey, bool) {
			c := p.Ours
			if side == sideTheirs {
				c = p.Theirs
			}
			return bucketKey{kind: m.kind(r.Kind), token: r.Carriers[c], amount: r.Amount}, !r.Carriers[c].IsZero() && m.byAmount(r)
		}, func(ours, theirs []int32) {
			if m.alone(ours, theirs) {
				by := span{pass: PassComposite, oursBy: p.Ours, theirsBy: p.Theirs, score: 900 - m.notes(ours, theirs)}
				m.take(ours, theirs, by, `{"tied":["reference","amount"]}`)
			}
		})
	}
	if !m.rules.ByAmount {
		return
	}
	m.bucketed(m.amountAndDay, func(ours, theirs []int32) {
		if m.alone(ours, theirs) && !m.differ(&m.in.Ours[ours[0]], &m.in.Theirs[theirs[0]], true) {
			m.take(ours, theirs, span{pass: PassComposite, score: 800 - m.notes(ours, theirs)}, `{"tied":["amount","day"]}`)
		}
	})
}

// amountAndDay is the key of rows that go by them.
func (m *matcher) amountAndDay(_ int, r *Row) (bucketKey, bool) {
	return bucketKey{kind: m.kind(r.Kind), amount: r.Amount, day: r.Day}, m.byAmount(r)
}

// byAmount says whether a row may be matched by its amount at all.
func (m *matcher) byAmount(r *Row) bool { return r.Standing == Booked && r.Amount != 0 }

// alone says whether these are one row of each side, and no id says that they are different movements.
func (m *matcher) alone(ours, theirs []int32) bool {
	return len(ours) == 1 && len(theirs) == 1 && !m.idsDiffer(&m.in.Ours[ours[0]], &m.in.Theirs[theirs[0]])
}

// suggestions are pairs of which all ties but the reference.
func (m *matcher) suggestions() {
	if !m.rules.ByAmount {
		return
	}
	m.bucketed(m.amountAndDay, func(ours, theirs []int32) {
		if m.alone(ours, theirs) && m.differ(&m.in.Ours[ours[0]], &m.in.Theirs[theirs[0]], true) {
			m.find(Finding{Code: breaks.ReferenceMismatch, Ours: []int32{ours[0]}, Theirs: []int32{theirs[0]}})
		}
	})
}

// ownFees takes the fees of theirs that are not of a movement: nothing of ours is expected to be there, they are booked as they
// come.
func (m *matcher) ownFees() {
	for j := range m.in.Theirs {
		if m.in.Theirs[j].Kind == KindFee && !m.rules.Payouts {
			m.take(nil, []int32{int32(j)}, span{pass: PassStrongID, score: 1000}, `{"own":"fee"}`)
		}
	}
}
