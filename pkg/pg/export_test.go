package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// InTxWithin is InTx with another limit on waiting for COMMIT.
func InTxWithin(ctx context.Context, pool *pgxpool.Pool, limit time.Duration, fn func(tx *Tx) error) error {
	return inTx(ctx, pool, nil, limit, fn)
}
