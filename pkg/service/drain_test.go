package service_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tieout/tieout/pkg/service/servicetest"
	"github.com/tieout/tieout/pkg/waittest"
)

// TestStop_UnderLoadFailsNoCallButAsUnavailable has callers call without a pause while the process stops. What the server
// begins it answers, and what it does not begin is UNAVAILABLE.
func TestStop_UnderLoadFailsNoCallButAsUnavailable(t *testing.T) {
	t.Parallel()
	var begun, ended atomic.Int64
	p := mustStart(t, quietConfig(), inventoryService(func(ctx context.Context, _ string) error {
		begun.Add(1)
		select {
		case <-time.After(2 * time.Millisecond):
			ended.Add(1)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	conn := servicetest.Dial(t, p, "shop")
	var answered atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for {
				err := getStock(t.Context(), conn)
				switch status.Code(err) {
				case codes.OK:
					answered.Add(1)
					continue
				case codes.Unavailable:
				default:
					t.Errorf("a call while the process stops: %v", err)
				}
				return
			}
		})
	}
	waittest.Until(t, "calls flow", func() bool { return answered.Load() > 200 })
	if err := p.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	callers.Wait()
	if begun.Load() != ended.Load() || ended.Load() != answered.Load() {
		t.Errorf("%d calls were begun, %d ended in order, and %d were answered", begun.Load(), ended.Load(), answered.Load())
	}
}

func TestStop_GoesOnForTheDrainDelay(t *testing.T) {
	t.Parallel()
	cfg := quietConfig()
	cfg.DrainDelay = 200 * time.Millisecond
	p := mustStart(t, cfg, inventoryService(answer))
	conn := servicetest.Dial(t, p, "shop")
	began, stopped := time.Now(), make(chan error, 1)
	go func() { stopped <- p.Stop() }()
	waittest.Until(t, "it is not ready any more", func() bool {
		code, _, _ := get(t, p, "/readyz")
		return code == 503
	})
	err := getStock(t.Context(), conn)
	if since := time.Since(began); since < cfg.DrainDelay && err != nil {
		t.Errorf("a call %v after the process began to stop: %v", since, err)
	}
	if err := <-stopped; err != nil || time.Since(began) < cfg.DrainDelay {
		t.Errorf("stopped after %v: %v", time.Since(began), err)
	}
}
