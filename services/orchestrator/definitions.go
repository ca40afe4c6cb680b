package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tieout/tieout/services/orchestrator/orchestratordb"
	"github.com/tieout/tieout/services/orchestrator/saga"
)

// definitionKey names a definition.
type definitionKey struct {
	name    string
	version int
}

// definitions are all that sagas may run. They are kept in the database, where they stay as they were written: a saga
// keeps the version that it started with, also in the hands of a build that has another one.
type definitions struct {
	pool  *pgxpool.Pool
	calls map[string]action
	all   atomic.Pointer[map[definitionKey]saga.Definition]
}

// registered checks the definitions of this build and puts them into the database with those that are there. One that
// differs from what is there under its version is an error: sagas run it, so that a change needs a new version.
func registered(ctx context.Context, pool *pgxpool.Pool, calls map[string]action, own ...saga.Definition) (*definitions, error) {
	d := &definitions{pool: pool, calls: calls}
	for _, def := range own {
		if err := d.check(def); err != nil {
			return nil, err
		}
		if err := insertDefinition(ctx, pool, def); err != nil {
			return nil, err
		}
	}
	if err := d.read(ctx); err != nil {
		return nil, err
	}
	for _, def := range own {
		if !reflect.DeepEqual(d.known()[keyOf(def)], def) {
			return nil, fmt.Errorf("definition %s v%d is another one in the database, where sagas run it: give the changed one a new version", def.Name, def.Version)
		}
	}
	return d, nil
}

func keyOf(d saga.Definition) definitionKey { return definitionKey{d.Name, d.Version} }

func insertDefinition(ctx context.Context, pool *pgxpool.Pool, def saga.Definition) error {
	body, err := json.Marshal(def)
	if err != nil {
		return fmt.Errorf("encoding definition: %w", err)
	}
	pivot, before := def.Pivot()
	err = orchestratordb.New(pool).InsertDefinition(ctx, orchestratordb.InsertDefinitionParams{
		Name: def.Name, Version: int32(def.Version), Body: body, Pivot: pivot, BeforePivot: before,
	})
	if err != nil {
		return fmt.Errorf("writing definition: %w", err)
	}
	return nil
}

// read learns what is in the database, as far as this build has the calls for it.
func (d *definitions) read(ctx context.Context) error {
	rows, err := orchestratordb.New(d.pool).ListDefinitions(ctx)
	if err != nil {
		return fmt.Errorf("reading definitions: %w", err)
	}
	all := map[definitionKey]saga.Definition{}
	for _, row := range rows {
		var def saga.Definition
		if err := json.Unmarshal(row.Body, &def); err == nil && d.check(def) == nil {
			all[keyOf(def)] = def
		}
	}
	d.all.Store(&all)
	return nil
}

// known are all definitions that this build can drive. They are never changed.
func (d *definitions) known() map[definitionKey]saga.Definition { return *d.all.Load() }

// check refuses a definition that is wrong or names calls that do not exist.
func (d *definitions) check(def saga.Definition) error {
	if err := def.Check(); err != nil {
		return err
	}
	for call := range def.Calls() {
		if _, ok := d.calls[call]; !ok {
			return fmt.Errorf("definition %s v%d names call %q, which does not exist", def.Name, def.Version, call)
		}
	}
	return nil
}
