package service

import (
	"context"

	"github.com/tieout/tieout/pkg/groupcommit"
	"github.com/tieout/tieout/pkg/pg"
)

// NewGroup makes a group of writes to the service's database, named after the service and what it writes; it writes
// until the process stops.
func NewGroup[W, R any](env *Env, name string,
	apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]groupcommit.Result[R], error),
) (*groupcommit.Group[W, R], error) {
	g, err := NewIdleGroup(env, name, apply)
	if err != nil {
		return nil, err
	}
	env.Go("group commit of "+name, g.Run)
	return g, nil
}

// NewIdleGroup is NewGroup for a group that the caller runs.
func NewIdleGroup[W, R any](env *Env, name string,
	apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]groupcommit.Result[R], error),
) (*groupcommit.Group[W, R], error) {
	return groupcommit.New(GroupConfig(env, name, apply))
}

// GroupConfig is what NewGroup makes a group of.
func GroupConfig[W, R any](env *Env, name string,
	apply func(ctx context.Context, tx *pg.Tx, batch []W) ([]groupcommit.Result[R], error),
) groupcommit.Config[W, R] {
	return groupcommit.Config[W, R]{
		Name: env.Name + "." + name, Pool: env.Pool, Apply: apply, Log: env.Log, Meter: env.Meter, Tracer: env.Tracer,
	}
}
