package orchestrator

import (
	"context"
	"fmt"
	"sync"

	"github.com/tieout/tieout/pkg/rpcerr"
)

// maxKnownSKUs bounds the memory of the catalogue; past it, it is forgotten and learnt again.
const maxKnownSKUs = 1_000_000

// catalogue refuses orders for SKUs that do not exist, before anything is stored. It remembers the SKUs that
// inventory knows – a SKU never stops being known – and asks only about others. It decides nothing about stock,
// and where inventory does not answer it lets the order pass: reserving decides.
type catalogue struct {
	// unknown asks inventory which of some SKUs it does not know, by their index.
	unknown func(ctx context.Context, skus []string) ([]int, error)

	mu    sync.RWMutex
	known map[string]struct{}
}

func newCatalogue(unknown func(context.Context, []string) ([]int, error)) *catalogue {
	return &catalogue{unknown: unknown, known: map[string]struct{}{}}
}

// check refuses lines of unknown SKUs with SKU_UNKNOWN.
func (c *catalogue) check(ctx context.Context, lines []line) error {
	skus, lineOf := c.notRemembered(lines)
	if len(skus) == 0 {
		return nil
	}
	unknown, err := c.unknown(ctx, skus)
	if err != nil {
		return nil //nolint:nilerr // inventory does not answer: reserving decides
	}
	if len(unknown) == 0 {
		c.remember(skus)
		return nil
	}
	var fields []rpcerr.Field
	for _, i := range unknown {
		fields = append(fields, rpcerr.Field{
			Path: fmt.Sprintf("lines[%d].sku", lineOf[i]), Description: fmt.Sprintf("%q is not a known SKU", skus[i]),
		})
	}
	return rpcerr.ForFields(rpcerr.SKUUnknown, fields...)
}

// notRemembered gives the SKUs that are not remembered, each once, and the first line of each.
func (c *catalogue) notRemembered(lines []line) (skus []string, lineOf []int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	seen := map[string]bool{}
	for i, l := range lines {
		if _, ok := c.known[l.SKU]; !ok && !seen[l.SKU] {
			seen[l.SKU] = true
			skus, lineOf = append(skus, l.SKU), append(lineOf, i)
		}
	}
	return skus, lineOf
}

func (c *catalogue) remember(skus []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known)+len(skus) > maxKnownSKUs {
		clear(c.known)
	}
	for _, sku := range skus {
		c.known[sku] = struct{}{}
	}
}
