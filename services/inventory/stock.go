package inventory

import "context"

// getStock gives the levels of SKUs in the order asked for, as the cache has them. Refused with SKU_UNKNOWN when one is not
// known; path names the request's field of each.
func (s *inventory) getStock(ctx context.Context, skus []string, path func(int) string) ([]levelAt, error) {
	known, err := s.levels.GetAll(ctx, skus)
	if err != nil {
		return nil, err
	}
	levels := make([]levelAt, len(skus))
	for i, sku := range skus {
		levels[i] = known[sku]
	}
	return levels, unknownSKUs(skus, known, path)
}

// listStock gives up to n levels behind a SKU, by SKU.
func (s *inventory) listStock(ctx context.Context, after string, n int32) ([]levelAt, error) {
	return newStore(s.pool).list(ctx, after, n)
}
