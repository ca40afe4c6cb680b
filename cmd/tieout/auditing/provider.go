package auditing

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	"github.com/tieout/tieout/services/payment/pspsim"
)

// ErrProvider says that the provider's journal could not be read.
var ErrProvider = errors.New("reading the provider's journal")

// charge is a charge or an authorization at the provider, with what became of it; amounts are in minor units.
type charge struct {
	id, key, currency string
	asked             int64 // charged, or set aside
	setAside          bool  // the money is: it was neither captured nor voided
	takings           int   // how often money was taken
	money
}

func (c *charge) amount() *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: c.currency, MinorUnits: c.asked}
}

// follow notes what became of the charge.
func (c *charge) follow(e pspsim.Entry) {
	switch e.Type {
	case pspsim.TypeCharge, pspsim.TypeCapture:
		c.takings++
		c.taken += e.AmountMinor
		c.setAside = false
	case pspsim.TypeAuthorize:
		c.setAside = true
	case pspsim.TypeVoid:
		c.setAside = false
	case pspsim.TypeRefund:
		c.refunded += e.AmountMinor
	case pspsim.TypeChargeback:
		c.chargedBack += e.AmountMinor
	case pspsim.TypeChargebackReversal:
		c.chargedBack -= e.AmountMinor
	}
}

// readJournal gives the provider's charges and authorizations by the order they were for; none when there is no provider
// to ask.
func (c *comparer) readJournal(ctx context.Context) (map[string][]*charge, error) {
	byOrder := map[string][]*charge{}
	if c.providerURL == "" {
		return byOrder, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.providerURL, "/")+"/v1/journal", nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: it answered %s", ErrProvider, answer.Status)
	}
	byID := map[string]*charge{}
	for in := json.NewDecoder(bufio.NewReader(answer.Body)); ; {
		var e pspsim.Entry
		if err := in.Decode(&e); errors.Is(err, io.EOF) {
			return byOrder, nil
		} else if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProvider, err)
		}
		if e.Type == pspsim.TypeCharge || e.Type == pspsim.TypeAuthorize {
			made := &charge{id: e.ID, key: e.IdempotencyKey, currency: e.Currency, asked: e.AmountMinor}
			byID[e.ID], byOrder[e.Reference] = made, append(byOrder[e.Reference], made)
			made.follow(e)
		} else if of := byID[e.Charge]; of != nil {
			of.follow(e)
		}
	}
}
