package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	deadletterv1 "github.com/tieout/tieout/gen/tieout/deadletter/v1"
	"github.com/tieout/tieout/pkg/bus"
	"github.com/tieout/tieout/pkg/idem"
	"github.com/tieout/tieout/pkg/inbox"
	"github.com/tieout/tieout/pkg/pg"
	"github.com/tieout/tieout/pkg/pg/pgtest"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/pkg/service"
	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// effects is a table that keeps every effect, so that a second one of the same event shows.
var effects = pg.Migrations{Name: "effects", FS: fstest.MapFS{"0001_effect.sql": {Data: []byte(`-- +goose Up
CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text NOT NULL);
`)}}}

var (
	errBroken = errors.New("the books are closed")
	// errSession has the consumer end its session with the database.
	errSession = errors.New("the session ends")
)

// bundle is a process with two services that consume events, and somebody at its desk.
type bundle struct {
	*testing.T
	process *service.Process
	desk    deadletterv1.DeadLetterServiceClient
	js      jetstream.JetStream
	pool    map[string]*pgxpool.Pool

	mu     sync.Mutex
	broken map[string]error // by the subject of the event: why consumers fail on it
	told   []string         // what was told after commits
	fails  int              // how often a consumer failed
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{T: t, pool: map[string]*pgxpool.Pool{}, broken: map[string]error{}}
	cfg := servicetest.Config()
	cfg.Events.MaxAttempts, cfg.Log.Level = 1, "error"
	b.process = servicetest.StartWith(t, cfg, b.service("books"), b.service("shop"))
	b.desk = deadletterv1.NewDeadLetterServiceClient(servicetest.Dial(t, b.process, "ada"))
	return b
}

// service is one with a consumer that keeps its effects in a table.
func (b *bundle) service(name string) service.Service {
	return service.Service{
		Name: name, Migrations: []pg.Migrations{idem.Migrations, inbox.Migrations, effects}, Postgres: service.Postgres{MaxConns: 8},
		Run: func(_ context.Context, env *service.Env) error {
			b.js, b.pool[name] = env.JetStream, env.Pool
			env.Consume(inbox.Consumer{Name: name + "-takings", Subjects: []string{"evt." + name + ".>"}, Handle: b.handle})
			return nil
		},
	}
}

// handle writes a row for each event, and then fails on those that are broken.
func (b *bundle) handle(ctx context.Context, tx *pg.Tx, events []bus.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		tx.AfterCommit(func() { b.tell(e.Subject) })
		if _, err := tx.Exec(ctx, `INSERT INTO effect (subject) VALUES ($1)`, e.Subject); err != nil {
			return err
		}
		if err := b.broken[e.Subject]; err != nil {
			if b.fails++; err == errSession {
				_, err = tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			}
			return err
		}
	}
	return nil
}

func (b *bundle) tell(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, subject)
}

// failed is how often a consumer has failed.
func (b *bundle) failed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fails
}

func (b *bundle) breakOn(err error, subjects ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range subjects {
		b.broken[s] = err
	}
}

// bury has a service's consumer fail on events, in their order, and gives their dead letters.
func (b *bundle) bury(name string, subjects ...string) []*deadletterv1.DeadLetter {
	b.Helper()
	b.breakOn(errBroken, subjects...)
	for _, s := range subjects {
		e := bus.Event{ID: uuid.New(), Service: name, Entity: "payment", Name: "captured", Subject: s, Time: time.Now(), Data: []byte("data of " + s)}
		e.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		if _, err := b.js.PublishMsg(b.Context(), bus.Encode(e)); err != nil {
			b.Fatal(err)
		}
	}
	letters := make([]*deadletterv1.DeadLetter, len(subjects))
	for i, s := range subjects {
		waittest.Until(b.T, s+" is a dead letter", func() bool {
			found := b.list(fmt.Sprintf("service = %s AND subject : %q", name, "."+s))
			if len(found) == 1 {
				letters[i] = found[0]
			}
			return len(found) == 1
		})
	}
	return letters
}

// list gives all dead letters of a filter, two at a time.
func (b *bundle) list(filter string) (all []*deadletterv1.DeadLetter) {
	b.Helper()
	for token := ""; ; {
		p, err := b.desk.ListDeadLetters(b.Context(), &deadletterv1.ListDeadLettersRequest{Filter: filter, PageToken: token, PageSize: 2})
		if err != nil {
			b.Fatal(err)
		}
		if all = append(all, p.GetDeadLetters()...); p.GetNextPageToken() == "" {
			return all
		}
		token = p.GetNextPageToken()
	}
}

func (b *bundle) get(id string) *deadletterv1.DeadLetter {
	b.Helper()
	found, err := b.desk.GetDeadLetter(b.Context(), &deadletterv1.GetDeadLetterRequest{DeadLetterId: id})
	if err != nil {
		b.Fatal(err)
	}
	return found.GetDeadLetter()
}

func (b *bundle) redrive(key, id string) (*deadletterv1.RedriveDeadLetterResponse, error) {
	return b.desk.RedriveDeadLetter(b.Context(), &deadletterv1.RedriveDeadLetterRequest{IdempotencyKey: key, DeadLetterId: id, Reason: "mended"})
}

func (b *bundle) discard(key, id string) (*deadletterv1.DiscardDeadLetterResponse, error) {
	return b.desk.DiscardDeadLetter(b.Context(), &deadletterv1.DiscardDeadLetterRequest{IdempotencyKey: key, DeadLetterId: id, Reason: "a test"})
}

func (b *bundle) wantEffects(service string, want ...string) {
	b.Helper()
	got := pgtest.Column[string](b.T, b.pool[service], `SELECT subject FROM effect ORDER BY n`)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		b.Errorf("effects (-want +got):\n%s", diff)
	}
}

// actions are what is on record of a dead letter: who, what, why, and what came of it.
func actions(l *deadletterv1.DeadLetter) (all []string) {
	for _, a := range l.GetActions() {
		all = append(all, fmt.Sprintf("%s %s %s: %s %s", a.GetActor(), a.GetVerb(), a.GetReason(), a.GetOutcome(), a.GetError()))
	}
	return all
}

func reason(err error) rpcerr.Reason {
	if refusal, ok := rpcerr.FromError(err); ok {
		return refusal.Reason
	}
	return ""
}
