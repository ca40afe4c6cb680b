package local

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

var databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// EnsureDatabase makes the database name, owned by a role of the same name that may log in and into which no other
// role but the superuser may connect, unless they exist. The role gets a new random password every time, which is in
// the URL returned: earlier URLs stop working for new connections. Not to be called twice at once for one name.
func (s *Server) EnsureDatabase(ctx context.Context, name string) (dsn string, err error) {
	if !databaseName.MatchString(name) || name == superuser || strings.HasPrefix(name, "pg_") {
		return "", fmt.Errorf("%q is not a usable database name", name)
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return "", fmt.Errorf("making database %s: %w", name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	password := rand.Text() // letters and digits, so it needs no quoting
	if err := ensureDatabase(ctx, conn, name, password); err != nil {
		return "", fmt.Errorf("making database %s: %w", name, err)
	}
	return s.dsn(name, password, name), nil
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn, name, password string) error {
	var hasRole, hasDatabase bool
	err := conn.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		       EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&hasRole, &hasDatabase)
	if err != nil {
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	verb := "CREATE"
	if hasRole {
		verb = "ALTER"
	}
	statements := []string{verb + " ROLE " + quoted + " LOGIN PASSWORD '" + password + "'"}
	if !hasDatabase {
		statements = append(statements, "CREATE DATABASE "+quoted+" OWNER "+quoted)
	}
	statements = append(statements, "REVOKE CONNECT, TEMPORARY ON DATABASE "+quoted+" FROM PUBLIC")
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
