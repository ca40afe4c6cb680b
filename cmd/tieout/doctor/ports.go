package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

func (t Target) ports(ctx context.Context) []Check {
	return []Check{
		t.port(ctx, "grpc "+t.GRPC, t.GRPC, askGRPC),
		t.port(ctx, "http "+t.HTTP, t.HTTP, askHTTP),
	}
}

// port looks whether the system answers at an address, or nobody does.
func (t Target) port(ctx context.Context, name, addr string, ask func(context.Context, string) error) Check {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && !t.Running:
		return Check{Name: name, Status: OK, Detail: "free"}
	case err != nil:
		return Check{Name: name, Status: Fail, Detail: err.Error(), Remedy: "is the system running? Its log says why not"}
	}
	conn.Close()
	if err := ask(ctx, addr); err != nil {
		if t.Running {
			return Check{Name: name, Status: Fail, Detail: "does not serve: " + err.Error(), Remedy: "see the system's log"}
		}
		return Check{
			Name: name, Status: Warn, Detail: "taken by another program",
			Remedy: "`tieout dev` takes the next free port; `tieout serve` needs another address",
		}
	}
	return Check{Name: name, Status: OK, Detail: "serving"}
}

func askGRPC(ctx context.Context, addr string) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	if err == nil && answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		err = errors.New(answer.GetStatus().String())
	}
	return err
}

func askHTTP(ctx context.Context, addr string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz says %s", answer.Status)
	}
	return nil
}
