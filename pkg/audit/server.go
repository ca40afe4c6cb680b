package audit

import (
	"errors"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
)

// RunAudit implements auditv1.AuditServiceServer.
func (a *Auditor) RunAudit(_ *auditv1.RunAuditRequest, stream grpc.ServerStreamingServer[auditv1.RunAuditResponse]) error {
	ctx := stream.Context()
	for _, d := range a.databases {
		checks, err := d.checks(ctx)
		if err != nil {
			return err
		}
		for _, c := range checks {
			r, err := a.run(ctx, d, c)
			if err != nil {
				return err
			}
			if r.err != nil {
				a.log.ErrorContext(ctx, "invariant could not be checked", slog.String("service", c.service),
					slog.String("view", c.view), slog.Any("error", r.err))
			}
			if err := stream.Send(&auditv1.RunAuditResponse{Check: r.proto()}); err != nil {
				return err
			}
		}
	}
	return nil
}

var kinds = map[kind]auditv1.CheckKind{
	always:  auditv1.CheckKind_CHECK_KIND_ALWAYS,
	quiet:   auditv1.CheckKind_CHECK_KIND_QUIET,
	inBound: auditv1.CheckKind_CHECK_KIND_BOUND,
}

func (r result) proto() *auditv1.Check {
	c := &auditv1.Check{
		Service: r.service, Number: r.number, Name: r.name, Kind: kinds[r.kind], Statement: r.statement,
		ViolationCount: r.count, Duration: durationpb.New(r.took),
	}
	for _, v := range r.violations {
		c.Violations = append(c.Violations, &auditv1.Violation{Id: v.id, Detail: v.detail})
	}
	switch {
	case errors.Is(r.err, errTooSlow):
		c.Error = errTooSlow.Error()
	case r.err != nil:
		c.Error = "it could not be run; the server's log says why"
	}
	return c
}
