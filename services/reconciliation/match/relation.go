package match

// relation is what the carriers of a row of ours and one of theirs say of each other.
type relation uint8

const (
	sameID      relation = 1 << iota // an id that is not shared agrees
	sameShared                       // one that is shared agrees
	otherID                          // one that is not shared is there on both sides, and not the same
	otherShared                      // one that is shared is
)

// tied says that something agrees, and no id contradicts it.
func (r relation) tied() bool { return r&(sameID|sameShared) != 0 && r&otherID == 0 }

// possible says that nothing speaks against their being the same money.
func (r relation) possible() bool { return r == 0 || r.tied() }

// suspect says that they are not to be matched, but have enough in common, or little enough against them, to be suggested.
func (r relation) suspect() bool {
	return r == otherShared || r&otherID != 0 && r&(sameID|sameShared) != 0
}

// link is all that a carrier of ours is compared with. Its text has to be in one of them.
type link struct {
	ours   Carrier
	theirs []*Pair
	any    uint8 // the carriers of theirs that it is compared with, as bits
	ids    uint8 // those of pairs that are not shared
}

// linkTable has the links of each kind.
type linkTable [KindTransfer + 1][]link

func newLinks(pairs []Pair) (links linkTable) {
	for kind := KindCharge; kind <= KindTransfer; kind++ {
		var at [NumCarriers]int // its place in links, from 1
		for i := range pairs {
			p := &pairs[i]
			if !p.about(kind) {
				continue
			}
			if at[p.Ours] == 0 {
				links[kind] = append(links[kind], link{ours: p.Ours})
				at[p.Ours] = len(links[kind])
			}
			l := &links[kind][at[p.Ours]-1]
			l.theirs = append(l.theirs, p)
			for _, c := range p.Theirs {
				l.any |= 1 << c
				if !p.Shared {
					l.ids |= 1 << c
				}
			}
		}
	}
	return links
}

// relate compares all that two rows of the same kind carry.
func (links *linkTable) relate(ours, theirs *Row) relation {
	var all relation
	for i := range links[ours.Kind] {
		l := &links[ours.Kind][i]
		mine := ours.Carriers[l.ours]
		if mine.IsZero() {
			continue
		}
		var same, other relation
		for _, p := range l.theirs {
			token, _ := p.theirs(theirs)
			switch {
			case token.IsZero():
			case token == mine && p.Shared:
				same |= sameShared
			case token == mine:
				same |= sameID
			case p.Shared:
				other |= otherShared
			default:
				other |= otherID
			}
		}
		if same != 0 {
			all |= same
		} else {
			all |= other
		}
	}
	return all
}

// carries says which carriers of a row hold something, as bits.
func carries(row *Row) (bits uint8) {
	for c := range NumCarriers {
		if !row.Carriers[c].IsZero() {
			bits |= 1 << c
		}
	}
	return bits
}

// unrelated says that nothing can be compared of two rows of a kind that carry these.
func (links *linkTable) unrelated(kind Kind, ours, theirs uint8) bool {
	for i := range links[kind] {
		if l := &links[kind][i]; ours&(1<<l.ours) != 0 && theirs&l.any != 0 {
			return false
		}
	}
	return true
}

// unlikeIDs says that ids can be compared of two rows of a kind that carry these.
func (links *linkTable) unlikeIDs(kind Kind, ours, theirs uint8) bool {
	for i := range links[kind] {
		if l := &links[kind][i]; ours&(1<<l.ours) != 0 && theirs&l.ids != 0 {
			return true
		}
	}
	return false
}

// family is rows of a kind that hang together: each is linked to one of the other side at least, unless it is alone.
type family struct{ ours, theirs []int32 }

// families takes rows apart into those that hang together by what linked says, in the order of their first rows.
func families(ours, theirs []int32, linked func(o, t int32) bool) []family {
	var found []family
	seenOurs, seenTheirs := make([]bool, len(ours)), make([]bool, len(theirs))
	grow := func(f *family) {
		for o, t := 0, 0; o < len(f.ours) || t < len(f.theirs); {
			if o < len(f.ours) {
				for j, other := range theirs {
					if !seenTheirs[j] && linked(f.ours[o], other) {
						seenTheirs[j] = true
						f.theirs = append(f.theirs, other)
					}
				}
				o++
				continue
			}
			for i, other := range ours {
				if !seenOurs[i] && linked(other, f.theirs[t]) {
					seenOurs[i] = true
					f.ours = append(f.ours, other)
				}
			}
			t++
		}
	}
	for i, o := range ours {
		if !seenOurs[i] {
			seenOurs[i] = true
			f := family{ours: []int32{o}}
			grow(&f)
			found = append(found, f)
		}
	}
	for j, t := range theirs {
		if !seenTheirs[j] {
			found = append(found, family{theirs: []int32{t}})
		}
	}
	return found
}
