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

// charge is money that the provider took, and how much of it went back, in minor units.
type charge struct {
	id, key, currency string
	taken, refunded   int64
}

func (c *charge) amount() *commonv1.Amount {
	return &commonv1.Amount{CurrencyCode: c.currency, MinorUnits: c.taken}
}

// readJournal gives the provider's charges by the order they were for; none when there is no provider to ask.
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
		switch e.Type {
		case pspsim.TypeCharge:
			made := &charge{id: e.ID, key: e.IdempotencyKey, currency: e.Currency, taken: e.AmountMinor}
			byID[e.ID], byOrder[e.Reference] = made, append(byOrder[e.Reference], made)
		case pspsim.TypeRefund:
			if of := byID[e.Charge]; of != nil {
				of.refunded += e.AmountMinor
			}
		}
	}
}
