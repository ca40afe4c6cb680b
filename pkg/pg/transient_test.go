package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestIsTransient_TellsTheDatabasesFaultsFromOthers(t *testing.T) {
	t.Parallel()
	coded := func(code string) error { return fmt.Errorf("inserting: %w", &pgconn.PgError{Code: code}) }
	for want, errs := range map[bool][]error{
		true: {
			ErrCommitUnknown, io.ErrUnexpectedEOF, context.Canceled, coded("57P01"), coded("40P01"), coded("08006"),
			coded("53300"), coded("25006"), &pgconn.ConnectError{},
		},
		false: {errors.New("the handler says no"), coded("23505"), coded("22003"), coded("42P01"), coded("57014"), coded(""), context.DeadlineExceeded},
	} {
		for _, err := range errs {
			if got := IsTransient(err); got != want {
				t.Errorf("%v: got transient %v, want %v", err, got, want)
			}
		}
	}
}
