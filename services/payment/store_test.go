package payment

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
)

// violates tells whether err is Postgres refusing a state that must not be.
func violates(err error, code string) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == code
}

func TestLedger_RefusesWhatDoesNotBalance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.mustCharge(t, key, "pm_ok")
	tests := map[string]string{
		"no postings": ``,
		"one side":    `($1, 1, 'bank', 'GBP', 1)`,
		"other sums":  `($1, 1, 'bank', 'GBP', 2), ($1, 2, 'fees', 'GBP', -1)`,
		"currencies":  `($1, 1, 'bank', 'GBP', 1), ($1, 2, 'fees', 'EUR', -1)`,
		"no account":  `($1, 1, 'pocket', 'GBP', 1), ($1, 2, 'fees', 'GBP', -1)`,
		"zeros":       `($1, 1, 'bank', 'GBP', 0)`,
	}
	for name, postings := range tests {
		t.Run(name, func(t *testing.T) {
			err := pg.InTx(t.Context(), b.db, func(tx *pg.Tx) error {
				statement := `WITH j AS (INSERT INTO journal (id, payment_id, kind) SELECT $1, id, 2 FROM payment) `
				if postings == "" {
					statement += `SELECT`
				} else {
					statement += `INSERT INTO posting (journal_id, line, account, currency, amount_minor) VALUES ` + postings
				}
				_, err := tx.Exec(t.Context(), statement, uuid.New())
				return err
			})
			if !violates(err, "23514") {
				t.Errorf("got error %v, want a violated check", err)
			}
		})
	}
	if n := pgtest.Column[int64](t, b.db, `SELECT count(*) FROM journal`)[0]; n != 1 {
		t.Errorf("there are %d journals, want the one of %s", n, p.GetPaymentId())
	}
}

func TestLedger_IsAboutWhatThereIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	for about, want := range map[string]string{
		`WITH j AS (INSERT INTO journal (id, payment_id, kind, key) VALUES (gen_random_uuid(), gen_random_uuid(), 6, 'fee') RETURNING id)
		INSERT INTO posting (journal_id, line, account, currency, amount_minor)
		SELECT id, line, 'bank', 'GBP', amount FROM j, (VALUES (1, 1), (2, -1)) AS v (line, amount)`: "23503",
		`INSERT INTO posting (journal_id, line, account, currency, amount_minor)
		SELECT id, line, 'bank', 'GBP', amount FROM gen_random_uuid() AS j (id), (VALUES (1, 1), (2, -1)) AS v (line, amount)`: "23001",
	} {
		if _, err := b.db.Exec(t.Context(), about); !violates(err, want) {
			t.Errorf("got error %v, want %s, of %s", err, want, about)
		}
	}
}

func TestLedger_TakesOneCaptureAPayment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mustCharge(t, key, "pm_ok")
	_, err := b.db.Exec(t.Context(), `
WITH j AS (INSERT INTO journal (id, payment_id, kind) SELECT gen_random_uuid(), id, 1 FROM payment RETURNING id)
INSERT INTO posting (journal_id, line, account, currency, amount_minor)
SELECT id, line, 'bank', 'GBP', amount FROM j, (VALUES (1, 1), (2, -1)) AS v (line, amount)`)
	if !violates(err, "23505") {
		t.Errorf("got error %v, want a violated unique key", err)
	}
}

func TestPayment_StatesNeedWhatTheyMean(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.charge(t, key, "pm_declined")
	if err == nil {
		t.Fatal("the charge was not declined")
	}
	for _, set := range []string{
		`state = 0`, `state = 12`, `state = 2`, `state = 3, decline_reason = '', provider_charge_id = ''`,
		`state = 3`, `decline_reason = ''`, `state = 5, decline_reason = ''`, `state = 6`, `amount_minor = 0`, `refunded_minor = 1`,
		`state = 9, decline_reason = '', provider_charge_id = ''`, `state = 10, decline_reason = '', captured_minor = 1250`,
		`state = 11, decline_reason = '', captured_minor = 1250`, `captured_minor = 1250`, `currency = 'gbp'`,
	} {
		if _, err := b.db.Exec(t.Context(), `UPDATE payment SET `+set); !violates(err, "23514") {
			t.Errorf("%s: got error %v, want a violated check", set, err)
		}
	}
}
