package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// listen opens the listeners and serves. Health says SERVING for the process and for each of its services.
func (p *Process) listen() error {
	grpcListener, err := net.Listen("tcp", p.config.GRPC.Addr)
	if err != nil {
		return fmt.Errorf("grpc.addr: %w", err)
	}
	p.grpcAddr = grpcListener.Addr()
	httpListener, err := net.Listen("tcp", p.config.HTTP.Addr)
	if err != nil {
		return errors.Join(fmt.Errorf("http.addr: %w", err), grpcListener.Close())
	}
	p.httpAddr = httpListener.Addr()
	p.serveOperations()
	p.http = &http.Server{
		Handler: p.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	for _, l := range []net.Listener{grpcListener, p.memory} {
		go func() {
			if err := p.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
				p.fail(fmt.Errorf("serving gRPC: %w", err))
			}
		}()
	}
	go func() {
		if err := p.http.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(fmt.Errorf("serving HTTP: %w", err))
		}
	}()
	for _, s := range p.services {
		p.health.SetServingStatus(s.Name, healthv1.HealthCheckResponse_SERVING)
	}
	return nil
}

// serveOperations serves what a supervisor and a scraper ask for.
func (p *Process) serveOperations() {
	p.mux.Handle("GET /metrics", p.telemetry.Handler())
	p.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	p.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer, err := p.health.Check(r.Context(), &healthv1.HealthCheckRequest{})
		if err != nil || answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			http.Error(w, "not serving", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

// dutyTimeout is how long duties may take to end once they were cancelled.
const dutyTimeout = 5 * time.Second

// httpTimeout is how long what is served over HTTP may take to finish after all else.
const httpTimeout = 5 * time.Second

// Stop ends the process in order: its health says so, streams that would last are told to come back, no new calls, calls in flight
// finished (up to the configured time), duties ended, connections closed. It may be called once.
func (p *Process) Stop() error {
	close(p.stopping)
	if p.health != nil {
		p.health.Shutdown()
	}
	if p.server != nil {
		time.Sleep(p.config.DrainDelay)
		p.drain()
	}
	p.cancel()
	err := p.awaitDuties()
	if p.http != nil {
		p.logError("closing HTTP", p.closeHTTP())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.closers) > 0 {
		last := len(p.closers) - 1
		p.closers[last]()
		p.closers = p.closers[:last]
	}
	return err
}

// drain lets calls in flight finish.
func (p *Process) drain() {
	drained := make(chan struct{})
	go func() { p.server.GracefulStop(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(p.config.StopTimeout):
		p.log.Warn("calls in flight did not finish in time and were cut")
		p.server.Server.Stop()
		<-drained
	}
}

// closeHTTP lets requests in flight finish. What serves them has ended its calls by now.
func (p *Process) closeHTTP() error {
	ctx, cancel := context.WithTimeout(context.Background(), httpTimeout)
	defer cancel()
	if p.http.Shutdown(ctx) == nil {
		return nil
	}
	return p.http.Close()
}

func (p *Process) awaitDuties() error {
	ended := make(chan struct{})
	go func() { p.duties.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(dutyTimeout):
		return errors.New("duties did not end in time")
	}
}

func (p *Process) flushTelemetry() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return errors.Join(p.logs.Shutdown(ctx), p.telemetry.Shutdown(ctx))
}
