package reconciliation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// verification is what came of running a run again.
type verification struct {
	digest, computed []byte
	signature        bool
	matches          int64
	differences      []string
}

// holds tells whether all is as it was.
func (v *verification) holds() bool {
	return v.signature && len(v.differences) == 0 && bytes.Equal(v.digest, v.computed)
}

// maxDifferences is how many differences are told.
const maxDifferences = 10

func (v *verification) differ(format string, args ...any) {
	if len(v.differences) < maxDifferences {
		v.differences = append(v.differences, fmt.Sprintf(format, args...))
	}
}

// verify runs a finished run again from its inputs, and compares what it comes to with what is stored.
func (r *reconciliation) verify(ctx context.Context, rid RunID, seen func(done, all int64)) (*verification, error) {
	st := newStore(r.pool)
	stored, err := st.run(ctx, rid)
	if err != nil {
		return nil, err
	}
	if stored.state != runFinished {
		return nil, stored.refuse("verified")
	}
	release, err := r.takeSlot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	by, err := st.ruleSet(ctx, stored.rules)
	if err != nil {
		return nil, err
	}
	set, err := by.parse()
	if err != nil {
		return nil, err
	}
	from, err := st.sourceOf(ctx, stored.number)
	if err != nil {
		return nil, err
	}
	c := &comparer{store: st, number: stored.number, verification: &verification{digest: stored.digest}}
	w := work{pool: r.pool, source: from, rules: set, asOf: stored.asOf, into: c, seen: progressOf(stored.movements, seen)}
	for _, p := range stored.partitions {
		w.also = append(w.also, p.id)
	}
	if err := w.do(ctx); err != nil {
		return nil, fmt.Errorf("running run %d again: %w", stored.number, err)
	}
	if err := c.compare(ctx, stored, by.hash); err != nil {
		return nil, err
	}
	return c.verification, nil
}

// progressOf tells how far something is, as rows are seen; they may be seen by several at once.
func progressOf(all int64, seen func(done, all int64)) func(int) {
	var done atomic.Int64
	return func(rows int) { seen(done.Add(int64(rows)), all) }
}

// takeSlot waits for its turn: what reads all movements of a run again is done once at a time, for it takes memory as a run does.
func (r *reconciliation) takeSlot(ctx context.Context) (release func(), err error) {
	select {
	case r.slot <- struct{}{}:
		return func() { <-r.slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.stopping:
		return nil, rpcerr.New(rpcerr.ShuttingDown, "the server is stopping; ask again")
	}
}

// comparer is a sink that stores nothing, and compares what it is given with what is stored.
type comparer struct {
	*verification
	store   store
	number  int32
	results []reconciliationdb.ListRunPartitionsRow
}

// done implements sink.
func (c *comparer) done([]*part) (matches int64, done bool) { return 0, false }

// matches implements sink.
func (c *comparer) matches(ctx context.Context, p *part) error {
	place := p.first
	var made []match.Match
	for m := range p.all() {
		if made = append(made, m); len(made) == pieceSize {
			if err := c.comparePiece(ctx, p, place, made); err != nil {
				return err
			}
			place, made = place+int64(len(made)), made[:0]
		}
	}
	return c.comparePiece(ctx, p, place, made)
}

// comparePiece compares matches with those that are stored in their places.
func (c *comparer) comparePiece(ctx context.Context, p *part, first int64, made []match.Match) error {
	if len(made) == 0 {
		return nil
	}
	c.verification.matches += int64(len(made))
	rows, err := c.store.q.StoredMatches(ctx, reconciliationdb.StoredMatchesParams{
		First: matchID(c.number, first), Last: matchID(c.number, first+int64(len(made))-1),
	})
	if err != nil {
		return fmt.Errorf("reading matches: %w", err)
	}
	at := 0
	for i, m := range made {
		id := matchID(c.number, first+int64(i))
		movements := p.movementsOf(m)
		if at == len(rows) || rows[at].ID != id {
			c.differ("%s is not stored: it is of %s", matchText(id), c.names(ctx, movements))
			continue
		}
		row := rows[at]
		at++
		is := storedMatch{row.PartitionID, match.Pass(row.Pass), match.Carrier(row.OursBy), match.Carrier(row.TheirsBy), row.Score, row.Evidence}
		want := storedMatch{p.id, m.Pass, m.OursBy, m.TheirsBy, m.Score, m.Evidence}
		if is != want {
			c.differ("%s of %s is stored as %+v, and comes to %+v", matchText(id), c.names(ctx, movements), is, want)
		}
		if !slices.Equal(row.Movements, movements) {
			c.differ("%s is stored as of %s, and comes to %s", matchText(id), c.names(ctx, row.Movements), c.names(ctx, movements))
		}
	}
	return nil
}

// storedMatch is what is stored of a match, but for its movements.
type storedMatch struct {
	partition        partitionID
	pass             match.Pass
	oursBy, theirsBy match.Carrier
	score            int16
	evidence         string
}

// movementsOf are the ids of the movements of a match, ascending.
func (p *part) movementsOf(m match.Match) []int64 {
	ours, theirs := p.idsOf(m)
	all := slices.Concat(ours, theirs)
	slices.Sort(all)
	return all
}

// names are movements as people know them.
func (c *comparer) names(ctx context.Context, movements []int64) string {
	const many = 6
	rows, err := c.store.q.KeysOf(ctx, movements[:min(len(movements), many)])
	if err != nil {
		return fmt.Sprintf("%d movements", len(movements)) // the difference counts, not its name
	}
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, movementIDOf(match.Key(uuid.UUID(r.Key))).String())
	}
	slices.Sort(names)
	if len(movements) > many {
		names = append(names, fmt.Sprintf("%d more", len(movements)-many))
	}
	return fmt.Sprint(names)
}

// concluded implements sink.
func (c *comparer) concluded(_ context.Context, p *part) error {
	result, err := p.row(c.number)
	if err != nil {
		return err
	}
	c.results = append(c.results, reconciliationdb.ListRunPartitionsRow{
		PartitionID: p.id, Stage: int16(p.stage), Account: p.account, Currency: p.currency, Matches: result.Matches, ByPass: result.ByPass,
		Ours: result.Ours, Theirs: result.Theirs, OursMatched: result.OursMatched, TheirsMatched: result.TheirsMatched, Settled: result.Settled,
		Breaks: result.Breaks, Digest: result.Digest,
	})
	return nil
}

// compare compares the digests, what is stored of partitions, and the signature.
func (c *comparer) compare(ctx context.Context, stored *run, rulesHash []byte) error {
	computed, _, err := runDigest(stored.number, stored.asOf, rulesHash, c.results)
	if err != nil {
		return err
	}
	c.computed = computed
	rows, err := c.store.q.ListRunPartitions(ctx, stored.number)
	if err != nil {
		return fmt.Errorf("reading what the run came to: %w", err)
	}
	for _, is := range rows {
		at := slices.IndexFunc(c.results, func(r reconciliationdb.ListRunPartitionsRow) bool { return r.PartitionID == is.PartitionID })
		name := partition{stage: stage(is.Stage), account: is.Account, currency: is.Currency}
		if at < 0 {
			c.differ("%s has a result, and comes to none", name)
			continue
		}
		if err := c.comparePartition(name, is, c.results[at]); err != nil {
			return err
		}
	}
	n, err := c.store.q.CountStoredMatches(ctx, stored.number)
	if err != nil {
		return fmt.Errorf("counting matches: %w", err)
	}
	if n != c.verification.matches {
		c.differ("%d matches are stored, and it comes to %d", n, c.verification.matches)
	}
	known, err := c.store.q.IsSigningKey(ctx, stored.publicKey)
	if err != nil {
		return fmt.Errorf("looking for the key: %w", err)
	}
	c.signature = known && len(stored.publicKey) == ed25519.PublicKeySize && ed25519.Verify(stored.publicKey, stored.digest, stored.signature)
	if !c.signature {
		c.differ("the signature is not that of the digest by a key of this system")
	}
	return nil
}

// comparePartition says what of a partition is other than it was.
func (c *comparer) comparePartition(name partition, is, now reconciliationdb.ListRunPartitionsRow) error {
	counted := func(r reconciliationdb.ListRunPartitionsRow) [6]int32 {
		return [...]int32{r.Matches, r.Ours, r.Theirs, r.OursMatched, r.TheirsMatched, r.Settled}
	}
	if counted(is) != counted(now) || !slices.Equal(is.ByPass, now.ByPass) {
		c.differ("%s is stored with %v matches, movements and matched ones, %v by pass, and comes to %v, %v", name, counted(is), is.ByPass, counted(now), now.ByPass)
	}
	before, err := codesOf(is.Breaks)
	if err != nil {
		return err
	}
	after, err := codesOf(now.Breaks)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		c.differ("in %s was found %v, and is %v", name, codeTexts(before), codeTexts(after))
	}
	if !bytes.Equal(is.Digest, now.Digest) {
		c.differ("%s came to %x, and comes to %x: a movement, a match or a finding of it is another one", name, is.Digest, now.Digest)
	}
	return nil
}

func codeTexts(all []codeCount) map[breaks.Code]int64 {
	texts := map[breaks.Code]int64{}
	for _, c := range all {
		texts[c.code] = c.count
	}
	return texts
}
