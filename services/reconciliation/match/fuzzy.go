package match

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxAsked is how many texts are asked for at once, more or less.
const maxAsked = 4096

// fuzzy decides components that their shape does not decide. Texts of many of them are asked for at once.
func (m *matcher) fuzzy(unsure []family) {
	for len(unsure) > 0 && m.goOn() {
		var rows []Row
		n := 0
		for ; n < len(unsure) && len(rows) < maxAsked; n++ {
			for _, o := range unsure[n].ours {
				rows = append(rows, m.ours.rows[o])
			}
			for _, t := range unsure[n].theirs {
				rows = append(rows, m.theirs.rows[t])
			}
		}
		said := m.read(rows)
		for _, f := range unsure[:n] {
			m.resolveByText(f, said)
		}
		unsure = unsure[n:]
	}
}

// read gives the words of rows, by their keys; none when they are not to be looked at.
func (m *matcher) read(rows []Row) map[Key][]string {
	if !m.rules.on(PassFuzzy) || m.in.Texts == nil {
		return nil
	}
	said := make(map[Key][]string, len(rows))
	for i, text := range m.in.Texts(rows) {
		said[rows[i].Key] = words(text)
	}
	return said
}

// resolveByText is pass 5: it matches the rows of a component that say the same, and looks again at what is left.
func (m *matcher) resolveByText(f family, said map[Key][]string) {
	similar := m.similar(f, said)
	if len(similar) == 0 {
		m.ambiguous(f, "several are equally good")
		return
	}
	for _, p := range similar {
		m.takeNear(p.pair, proof{pass: PassFuzzy, score: int16(p.similarity * scoreAmount / whole), evidence: p.evidence()})
	}
	ours := slices.DeleteFunc(slices.Clone(f.ours), func(o int32) bool { return m.ours.fate[o] != isOpen })
	theirs := slices.DeleteFunc(slices.Clone(f.theirs), func(t int32) bool { return m.theirs.fate[t] != isOpen })
	for _, f := range families(ours, theirs, m.candidates) {
		if len(f.ours) > 0 && len(f.theirs) > 0 && !m.resolve(f) {
			m.resolveByText(f, said)
		}
	}
}

// alike is two rows whose texts are more similar than those of any other two candidates that one of them is among.
type alike struct {
	pair
	similarity, next int // in thousandths
}

func (a alike) evidence() string {
	return `{"similarity":` + strconv.Itoa(a.similarity) + `,"next":` + strconv.Itoa(a.next) + `}`
}

// similar gives, of the candidates of a component, those whose texts are similar enough, and clearly more so than all that either
// row has besides.
func (m *matcher) similar(f family, said map[Key][]string) (found []alike) {
	if len(said) == 0 {
		return nil
	}
	scores := make([][]int, len(f.ours))
	for i, o := range f.ours {
		scores[i] = make([]int, len(f.theirs))
		for j, t := range f.theirs {
			if m.candidates(o, t) {
				scores[i][j] = similarity(said[m.ours.rows[o].Key], said[m.theirs.rows[t].Key])
			}
		}
	}
	for i, o := range f.ours {
		for j, t := range f.theirs {
			if scores[i][j] < m.rules.Similarity {
				continue
			}
			next := 0
			for k := range f.theirs {
				if k != j {
					next = max(next, scores[i][k])
				}
			}
			for k := range f.ours {
				if k != i {
					next = max(next, scores[k][j])
				}
			}
			if scores[i][j]-next >= m.rules.SimilarityMargin {
				found = append(found, alike{pair{o, t}, scores[i][j], next})
			}
		}
	}
	return found
}

// How much of a text is looked at: bytes, words, and letters of a word that is compared with one that is not the same.
const (
	maxText    = 1 << 10
	maxWords   = 64
	maxLetters = 32
)

// words are the runs of letters and the runs of digits of a text, each once: in small letters, and without leading zeros, so
// that "INV-0042" and "inv 42" are the same. What is neither, and what goes beyond ASCII, only parts them.
func words(text string) []string {
	text = strings.ToLower(text[:min(len(text), maxText)])
	var found []string
	for from := 0; from < len(text) && len(found) < maxWords; {
		class := classOf(text[from])
		to := from + 1
		for to < len(text) && classOf(text[to]) == class {
			to++
		}
		word := text[from:to]
		if class == digits {
			word = cmp.Or(strings.TrimLeft(word, "0"), "0")
		}
		if class != neither && !slices.Contains(found, word) {
			found = append(found, word)
		}
		from = to
	}
	return found
}

type class uint8

const (
	neither class = iota
	letters
	digits
)

func classOf(c byte) class {
	switch {
	case '0' <= c && c <= '9':
		return digits
	case 'a' <= c && c <= 'z':
		return letters
	}
	return neither
}

// The least that texts must have in common to say anything.
const leastShared = 4

// similarity says how much of the words of one text the other one has too, in thousandths of the text that says less. Digits weigh
// double; where both texts have numbers, one of at least three digits must be the same, for two references that differ in a digit are
// two references. Two empty texts have nothing in common.
func similarity(a, b []string) int {
	if weight(b) < weight(a) {
		a, b = b, a
	}
	shared, number := 0, false
	for _, word := range a {
		share := 0
		for _, other := range b {
			share = max(share, common(word, other))
		}
		shared += share
		number = number || share > 0 && isNumber(word)
	}
	if shared < leastShared || !number && slices.ContainsFunc(a, isNumber) && slices.ContainsFunc(b, isNumber) {
		return 0
	}
	return shared * whole / weight(a)
}

func isNumber(word string) bool { return len(word) >= 3 && classOf(word[0]) == digits }

func weight(words []string) (sum int) {
	for _, word := range words {
		sum += common(word, word)
	}
	return sum
}

// common is what two words weigh together: numbers must be the same; of other words one letter in five may be another.
func common(a, b string) int {
	switch {
	case a == b && classOf(a[0]) == digits:
		return 2 * len(a)
	case a == b:
		return len(a)
	case classOf(a[0]) == digits || classOf(b[0]) == digits || max(len(a), len(b)) > maxLetters:
		return 0
	}
	most := max(len(a), len(b))
	if wrong := distance(a, b, most/5); wrong <= most/5 {
		return min(len(a), len(b)) - wrong
	}
	return 0
}

// distance is how many letters have to be put in, left out or changed to make one word of the other; of more than limit, just that
// it is more.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	before, now := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range before {
		before[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		least := now[0]
		for j := range len(b) {
			changed := before[j]
			if a[i] != b[j] {
				changed++
			}
			now[j+1] = min(changed, before[j+1]+1, now[j]+1)
			least = min(least, now[j+1])
		}
		if least > limit {
			return limit + 1
		}
		before, now = now, before
	}
	return before[len(b)]
}
