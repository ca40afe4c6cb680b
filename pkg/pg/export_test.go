package pg

// InTxWithin is InTx with another limit on waiting for COMMIT.
var InTxWithin = inTx
