package service

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/shed"
)

// serveCalls makes the server with what decides on its calls: the quotas, which the replicas of the service share, and
// the gate.
func (p *Process) serveCalls(dutyCtx context.Context, nc *nats.Conn) (err error) {
	meters := p.telemetry.Meters
	if p.quotas, err = quota.New(quota.Options{Meter: meters.Meter("github.com/tieout/tieout/pkg/quota")}); err != nil {
		return err
	}
	if err := p.quotas.Set(p.config.Quotas); err != nil {
		return err
	}
	p.gate, err = shed.NewGate(shed.Config{Limit: p.config.CallLimit, Meter: meters.Meter("github.com/tieout/tieout/pkg/shed")})
	if err != nil {
		return err
	}
	p.server, err = rpc.NewServer(rpc.ServerConfig{
		Log: p.log, Telemetry: p.telemetry, Tracers: p.telemetry.Tracers(p.name()), Quotas: p.quotas, Gate: p.gate,
	})
	if err != nil {
		return err
	}
	p.duties.Go(func() {
		exchange := quota.Exchange{Quotas: p.quotas, NATS: nc, Service: p.name(), Log: p.log}
		p.logError("sharing quotas", exchange.Run(dutyCtx))
	})
	return nil
}
