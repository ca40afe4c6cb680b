package reconciliation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	paymentv1 "github.com/tieout/tieout/gen/tieout/payment/v1"
	sagav1 "github.com/tieout/tieout/gen/tieout/saga/v1"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/services/reconciliation/tieout"
)

// owners are the services that own what is tied out.
type owners struct {
	sagas     sagav1.SagaServiceClient
	payments  paymentv1.PaymentServiceClient
	ledger    paymentv1.LedgerServiceClient
	stock     inventoryv1.InventoryServiceClient
	shipments shipmentv1.ShipmentServiceClient
}

// dialOwners connects to them.
func dialOwners(env *service.Env, cfg Config) (o owners, err error) {
	orchestrator, err := env.Dial("orchestrator", cfg.OrchestratorAddr)
	if err != nil {
		return o, err
	}
	payment, err := env.Dial("payment", cfg.PaymentAddr)
	if err != nil {
		return o, err
	}
	inventory, err := env.Dial("inventory", cfg.InventoryAddr)
	if err != nil {
		return o, err
	}
	shipment, err := env.Dial("shipment", cfg.ShipmentAddr)
	if err != nil {
		return o, err
	}
	return owners{
		sagas: sagav1.NewSagaServiceClient(orchestrator), payments: paymentv1.NewPaymentServiceClient(payment),
		ledger: paymentv1.NewLedgerServiceClient(payment), stock: inventoryv1.NewInventoryServiceClient(inventory),
		shipments: shipmentv1.NewShipmentServiceClient(shipment),
	}, nil
}

// asking bounds what one question to an owner may take.
const asking = 10 * time.Second

// page is how many rows are asked for at once.
const page = 1000

// ask asks all owners about an order, and the ledger where the money is not what is known of it.
func (o owners) ask(ctx context.Context, of subject, known tieout.Facts) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	a := answer{telling: telling{about: of}, order: tieout.Order{Recurring: of.recurring}}
	keys, err := o.askSaga(ctx, &a)
	if err != nil {
		return a, fmt.Errorf("asking about the saga: %w", err)
	}
	payments, err := o.askPayments(ctx, &a)
	if err != nil {
		return a, fmt.Errorf("asking about payments: %w", err)
	}
	if !of.recurring {
		if err := o.askShipments(ctx, &a); err != nil {
			return a, fmt.Errorf("asking about shipments: %w", err)
		}
		if err := o.askStock(ctx, &a, keys); err != nil {
			return a, fmt.Errorf("asking about reservations: %w", err)
		}
	}
	if a.sums() == [3]int64{known.Captured, known.Refunded, known.ChargedBack} {
		return a, nil
	}
	for _, p := range payments {
		err := o.booked(ctx, &paymentv1.ListEntriesRequest{PaymentId: p.GetPaymentId()}, map[string]*paymentv1.Payment{p.GetPaymentId(): p},
			func(m []ourMovement) error { a.movements = append(a.movements, m...); return nil })
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// askSaga asks where the order's saga stands, and gives the keys of its steps.
func (o owners) askSaga(ctx context.Context, a *answer) (keys []string, err error) {
	found, err := o.sagas.GetSaga(ctx, &sagav1.GetSagaRequest{SagaId: a.about.String()})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a.addSaga(found.GetSaga())
	for _, s := range found.GetSaga().GetSteps() {
		keys = append(keys, s.GetIdempotencyKey())
	}
	return keys, nil
}

// askPayments asks for the order's payments, each with its operations.
func (o owners) askPayments(ctx context.Context, a *answer) ([]*paymentv1.Payment, error) {
	var all []*paymentv1.Payment
	for token := ""; ; {
		list, err := o.payments.ListPayments(ctx, &paymentv1.ListPaymentsRequest{Reference: a.about.String(), PageSize: page, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, p := range list.GetPayments() {
			whole, err := o.payments.GetPayment(ctx, &paymentv1.GetPaymentRequest{PaymentId: p.GetPaymentId()})
			if err != nil {
				return nil, err
			}
			all = append(all, whole.GetPayment())
			if err := a.addPayment(whole.GetPayment()); err != nil {
				return nil, err
			}
		}
		if token = list.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

func (o owners) askShipments(ctx context.Context, a *answer) error {
	for token := ""; ; {
		list, err := o.shipments.ListShipments(ctx, &shipmentv1.ListShipmentsRequest{Reference: a.about.String(), PageSize: page, PageToken: token})
		if err != nil {
			return err
		}
		for _, s := range list.GetShipments() {
			if err := a.addShipment(s); err != nil {
				return err
			}
		}
		if token = list.GetNextPageToken(); token == "" {
			return nil
		}
	}
}

// askStock asks for what the saga has reserved, by the keys of its steps.
func (o owners) askStock(ctx context.Context, a *answer, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	found, err := o.stock.BatchGetReservation(ctx, &inventoryv1.BatchGetReservationRequest{IdempotencyKeys: keys})
	if err != nil {
		return err
	}
	for _, r := range found.GetReservations() {
		if err := a.addReservation(r.GetReservation()); err != nil {
			return err
		}
	}
	return nil
}

// booked gives the movements that the ledger has, a page at a time, of the entries that a request asks for. Payments are those
// that are known.
func (o owners) booked(ctx context.Context, r *paymentv1.ListEntriesRequest, payments map[string]*paymentv1.Payment, each func([]ourMovement) error) error {
	r.Account, r.PageSize = paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, page
	var entries []*paymentv1.Entry
	for {
		list, err := o.ledger.ListEntries(ctx, r)
		if err != nil {
			return fmt.Errorf("asking the ledger: %w", err)
		}
		entries = append(entries, list.GetEntries()...)
		whole := len(entries)
		if r.PageToken = list.GetNextPageToken(); r.PageToken != "" { // the last journal may go on
			whole = slices.IndexFunc(entries, func(e *paymentv1.Entry) bool { return e.GetJournalId() == entries[len(entries)-1].GetJournalId() })
		}
		if err := each(movementsFrom(entries[:whole], payments)); err != nil {
			return err
		}
		if entries = entries[whole:]; r.PageToken == "" {
			return nil
		}
	}
}

// bookedIn gives the movements that the ledger has in a minute, a page at a time.
func (o owners) bookedIn(ctx context.Context, from time.Time, each func([]ourMovement) error) error {
	return o.booked(ctx, &paymentv1.ListEntriesRequest{Since: timestamppb.New(from), Until: timestamppb.New(from.Add(time.Minute))}, nil, each)
}

// complete fills in what the ledger does not say of movements: the charges that they belong to.
func (o owners) complete(ctx context.Context, movements []ourMovement) error {
	known := map[string]*paymentv1.Payment{}
	for i, m := range movements {
		p := known[m.paymentID]
		if p == nil {
			whole, err := o.payments.GetPayment(ctx, &paymentv1.GetPaymentRequest{PaymentId: m.paymentID})
			if err != nil {
				return fmt.Errorf("asking about payments: %w", err)
			}
			p = whole.GetPayment()
			known[m.paymentID] = p
		}
		movements[i].of(p)
	}
	return nil
}

// turnover gives what the ledger says that moved at the provider, from one whole minute on and before another, and how far that
// goes. The zero time is before the first one.
func (o owners) turnover(ctx context.Context, since, until time.Time) (moved map[minute]int64, through time.Time, err error) {
	r := &paymentv1.GetTurnoverRequest{Account: paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING, Until: timestamppb.New(until)}
	if !since.IsZero() {
		r.Since = timestamppb.New(since)
	}
	found, err := o.ledger.GetTurnover(ctx, r)
	if err != nil {
		return nil, through, fmt.Errorf("asking for the turnover: %w", err)
	}
	moved = map[minute]int64{}
	for _, t := range found.GetTurnovers() {
		sum := amountFromEvent(t.GetSum())
		moved[minute{t.GetMinute().AsTime(), sum.Currency, int16(t.GetKind())}] = sum.Minor //nolint:gosec // an enum of few
	}
	return moved, found.GetThrough().AsTime(), nil
}

// held gives what the ledger says that the provider holds, by currency, of what was written before a time.
func (o owners) held(ctx context.Context, before time.Time) (map[string]int64, error) {
	found, err := o.ledger.GetBalances(ctx, &paymentv1.GetBalancesRequest{
		AsOf: &paymentv1.GetBalancesRequest_AsOfTime{AsOfTime: timestamppb.New(before.Add(-time.Microsecond))},
	})
	if err != nil {
		return nil, fmt.Errorf("asking for balances: %w", err)
	}
	held := map[string]int64{}
	for _, b := range found.GetBalances() {
		if b.GetAccount() == paymentv1.LedgerAccount_LEDGER_ACCOUNT_PROVIDER_CLEARING {
			held[b.GetBalance().GetCurrencyCode()] = b.GetBalance().GetMinorUnits()
		}
	}
	return held, nil
}
