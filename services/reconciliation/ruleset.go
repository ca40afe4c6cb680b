package reconciliation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
	"github.com/tieout/tieout/services/reconciliation/rules"
)

// The methods that make answers to clients' keys.
const (
	methodPutRules      = "PutRuleSet"
	methodActivateRules = "ActivateRuleSet"
)

// ruleSet is a version of the rules.
type ruleSet struct {
	version         int32
	document        string
	hash            []byte
	note, createdBy string
	createdAt       time.Time
	active          bool
	activations     []reconciliationdb.ListActivationsRow
}

// parse reads the document.
func (r *ruleSet) parse() (rules.Set, error) {
	set, err := rules.Parse([]byte(r.document))
	if err != nil {
		return set, fmt.Errorf("reading version %d of the rules: %w", r.version, err)
	}
	return set, nil
}

// ensureRules makes the first version, where there is none.
func (r *reconciliation) ensureRules(ctx context.Context) error {
	document, err := rules.Default().Document()
	if err != nil {
		return err
	}
	hash := sha256.Sum256(document)
	err = newStore(r.pool).q.PutFirstRules(ctx, reconciliationdb.PutFirstRulesParams{
		Document: document, Hash: hash[:], Note: "the rules that a system begins with", CreatedBy: serviceName,
	})
	if err != nil {
		return fmt.Errorf("writing the first rules: %w", err)
	}
	return r.judgeByActive(ctx)
}

// judgeByActive has breaks judged by the rules that are active. Replicas notice before long which ones another has activated.
func (r *reconciliation) judgeByActive(ctx context.Context) error {
	active, err := newStore(r.pool).q.ActiveRules(ctx)
	if err != nil {
		return fmt.Errorf("reading which rules are active: %w", err)
	}
	return r.judgeBy(ctx, active)
}

// judging is how breaks are judged, as a version of the rules has it.
type judging struct {
	version int32
	policy  breaks.Policy
}

// policy is how breaks are judged.
func (r *reconciliation) policy() breaks.Policy {
	if by := r.judging.Load(); by != nil {
		return by.policy
	}
	return breaks.DefaultPolicy()
}

// judgeBy has breaks judged by a version of the rules, from now on.
func (r *reconciliation) judgeBy(ctx context.Context, version int32) error {
	if by := r.judging.Load(); by != nil && by.version == version {
		return nil
	}
	found, err := newStore(r.pool).ruleSet(ctx, version)
	if err != nil {
		return err
	}
	set, err := found.parse()
	if err != nil {
		return err
	}
	r.judging.Store(&judging{version, set.Policy()})
	return nil
}

// putRules makes a version of a document.
func (r *reconciliation) putRules(ctx context.Context, from request, document, note string) (int32, error) {
	set, err := rules.Parse([]byte(document))
	if err != nil {
		return 0, rpcerr.ForField(rpcerr.RequestInvalid, "document", "%v", err)
	}
	whole, err := set.Document()
	if err != nil {
		return 0, err
	}
	hash := sha256.Sum256(whole)
	asked := from.idem(methodPutRules, r.keyTTL, idem.Field{Name: "document", Value: document}, idem.Field{Name: "note", Value: note})
	return idem.Once(ctx, r.pool, asked, func(ctx context.Context, tx *pg.Tx) (int32, string, error) {
		q := newStore(tx).q
		if err := q.LockRules(ctx); err != nil {
			return 0, "", fmt.Errorf("locking rules: %w", err)
		}
		version, err := q.PutRules(ctx, reconciliationdb.PutRulesParams{Document: whole, Hash: hash[:], Note: note, CreatedBy: from.caller})
		if err != nil {
			return 0, "", fmt.Errorf("writing rules: %w", err)
		}
		return version, versionName(version), nil
	})
}

func versionName(version int32) string { return "version " + strconv.Itoa(int(version)) }

// activateRules has runs from now on go by a version.
func (r *reconciliation) activateRules(ctx context.Context, from request, version int32, reason string) error {
	asked := from.idem(methodActivateRules, r.keyTTL,
		idem.Field{Name: "version", Value: strconv.Itoa(int(version))}, idem.Field{Name: "reason", Value: reason})
	_, err := idem.Once(ctx, r.pool, asked, func(ctx context.Context, tx *pg.Tx) (struct{}, string, error) {
		st := newStore(tx)
		if _, err := st.ruleSet(ctx, version); err != nil {
			return struct{}{}, "", err
		}
		err := st.q.ActivateRules(ctx, reconciliationdb.ActivateRulesParams{Version: version, ActivatedBy: from.caller, Reason: reason})
		if err != nil {
			return struct{}{}, "", fmt.Errorf("activating rules: %w", err)
		}
		return struct{}{}, versionName(version), nil
	})
	if err != nil {
		return err
	}
	return r.judgeByActive(ctx)
}

// ruleSet gives a version; 0 for the active one. NOT_FOUND when there is none.
func (s store) ruleSet(ctx context.Context, version int32) (*ruleSet, error) {
	active, err := s.q.ActiveRules(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading which rules are active: %w", err)
	}
	if version == 0 {
		version = active
	}
	row, err := s.q.GetRules(ctx, version)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, rpcerr.ForField(rpcerr.NotFound, "version", "there is no version %d of the rules", version)
	}
	if err != nil {
		return nil, fmt.Errorf("reading rules: %w", err)
	}
	found := ruleSetOf(row, active)
	return found, s.completeRules(ctx, []*ruleSet{found})
}

// ruleSets gives up to n versions before one, newest first.
func (s store) ruleSets(ctx context.Context, before, n int32) ([]*ruleSet, error) {
	active, err := s.q.ActiveRules(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading which rules are active: %w", err)
	}
	if before == 0 {
		before = math.MaxInt32
	}
	rows, err := s.q.ListRules(ctx, reconciliationdb.ListRulesParams{Before: before, N: n})
	if err != nil {
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	all := make([]*ruleSet, len(rows))
	for i, row := range rows {
		all[i] = ruleSetOf(row, active)
	}
	return all, s.completeRules(ctx, all)
}

func ruleSetOf(row reconciliationdb.RuleSet, active int32) *ruleSet {
	return &ruleSet{
		version: row.Version, document: string(row.Document), hash: row.Hash, note: row.Note, createdBy: row.CreatedBy,
		createdAt: row.CreatedAt, active: row.Version == active,
	}
}

// completeRules reads when versions were activated.
func (s store) completeRules(ctx context.Context, all []*ruleSet) error {
	versions, byVersion := make([]int32, len(all)), make(map[int32]*ruleSet, len(all))
	for i, r := range all {
		versions[i], byVersion[r.version] = r.version, r
	}
	rows, err := s.q.ListActivations(ctx, versions)
	if err != nil {
		return fmt.Errorf("listing activations: %w", err)
	}
	for _, a := range rows {
		byVersion[a.Version].activations = append(byVersion[a.Version].activations, a)
	}
	return nil
}
