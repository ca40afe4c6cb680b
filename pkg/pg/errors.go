package pg

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

const uniqueViolation = "23505"

// IsUniqueViolation reports whether err is the refusal of a row that a unique constraint or index of that name holds
// already; an empty name stands for any.
func IsUniqueViolation(err error, constraint string) bool {
	refusal, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refusal.Code == uniqueViolation && (constraint == "" || refusal.ConstraintName == constraint)
}
