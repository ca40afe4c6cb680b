package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"
)

// queue is where the worker takes its tasks from.
const queue = "orders"

// orderWorkflow is an order of three steps that do nothing.
func orderWorkflow(ctx workflow.Context, order string) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: patience})
	for _, step := range []string{"Reserve", "Charge", "Ship"} {
		if err := workflow.ExecuteActivity(ctx, step, order).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// participants are what the steps ask.
type participants struct{}

// Reserve, Charge and Ship do nothing but answer.
func (*participants) Reserve(context.Context, string) error { return nil }
func (*participants) Charge(context.Context, string) error  { return nil }
func (*participants) Ship(context.Context, string) error    { return nil }

// startTemporal starts Temporal's server, all roles in one process. The worker is in this process, with the client, so that
// workflows start eagerly: their first task comes with the answer that starts them.
func startTemporal(ctx context.Context, b *bench) (_ *subject, err error) {
	s := &subject{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	dir, err := s.openDir()
	if err != nil {
		return nil, err
	}
	postgres, err := s.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	server, addr, err := b.launchTemporal(ctx, dir, postgres.DSN("postgres"))
	if err != nil {
		return nil, err
	}
	s.onStop(server.stop)
	quiet := log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	at := client.Options{HostPort: addr, Namespace: "bench", Logger: quiet}
	if err := await(ctx, "waiting for Temporal", server, func() error { return register(ctx, at) }); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, tailOf(filepath.Join(dir, "temporal.log")))
	}
	c, err := client.DialContext(ctx, at)
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { c.Close(); return nil })
	w := worker.New(c, queue, worker.Options{
		MaxConcurrentWorkflowTaskPollers: 16, MaxConcurrentActivityTaskPollers: 16,
	})
	w.RegisterWorkflow(orderWorkflow)
	w.RegisterActivity(&participants{})
	if err := w.Start(); err != nil {
		return nil, err
	}
	s.onStop(func() error { w.Stop(); return nil })
	if err := s.measure(ctx, server.pid(), postgres.DSN("postgres")); err != nil {
		return nil, err
	}
	s.do = func(ctx context.Context, n int64) error {
		id := fmt.Sprintf("order-%010d", n)
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queue, EnableEagerStart: true}, orderWorkflow, id)
		if err != nil {
			return err
		}
		return run.Get(ctx, nil)
	}
	return s, s.warm(ctx, 400)
}

// warm has so many units done, for what takes its time when it is first asked, as each of Temporal's shards does. Units that fail at
// first are tried again.
func (s *subject) warm(ctx context.Context, units int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for n := range units {
		group.Go(func() error {
			return await(ctx, "warming up", nil, func() error {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				return s.do(ctx, -time.Now().UnixNano()-n)
			})
		})
	}
	return group.Wait()
}

// register makes the namespace.
func register(ctx context.Context, at client.Options) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	namespaces, err := client.NewNamespaceClient(at)
	if err != nil {
		return err
	}
	defer namespaces.Close()
	return namespaces.Register(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: at.Namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
}

// launchTemporal builds the server, which is a module of its own for it does not build with what the product depends on, and
// starts it on an address.
func (b *bench) launchTemporal(ctx context.Context, dir, dsn string) (_ *process, addr string, err error) {
	binary := filepath.Join(b.dir, "temporal")
	b.note("building Temporal: minutes, the first time")
	out, err := exec.CommandContext(ctx, "go", "build", "-C", "temporal", "-o", binary, ".").CombinedOutput()
	if err != nil {
		return nil, "", fmt.Errorf("building Temporal: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, "", err
	}
	logs, err := os.Create(filepath.Join(dir, "temporal.log"))
	if err != nil {
		return nil, "", err
	}
	defer logs.Close() // the process has its own
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, "", err
	}
	password, _ := u.User.Password()
	cmd := exec.Command(binary, "-frontend", strconv.Itoa(port), "-postgres", u.Host, "-user", u.User.Username())
	cmd.Env = append(os.Environ(), "SQL_PASSWORD="+password)
	cmd.Stdout, cmd.Stderr = logs, logs
	p, err := launch(cmd)
	return p, "127.0.0.1:" + strconv.Itoa(port), err
}
