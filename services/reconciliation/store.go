package reconciliation

import (
	"github.com/tieout/tieout/services/reconciliation/reconciliationdb"
)

// store is rows ↔ domain, on a pool or in a transaction.
type store struct {
	q  *reconciliationdb.Queries
	db reconciliationdb.DBTX
}

func newStore(db reconciliationdb.DBTX) store { return store{q: reconciliationdb.New(db), db: db} }
