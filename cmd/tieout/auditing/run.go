package auditing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	auditv1 "github.com/tieout/tieout/gen/tieout/audit/v1"
)

const (
	// between is what comparisons name as their service.
	between = "system"
	// maxViolations is how many violations of a comparison are told.
	maxViolations = 100
)

// needed are the services that comparisons ask.
var needed = []string{"billing", "inventory", "orchestrator", "payment", "shipment"}

// Sources are what is asked.
type Sources struct {
	// Conns lead to the processes of the system; together they run every service.
	Conns []*grpc.ClientConn
	// ProviderURL is where the provider simulator serves its journal; empty leaves out what needs it.
	ProviderURL string
}

// Run checks every invariant and gives each result to found, as it is known. Errors: those of the
// calls, ErrProvider, and those of found.
func Run(ctx context.Context, s Sources, found func(*auditv1.Check) error) error {
	conns := map[string]*grpc.ClientConn{}
	for _, conn := range s.Conns {
		if err := runProcess(ctx, conn, conns, found); err != nil {
			return err
		}
	}
	begun := time.Now()
	missing := slices.DeleteFunc(slices.Clone(needed), func(name string) bool { return conns[name] != nil })
	var wrong findings
	if len(missing) == 0 {
		var err error
		if wrong, err = newComparer(conns, s.ProviderURL).compare(ctx); err != nil {
			return err
		}
	}
	for i, c := range comparisons {
		if c.provider && s.ProviderURL == "" {
			continue
		}
		check := &auditv1.Check{
			Service: between, Number: c.number, Name: c.name, Kind: c.kind, Statement: c.statement,
			Duration: durationpb.New(time.Since(begun)),
		}
		if len(missing) > 0 {
			check.Error = "nobody at the addresses runs " + strings.Join(missing, ", ")
		}
		wrong.addTo(check, comparison(i))
		if err := found(check); err != nil {
			return err
		}
	}
	return nil
}

// runProcess has a process check its databases, and notes which services it runs. Of several replicas of a service
// the first is heard.
func runProcess(ctx context.Context, conn *grpc.ClientConn, conns map[string]*grpc.ClientConn, found func(*auditv1.Check) error) error {
	stream, err := auditv1.NewAuditServiceClient(conn).RunAudit(ctx, &auditv1.RunAuditRequest{})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := answer.GetCheck().GetService()
		if conns[name] == nil {
			conns[name] = conn
		}
		if conns[name] != conn {
			continue
		}
		if err := found(answer.GetCheck()); err != nil {
			return err
		}
	}
}

// addTo puts what is wrong about a comparison into its check.
func (f findings) addTo(check *auditv1.Check, of comparison) {
	for at, detail := range f {
		if at.comparison == of {
			check.Violations = append(check.Violations, &auditv1.Violation{Id: at.id, Detail: detail})
		}
	}
	check.ViolationCount = int64(len(check.Violations))
	slices.SortFunc(check.Violations, func(a, b *auditv1.Violation) int { return cmp.Compare(a.GetId(), b.GetId()) })
	check.Violations = check.Violations[:min(len(check.Violations), maxViolations)]
}

// compare compares what the services say, twice if need be, and gives what was wrong both times.
func (c *comparer) compare(ctx context.Context) (findings, error) {
	first, err := c.once(ctx)
	if err != nil || len(first) == 0 {
		return nil, err
	}
	second, err := c.once(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking again: %w", err)
	}
	wrong := findings{}
	for at := range first {
		if detail, still := second[at]; still {
			wrong[at] = detail
		}
	}
	return wrong, nil
}
