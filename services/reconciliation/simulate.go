package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// simulation is what is to be simulated.
type simulation struct {
	rules   rules.Set
	version int32 // 0 for a document
	asOf    match.Day
	account string // empty for all
}

// simulated is what would come of it, against what is stored.
type simulated struct {
	simulation
	movements int64
	passes    map[passOf]*passTotal
	codes     map[codeOf]*codeTotal
	changes   map[changeOf]*moneyTotal
}

// place is a stage and a currency.
type place struct {
	stage    stage
	currency string
}

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.currency, b.currency))
}

type passOf struct {
	place
	pass match.Pass
}

type codeOf struct {
	place
	code breaks.Code
}

type changeOf struct {
	place
	shift shift
}

// shift is what would happen to a movement, as in the contract.
type shift int8

const (
	changeMatched      shift = 1 // it is open, and would be matched
	changeOpened       shift = 2 // it is matched, and would be open
	changeRematched    shift = 3 // it is matched, and would be matched with others
	changeMatchedFirst shift = 4 // no run has looked at it, and it would be matched
	changeOpenedFirst  shift = 5 // no run has looked at it, and it would be open
)

// moneyTotal is a number of things and what they come to, whatever their sign, in minor units.
type moneyTotal struct{ count, minor int64 }

// add adds a thing. Sums that do not fit are an error.
func (t *moneyTotal) add(minor int64) (err error) {
	t.count++
	t.minor, err = plus(t.minor, max(minor, -minor))
	return err
}

type passTotal struct {
	moneyTotal
	stored int64 // matches
}

type codeTotal struct {
	now, stored moneyTotal
}

// simulate matches everything that is accepted from scratch, and stores nothing.
func (r *reconciliation) simulate(ctx context.Context, what simulation, seen func(done, all int64)) (*simulated, error) {
	release, err := r.takeSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	st := newStore(r.pool)
	partitions, err := st.partitions(ctx)
	if err != nil {
		return nil, err
	}
	places := []partitionID{}
	for id, p := range partitions {
		if what.account == "" || p.account == what.account {
			places = append(places, id)
		}
	}
	slices.Sort(places)
	if len(places) == 0 && what.account != "" {
		return nil, rpcerr.ForField(rpcerr.NotFound, "account", "there are no movements of account %q", what.account)
	}
	out := &simulated{
		simulation: what, passes: map[passOf]*passTotal{}, codes: map[codeOf]*codeTotal{}, changes: map[changeOf]*moneyTotal{},
	}
	if err := st.compareWith(ctx, out, partitions, places); err != nil {
		return nil, err
	}
	from := source{until: what.asOf, places: places}
	all, err := st.countInputs(ctx, from)
	if err != nil {
		return nil, err
	}
	w := work{pool: r.pool, source: from, rules: what.rules, asOf: what.asOf, into: &simulator{out: out, store: st}, seen: progressOf(all, seen)}
	return out, w.do(ctx)
}

// countInputs counts what a source has.
func (s store) countInputs(ctx context.Context, from source) (n int64, err error) {
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM "+from.inputs()).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting movements: %w", err)
	}
	return n, nil
}

// compareWith reads what is stored.
func (s store) compareWith(ctx context.Context, out *simulated, partitions map[partitionID]partition, places []partitionID) error {
	passes, err := s.q.StoredPasses(ctx, reconciliationdb.StoredPassesParams{Places: places, Until: dateOf(out.asOf)})
	if err != nil {
		return fmt.Errorf("counting matches: %w", err)
	}
	for _, row := range passes {
		out.pass(partitions[row.PartitionID], match.Pass(row.Pass)).stored += row.Matches
	}
	findings, err := s.q.StoredFindings(ctx, reconciliationdb.StoredFindingsParams{Places: places, Until: dateOf(out.asOf)})
	if err != nil {
		return fmt.Errorf("counting what was found: %w", err)
	}
	for _, row := range findings {
		t := &out.code(partitions[row.PartitionID], breaks.Code(row.Code)).stored
		t.count += row.Count
		if t.minor, err = plus(t.minor, row.AmountMinor); err != nil {
			return err
		}
	}
	return nil
}

func placeOf(p partition) place { return place{p.stage, p.currency} }

func (s *simulated) pass(p partition, pass match.Pass) *passTotal {
	return valueOf(s.passes, passOf{placeOf(p), pass})
}

func (s *simulated) code(p partition, code breaks.Code) *codeTotal {
	return valueOf(s.codes, codeOf{placeOf(p), code})
}

func (s *simulated) changed(p partition, c shift, minor int64) error {
	return valueOf(s.changes, changeOf{placeOf(p), c}).add(minor)
}

// valueOf gives the value of a key, and makes it when there is none.
func valueOf[K comparable, V any](all map[K]*V, key K) *V {
	if all[key] == nil {
		all[key] = new(V)
	}
	return all[key]
}

// sorted gives the keys of a map in an order.
func sorted[K comparable, V any](all map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(all), compare)
}

// simulator is a sink that stores nothing, and counts.
type simulator struct {
	out    *simulated
	store  store
	stored legs // in the partition that is looked at
}

// done implements sink.
func (s *simulator) done([]*part) (matches int64, done bool) { return 0, false }

// matches implements sink.
func (s *simulator) matches(ctx context.Context, p *part) error {
	rows, err := s.store.q.StoredLegs(ctx, reconciliationdb.StoredLegsParams{PartitionID: p.id, Until: dateOf(s.out.asOf)})
	if err != nil {
		return fmt.Errorf("reading what is matched: %w", err)
	}
	stored := legs(rows)
	sizes := make(map[int64]int, len(rows)/2) // of stored matches
	for _, l := range rows {
		sizes[l.MatchID]++
	}
	for m := range p.all() {
		if err := s.match(p, m, stored, sizes); err != nil {
			return err
		}
	}
	s.stored = stored
	return nil
}

// legs are what is stored, in the order of movements.
type legs []reconciliationdb.StoredLegsRow

// of gives the match of a movement; 0 for none.
func (l legs) of(movement int64) int64 {
	at, found := slices.BinarySearchFunc(l, movement, func(row reconciliationdb.StoredLegsRow, id int64) int { return cmp.Compare(row.MovementID, id) })
	if !found {
		return 0
	}
	return l[at].MatchID
}

// match counts a match, and what is other about it than is stored.
func (s *simulator) match(p *part, m match.Match, stored legs, sizes map[int64]int) error {
	total := s.out.pass(p.partition, m.Pass)
	total.count++
	rows := p.rowsOf(m)
	before := stored.of(rows[0].ID)
	same := before != 0 && sizes[before] == len(rows)
	var err error
	for i, row := range rows {
		if i < len(m.Ours) && err == nil {
			total.minor, err = plus(total.minor, max(row.Amount, -row.Amount))
		}
		same = same && stored.of(row.ID) == before
	}
	if same || err != nil {
		return err
	}
	for _, row := range rows {
		shift := changeMatched
		switch {
		case stored.of(row.ID) != 0:
			shift = changeRematched
		case !p.taken(row.ID):
			shift = changeMatchedFirst
		}
		if err := s.out.changed(p.partition, shift, row.Amount); err != nil {
			return err
		}
	}
	return nil
}

// rowsOf are the rows of a match, ours first.
func (p *part) rowsOf(m match.Match) []match.Row {
	rows := make([]match.Row, 0, len(m.Ours)+len(m.Theirs))
	for _, i := range m.Ours {
		rows = append(rows, p.in.Ours[i])
	}
	for _, j := range m.Theirs {
		rows = append(rows, p.in.Theirs[j])
	}
	return rows
}

// taken tells whether a run has looked at a movement: of a simulation, these are what its halves have as open.
func (p *part) taken(id int64) bool { return p.ours.wasOpen(id) || p.theirs.wasOpen(id) }

// left counts what would be left open, and is not.
func (s *simulator) left(p *part) error {
	for _, side := range []struct {
		rows []match.Row
		done []bool
	}{{p.in.Ours, p.oursDone}, {p.in.Theirs, p.theirsDone}} {
		for i, row := range side.rows {
			if side.done[i] || row.Standing != match.Booked {
				continue
			}
			shift := changeOpened
			switch {
			case !p.taken(row.ID):
				shift = changeOpenedFirst
			case s.stored.of(row.ID) == 0:
				continue
			}
			if err := s.out.changed(p.partition, shift, row.Amount); err != nil {
				return err
			}
		}
	}
	return nil
}

// concluded implements sink.
func (s *simulator) concluded(_ context.Context, p *part) error {
	s.out.movements += p.oursCount + p.theirsCount
	for _, f := range p.findings {
		if err := s.out.code(p.partition, f.code).now.add(f.amount); err != nil {
			return fmt.Errorf("adding up %s of %s: %w", f.code, p, err)
		}
	}
	return s.left(p)
}

// simulationOf says what is to be simulated: by a version of the rules, a document, or neither for the active ones.
func (r *reconciliation) simulationOf(ctx context.Context, version int32, document, asOf, account string) (s simulation, err error) {
	s.account, s.asOf = account, dayOf(time.Now())
	if asOf != "" {
		if s.asOf, err = parseDay("as_of", asOf); err != nil {
			return s, err
		}
	}
	if document != "" {
		if s.rules, err = rules.Parse([]byte(document)); err != nil {
			err = rpcerr.ForField(rpcerr.RequestInvalid, "rules_document", "%v", err)
		}
		return s, err
	}
	by, err := newStore(r.pool).ruleSet(ctx, version)
	if err != nil {
		return s, err
	}
	s.version = by.version
	s.rules, err = by.parse()
	return s, err
}

// amountOf is minor units of a place's currency.
func (a place) amountOf(minor int64) money.Amount {
	return money.Amount{Currency: money.Currency(a.currency), Minor: minor}
}
