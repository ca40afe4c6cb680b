package match

import "slices"

// Leftover is what a partition of one currency could not explain: the rows of its findings MISSING_AT_PROVIDER, MISSING_AT_BANK and
// TIMING_OPEN (ours), and MISSING_INTERNALLY, RETURN_UNMATCHED and CHARGEBACK_UNMATCHED (theirs).
type Leftover struct{ Ours, Theirs []Row }

// Mismatch is a CURRENCY_MISMATCH: a row of ours and one of theirs that carry the same, in different currencies. It stands in the
// place of the findings that the two rows have by themselves.
type Mismatch struct {
	// OursIn and TheirsIn are places of leftovers, Ours and Theirs of rows in them.
	OursIn, TheirsIn int
	Ours, Theirs     int32
	// OursBy and TheirsBy are where they carry the same.
	OursBy, TheirsBy Carrier
	// Payout is that of the row of theirs. It is off by TheirsEffect in their currency, less than zero for what it should not
	// have, and what is paid out in the currency of ours by OursEffect. In minor units; 0 at stage bank.
	Payout                   Token
	OursEffect, TheirsEffect int64
}

// AcrossCurrencies finds what is in one currency for us and in another one for them, among what the partitions of one account and
// one stage have left: a leftover for each currency, in any order. It takes what is the only one with its id on both sides, and
// that no other id contradicts. The order is that of the keys of ours.
func AcrossCurrencies(leftovers []Leftover, r Rules) []Mismatch {
	ours := gather(leftovers, func(l *Leftover) []Row { return l.Ours })
	theirs := gather(leftovers, func(l *Leftover) []Row { return l.Theirs })
	links := newLinks(r.Carriers)
	var found []Mismatch
	for i := range r.Carriers {
		p := &r.Carriers[i]
		theirsBy := byCarried(theirs, func(row *Row) Token { token, _ := p.theirs(row); return token })
		for by, o := range byCarried(ours, func(row *Row) Token { return row.Carriers[p.Ours] }) {
			t := theirsBy[by]
			if !p.about(by.kind) || len(o) != 1 || len(t) != 1 || o[0].in == t[0].in {
				continue
			}
			if links.relate(o[0].row, t[0].row).tied() && (!p.Shared || r.Wide.holds(o[0].row.Day, t[0].row.Day)) {
				o[0].done, t[0].done = true, true
				found = append(found, r.mismatch(p, o[0], t[0]))
			}
		}
	}
	slices.SortFunc(found, func(a, b Mismatch) int {
		return compareKeys(&leftovers[a.OursIn].Ours[a.Ours], &leftovers[b.OursIn].Ours[b.Ours])
	})
	return found
}

// left is a row of a leftover.
type left struct {
	in    int
	place int32
	row   *Row
	done  bool
}

// gather gives the booked rows of one side.
func gather(leftovers []Leftover, side func(*Leftover) []Row) (rows []*left) {
	for in := range leftovers {
		of := side(&leftovers[in])
		for i := range of {
			if of[i].Standing == Booked {
				rows = append(rows, &left{in: in, place: int32(i), row: &of[i]})
			}
		}
	}
	return rows
}

// carried is what rows of a kind have in common.
type carried struct {
	kind  Kind
	token Token
}

func byCarried(rows []*left, token func(*Row) Token) map[carried][]*left {
	by := map[carried][]*left{}
	for _, l := range rows {
		if t := token(l.row); !l.done && !t.IsZero() {
			by[carried{l.row.Kind, t}] = append(by[carried{l.row.Kind, t}], l)
		}
	}
	return by
}

func (r *Rules) mismatch(p *Pair, ours, theirs *left) Mismatch {
	_, by := p.theirs(theirs.row)
	m := Mismatch{OursIn: ours.in, TheirsIn: theirs.in, Ours: ours.place, Theirs: theirs.place, OursBy: p.Ours, TheirsBy: by}
	if r.Stage == StageProvider {
		m.Payout, m.OursEffect, m.TheirsEffect = theirs.row.Carriers[CarrierPayout], ours.row.Net(), -theirs.row.Net()
	}
	return m
}
