package reconciliation

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/tieout/tieout/pkg/money"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/services/reconciliation/match"
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// happening is what can happen to the money of a payment. It is part of a movement's key: the same words for ever.
type happening string

const (
	wasCharged     happening = "charge"
	wasRefunded    happening = "refund"
	wasChargedBack happening = "chargeback"
	wasReversed    happening = "chargeback reversal"
	wasDeclined    happening = "declined"
	wasVoided      happening = "voided"
	refundRefused  happening = "refund refused"
	maybeCharged   happening = "charge in doubt"
	maybeRefunded  happening = "refund in doubt"
)

// journalOf is the kind of journal that books what happened, as the ledger numbers them; what moved no money has none.
var journalOf = map[happening]int16{wasCharged: 1, wasRefunded: 2, wasChargedBack: 3, wasReversed: 4}

// kindOf and standingOf are what it is for those who match.
func (h happening) kindOf() match.Kind {
	switch h {
	case wasRefunded, maybeRefunded, refundRefused:
		return match.KindRefund
	case wasChargedBack:
		return match.KindChargeback
	case wasReversed:
		return match.KindChargebackReversal
	}
	return match.KindCharge
}

func (h happening) standingOf() match.Standing {
	switch h {
	case maybeCharged, maybeRefunded:
		return match.InDoubt
	case wasDeclined, wasVoided, refundRefused:
		return match.Refused
	}
	return match.Booked
}

// movementKey is the key of what happened to a payment: the same whoever tells it, and when. Of what can happen to it more
// than once, id is the provider's id of it, or the key under which the provider was asked.
func movementKey(paymentID string, what happening, id string) uuid.UUID {
	return new(identity).of(paymentID, string(what), id).key()
}

// ourMovement is money of ours that moved at the provider, may have, or was refused.
type ourMovement struct {
	key       uuid.UUID
	what      happening
	paymentID string
	reference string // what it is for: an order, a recurring payment
	amount    money.Amount
	fee       money.Amount // that the ledger has with it; may be in another currency
	bookedAt  time.Time    // when the ledger took it
	// providerID is the provider's id of what happened, chargeID that of the charge. ProviderKey is the key under which the
	// provider knows the charge; of a refund, its own.
	providerID, chargeID, providerKey string
	note                              string
}

// signed is what the movement is to us, in minor units.
func (m ourMovement) signed() int64 {
	if k := m.what.kindOf(); k == match.KindRefund || k == match.KindChargeback {
		return -m.amount.Minor
	}
	return m.amount.Minor
}

// keptFee is the fee, where it is kept of the amount itself.
func (m ourMovement) keptFee() int64 {
	if m.fee.Currency != m.amount.Currency {
		return 0
	}
	return m.fee.Minor
}

// insertMovements writes those movements that are not there yet, each once, and gives them. They go into the delivery that is
// coming in, which is held to the end of the transaction.
func (r *reconciliation) insertMovements(ctx context.Context, tx *pg.Tx, told []ourMovement) ([]ourMovement, error) {
	told = distinct(told)
	if len(told) == 0 {
		return nil, nil
	}
	st := newStore(tx)
	if err := r.ensurePartitions(ctx, tx, told); err != nil {
		return nil, err
	}
	into, err := st.openDelivery(ctx)
	if err != nil {
		return nil, err
	}
	p := reconciliationdb.InsertMovementsParams{Delivery: into, Stage: int16(stageProvider), Account: defaultAccount}
	for _, m := range told {
		p.Keys, p.Currencies = append(p.Keys, m.key), append(p.Currencies, string(m.amount.Currency))
		p.Kinds, p.Standings = append(p.Kinds, int16(m.what.kindOf())), append(p.Standings, int16(m.what.standingOf()))
		p.Amounts, p.Fees, p.Times = append(p.Amounts, m.signed()), append(p.Fees, m.keptFee()), append(p.Times, m.bookedAt)
		p.ProviderIds, p.ParentIds = append(p.ProviderIds, m.providerID), append(p.ParentIds, m.chargeID)
		p.IdemKeys, p.Refs = append(p.IdemKeys, m.providerKey), append(p.Refs, m.reference)
		p.PaymentIds, p.Notes = append(p.PaymentIds, m.paymentID), append(p.Notes, m.note)
	}
	fresh, err := st.q.InsertMovements(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("writing movements: %w", err)
	}
	written := make(map[uuid.UUID]bool, len(fresh))
	for _, key := range fresh {
		written[key] = true
	}
	return slices.DeleteFunc(told, func(m ourMovement) bool { return !written[m.key] }), nil
}

// distinct leaves one of each movement, in the order of the keys, which is the same for all who write.
func distinct(told []ourMovement) []ourMovement {
	told = slices.Clone(told)
	slices.SortStableFunc(told, func(a, b ourMovement) int { return bytes.Compare(a.key[:], b.key[:]) })
	return slices.CompactFunc(told, func(a, b ourMovement) bool { return a.key == b.key })
}

// ensurePartitions makes the partitions of movements' currencies, where they are not known to be there.
func (r *reconciliation) ensurePartitions(ctx context.Context, tx *pg.Tx, told []ourMovement) error {
	var accounts, currencies []string
	for _, m := range told {
		c := string(m.amount.Currency)
		if _, known := r.currencies.Load(c); !known && !slices.Contains(currencies, c) {
			accounts, currencies = append(accounts, defaultAccount), append(currencies, c)
		}
	}
	if len(currencies) == 0 {
		return nil
	}
	_, err := newStore(tx).q.PutPartitions(ctx, reconciliationdb.PutPartitionsParams{
		Stage: int16(stageProvider), Accounts: accounts, Currencies: currencies,
	})
	if err != nil {
		return fmt.Errorf("making partitions: %w", err)
	}
	tx.AfterCommit(func() {
		for _, c := range currencies {
			r.currencies.Store(c, true)
		}
	})
	return nil
}

// openDelivery holds the delivery that is coming in, to the end of the transaction, and makes one when there is none.
func (s store) openDelivery(ctx context.Context) (int32, error) {
	for {
		ids, err := s.q.LockOpenDelivery(ctx)
		if err != nil {
			return 0, fmt.Errorf("holding delivery: %w", err)
		}
		if len(ids) > 0 {
			return ids[0], nil
		}
		if err := s.q.MakeOpenDelivery(ctx); err != nil {
			return 0, fmt.Errorf("making delivery: %w", err)
		}
	}
}

// Movements that came in by events are accepted in deliveries of some seconds: one for each transaction would use up the
// numbers of deliveries within months.
const (
	acceptEvery = 5 * time.Second
	acceptAfter = 5 * time.Second
)

// acceptOnce accepts the delivery that is coming in, when it is old enough and has something.
func (r *reconciliation) acceptOnce(ctx context.Context) (again bool, err error) {
	if err := newStore(r.pool).q.AcceptOpenDelivery(ctx, acceptAfter.Seconds()); err != nil {
		return false, fmt.Errorf("accepting movements: %w", err)
	}
	return false, nil
}
