package reconciliation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/services/reconciliation/breaks"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// sight is what a watcher sees, on its way into the database.
type sight struct {
	store   store
	policy  breaks.Policy
	watcher watcher
	run     int32
	columns sightColumns
	opened  map[uuid.UUID]bool
	seen    seen
	history breakHistory
	events  []bus.Event
}

// sightColumns are sightings turned by 90 degrees, for unnest: by id, so that two watchers do not wait for each other in a
// circle, and each once.
type sightColumns struct {
	sightings []sighting
	ids       []uuid.UUID
	at        map[uuid.UUID]int
	codes, subjects, accounts, currencies,
	orderIDs, paymentIDs []string
	amounts    []int64
	matched    []bool
	severities []int16
	details    [][]byte
}

func (c *sightColumns) add(policy breaks.Policy, sightings []sighting) {
	c.at = make(map[uuid.UUID]int, len(sightings))
	type identified struct {
		id uuid.UUID
		sighting
	}
	all := make([]identified, 0, len(sightings))
	for _, s := range sightings {
		if s.code != breaks.TimingOpen {
			all = append(all, identified{s.id(), s})
		}
	}
	slices.SortStableFunc(all, func(a, b identified) int { return slices.Compare(a.id[:], b.id[:]) })
	for _, s := range all {
		if _, twice := c.at[s.id]; twice {
			continue
		}
		c.at[s.id] = len(c.ids)
		c.sightings, c.ids = append(c.sightings, s.sighting), append(c.ids, s.id)
		c.codes, c.subjects = append(c.codes, string(s.code)), append(c.subjects, s.subject)
		c.accounts, c.currencies = append(c.accounts, s.account), append(c.currencies, string(s.amount.Currency))
		c.amounts, c.matched = append(c.amounts, s.amount.Minor), append(c.matched, s.matched)
		c.severities = append(c.severities, int16(policy.Base(s.code, s.amount)))
		c.orderIDs, c.paymentIDs = append(c.orderIDs, s.orderID), append(c.paymentIDs, s.paymentID)
		c.details = append(c.details, []byte(cmp.Or(s.detail, "{}")))
	}
}

// id is the id of the break that the sighting is of.
func (s sighting) id() uuid.UUID {
	keys := func(side []sighted) [][16]byte {
		all := make([][16]byte, len(side))
		for i, m := range side {
			all[i] = m.key
		}
		return all
	}
	return breaks.Identity(s.code, s.subject, keys(s.ours), keys(s.theirs))
}

// open makes breaks of what was never seen before.
func (s *sight) open(ctx context.Context) error {
	c := &s.columns
	if len(c.ids) == 0 {
		return nil
	}
	fresh, err := s.store.q.OpenBreaks(ctx, reconciliationdb.OpenBreaksParams{
		Watcher: s.watcher.name, Scope: s.watcher.scope, RunNumber: s.run, OpenedOn: breakDate(breaks.DayOf(time.Now())),
		Ids: c.ids, Codes: c.codes, Subjects: c.subjects, Accounts: c.accounts, Currencies: c.currencies, AmountsMinor: c.amounts,
		Matched: c.matched, BaseSeverities: c.severities, OrderIds: c.orderIDs, PaymentIds: c.paymentIDs, Details: c.details,
	})
	if err != nil {
		return fmt.Errorf("opening breaks: %w", err)
	}
	s.seen.opened, s.opened = len(fresh), make(map[uuid.UUID]bool, len(fresh))
	var movements reconciliationdb.InsertBreakMovementsParams
	for _, id := range fresh {
		i := c.at[id]
		s.opened[id] = true
		for _, side := range []struct {
			rows []sighted
			ours bool
		}{{c.sightings[i].ours, true}, {c.sightings[i].theirs, false}} {
			for _, m := range side.rows {
				movements.BreakIds, movements.MovementIds = append(movements.BreakIds, id), append(movements.MovementIds, m.id)
				movements.Ours = append(movements.Ours, side.ours)
			}
		}
		s.history.add(id, 1, breaks.See, c.details[i])
		s.events = append(s.events, eventBreakOpened(id, c.sightings[i], breaks.Severity(c.severities[i])))
	}
	if err := s.store.q.InsertBreakMovements(ctx, movements); err != nil {
		return fmt.Errorf("writing movements of breaks: %w", err)
	}
	return nil
}

// again goes through what was there already.
func (s *sight) again(ctx context.Context) error {
	c := &s.columns
	if s.seen.opened == len(c.ids) {
		return nil
	}
	p := reconciliationdb.LockSeenParams{Watcher: s.watcher.name, Scope: s.watcher.scope}
	for i, id := range c.ids {
		if s.opened[id] {
			continue
		}
		p.Ids, p.Accounts, p.Currencies = append(p.Ids, id), append(p.Accounts, c.accounts[i]), append(p.Currencies, c.currencies[i])
		p.AmountsMinor, p.Matched = append(p.AmountsMinor, c.amounts[i]), append(p.Matched, c.matched[i])
		p.OrderIds, p.PaymentIds = append(p.OrderIds, c.orderIDs[i]), append(p.PaymentIds, c.paymentIDs[i])
		p.Details = append(p.Details, c.details[i])
	}
	known, err := s.store.q.LockSeen(ctx, p)
	if err != nil {
		return fmt.Errorf("holding breaks: %w", err)
	}
	u := reconciliationdb.UpdateSeenParams{Watcher: s.watcher.name, Scope: s.watcher.scope}
	for _, b := range known {
		from := breaks.State(b.State)
		to, _ := breaks.Next(from, breaks.Resolution(b.Resolution), breaks.See)
		reopened := from == breaks.Resolved && to != from
		if reopened {
			s.seen.reopened++
			s.events = append(s.events, eventBreakReopened(b.ID, b.Code, cmp.Or(c.orderIDs[c.at[b.ID]], b.OrderID), ""))
		} else {
			s.seen.known++
		}
		if !reopened && (to == breaks.Resolved || !b.Changed) {
			continue
		}
		i := c.at[b.ID]
		u.Ids, u.States, u.Accounts = append(u.Ids, b.ID), append(u.States, int16(to)), append(u.Accounts, c.accounts[i])
		u.Currencies, u.AmountsMinor = append(u.Currencies, c.currencies[i]), append(u.AmountsMinor, c.amounts[i])
		u.Matched, u.BaseSeverities = append(u.Matched, c.matched[i]), append(u.BaseSeverities, c.severities[i])
		u.OrderIds, u.PaymentIds = append(u.OrderIds, c.orderIDs[i]), append(u.PaymentIds, c.paymentIDs[i])
		u.Details = append(u.Details, c.details[i])
		s.history.add(b.ID, b.LastEvent+1, breaks.See, c.details[i])
	}
	if len(u.Ids) == 0 {
		return nil
	}
	if err := s.store.q.UpdateSeen(ctx, u); err != nil {
		return fmt.Errorf("updating breaks: %w", err)
	}
	return nil
}

// close ends what the watcher does not see any more.
func (s *sight) close(ctx context.Context) error {
	watched, err := s.store.q.WatchedBreaks(ctx, reconciliationdb.WatchedBreaksParams{Watcher: s.watcher.name, Scope: s.watcher.scope})
	if err != nil {
		return fmt.Errorf("looking for breaks of the scope: %w", err)
	}
	watched = slices.DeleteFunc(watched, func(id uuid.UUID) bool {
		_, seen := s.columns.at[id]
		return seen
	})
	if len(watched) == 0 {
		return nil
	}
	gone, err := s.store.q.LockUnseen(ctx, watched)
	if err != nil {
		return fmt.Errorf("holding breaks that are not seen any more: %w", err)
	}
	var p reconciliationdb.CloseUnseenParams
	for _, b := range gone {
		verb, resolution := breaks.Vanish, breaks.Vanished
		if b.MovementsMatched {
			verb, resolution = breaks.Match, breaks.Matched
		}
		if to, ok := breaks.Next(breaks.State(b.State), breaks.Resolution(b.Resolution), verb); !ok || to != breaks.Resolved {
			continue
		}
		p.Ids, p.Resolutions = append(p.Ids, b.ID), append(p.Resolutions, int16(resolution))
		s.history.add(b.ID, b.LastEvent+1, verb, []byte("{}"))
		s.events = append(s.events, eventBreakResolved(b.ID, b.Code, b.OrderID, resolution, ""))
	}
	s.seen.vanished = len(p.Ids)
	if len(p.Ids) == 0 {
		return nil
	}
	if err := s.store.q.CloseUnseen(ctx, p); err != nil {
		return fmt.Errorf("closing breaks: %w", err)
	}
	return nil
}

// breakHistory is events of breaks that are to be written together.
type breakHistory struct {
	ids     []uuid.UUID
	numbers []int32
	verbs   []string
	details [][]byte
}

func (h *breakHistory) add(id uuid.UUID, number int32, verb breaks.Verb, detail []byte) {
	h.ids, h.numbers = append(h.ids, id), append(h.numbers, number)
	h.verbs, h.details = append(h.verbs, string(verb)), append(h.details, detail)
}

func (h *breakHistory) write(ctx context.Context, st store, actor, reason string) error {
	if len(h.ids) == 0 {
		return nil
	}
	err := st.q.InsertBreakEvents(ctx, reconciliationdb.InsertBreakEventsParams{
		BreakIds: h.ids, Numbers: h.numbers, Actor: actor, Verbs: h.verbs, Reason: reason, Details: h.details,
	})
	if err != nil {
		return fmt.Errorf("writing history of breaks: %w", err)
	}
	return nil
}
