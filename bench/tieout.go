package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/tieout/tieout/cmd/tieout/dev"
	"github.com/tieout/tieout/pkg/benchtest"
)

// connections are how many connections the load comes over.
const connections = 4

// product is the directory of the module that is measured, seen from the one of this command.
const product = ".."

// tieout is the whole system in a process of its own, as `tieout dev` runs it.
type tieout struct {
	subject
	ready   dev.Ready
	conns   []*grpc.ClientConn
	next    atomic.Int64
	nats    *nats.Conn
	process *process
	pprof   string // host:port, when profiles are wanted
}

// startTieout starts the system with data that is gone afterwards, and with further variables.
func (b *bench) startTieout(ctx context.Context, env ...string) (_ *tieout, err error) {
	t := &tieout{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	dir, err := t.openDir()
	if err != nil {
		return nil, err
	}
	binary, err := b.tieoutBinary(ctx)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "dev", "--data-dir", dir, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "TIEOUT_TELEMETRY_SAMPLE_RATIO=0.1", "TIEOUT_TELEMETRY_KEEP_BYTES=0") // as `tieout serve` does
	cmd.Env = append(cmd.Env, env...)
	if b.profiles != "" {
		t.profile = t.takeProfiles
		if err := t.prepareProfiles(ctx, dir, cmd); err != nil {
			return nil, err
		}
	}
	if t.process, err = launch(cmd); err != nil {
		return nil, err
	}
	t.onStop(t.process.stop)
	err = await(ctx, "waiting for tieout dev", t.process, func() (err error) { t.ready, err = dev.ReadReady(dir); return err })
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, tailOf(filepath.Join(dir, "tieout.log")))
	}
	t.settle = t.atRest
	return t, t.connect(ctx)
}

// tieoutBinary builds the command of the product, with the versions that the product pins.
func (b *bench) tieoutBinary(ctx context.Context) (string, error) {
	binary := filepath.Join(b.dir, "tieout")
	args := []string{"build", "-C", product, "-o", binary}
	if b.profiles != "" {
		overlay, err := b.pprofOverlay()
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "./cmd/tieout")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building tieout: %w\n%s", err, out)
	}
	return binary, nil
}

// connect connects to everything that is asked and measured.
func (t *tieout) connect(ctx context.Context) error {
	for range connections {
		conn, err := grpc.NewClient(t.ready.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(asBench))
		if err != nil {
			return err
		}
		t.conns = append(t.conns, conn)
		t.onStop(conn.Close)
	}
	var err error
	if t.nats, err = nats.Connect(t.ready.NATS); err != nil {
		return err
	}
	t.onStop(func() error { t.nats.Close(); return nil })
	js, err := jetstream.New(t.nats)
	if err != nil {
		return err
	}
	if err := t.measure(ctx, t.process.pid(), t.ready.Postgres); err != nil {
		return err
	}
	t.meter.events = func() (int64, error) {
		stream, err := js.Stream(ctx, "EVENTS")
		if err != nil {
			return 0, err
		}
		return int64(stream.CachedInfo().State.LastSeq), nil
	}
	return nil
}

// asBench says who calls.
func asBench(ctx context.Context, method string, in, out any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(metadata.AppendToOutgoingContext(ctx, "tieout-caller", "bench"), method, in, out, conn, opts...)
}

// conn gives one of the connections, in turn.
func (t *tieout) conn() *grpc.ClientConn { return t.conns[t.next.Add(1)%connections] }

// errBusy is a system in which something is under way.
var errBusy = errors.New("something is under way")

// atRest waits until no saga is under way, each event is published, and whoever is told of it has been told.
func (t *tieout) atRest(ctx context.Context) error {
	return t.awaitNone(ctx, "tieout_saga_live{", "tieout_outbox_unpublished{", "tieout_inbox_lag{")
}

// told waits until each event is published, and whoever is told of it has been told.
func (t *tieout) told(ctx context.Context) error {
	return t.awaitNone(ctx, "tieout_outbox_unpublished{", "tieout_inbox_lag{")
}

// awaitNone waits until gauges are 0.
func (t *tieout) awaitNone(ctx context.Context, gauges ...string) error {
	return await(ctx, "waiting for all to come to rest", t.process, func() error {
		var busy []string
		err := benchtest.Metrics(ctx, t.ready.Metrics, func(name string, value float64) {
			for _, gauge := range gauges {
				if strings.HasPrefix(name, gauge) && value > 0 {
					busy = append(busy, fmt.Sprintf("%s} %.0f", name, value))
				}
			}
		})
		if err == nil && len(busy) > 0 {
			err = fmt.Errorf("%w: %s", errBusy, strings.Join(busy, ", "))
		}
		if err != nil {
			pause(ctx, 200*time.Millisecond) // looking costs something
		}
		return err
	})
}
