package rpc

import (
	"log/slog"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/tieout/tieout/pkg/quota"
	"github.com/tieout/tieout/pkg/shed"
	"github.com/tieout/tieout/pkg/telemetry"
)

// Limits of a server, the same for all.
const (
	// maxStreams bounds the calls in flight on one connection; without a bound the protection against
	// rapid resets is off as well.
	maxStreams = 25_000
	// maxConnectionAge ends connections, so that certificates are looked at again and load is spread anew.
	maxConnectionAge      = 30 * time.Minute
	maxConnectionAgeGrace = 30 * time.Second
	// minPing is how often a client may ping.
	minPing = 10 * time.Second
)

// ServerConfig is what a server is made of.
type ServerConfig struct {
	Log       *slog.Logger
	Telemetry *telemetry.Telemetry
	// Tracers names the service or process that the server's spans belong to.
	Tracers trace.TracerProvider
	// Quotas and Gate decide which calls are let in. Optional, each.
	Quotas *quota.Quotas
	Gate   *shed.Gate
}

// Server is a gRPC server with the interceptors of the system. Services register on it.
type Server struct {
	*grpc.Server
	admission admission
	methods   map[string]declared
}

// NewServer makes a server that serves nothing yet but reflection.
func NewServer(cfg ServerConfig) (*Server, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, err
	}
	a := admission{quotas: cfg.Quotas, gate: cfg.Gate}
	in := &serverInterceptors{
		log: cfg.Log, tracer: cfg.Tracers.Tracer("github.com/tieout/tieout/pkg/rpc"), validator: validator, admission: a,
	}
	methods := map[string]declared{}
	measured := otelgrpc.NewServerHandler(
		otelgrpc.WithFilter(isWorthASpan),
		otelgrpc.WithTracerProvider(cfg.Tracers),
		otelgrpc.WithMeterProvider(cfg.Telemetry.Meters),
		otelgrpc.WithPropagators(cfg.Telemetry.Propagator),
		// What callers make up is no label of a metric; and who asks for health asks often.
		otelgrpc.WithFilter(func(i *stats.RPCTagInfo) bool { _, ours := methods[i.FullMethodName]; return ours }))
	keeper := &doorkeeper{Handler: measured, admission: a, methods: methods, polite: rate.NewLimiter(politely, politely)}
	s := &Server{admission: a, methods: methods, Server: grpc.NewServer(
		grpc.InTapHandle(keeper.look),
		grpc.StatsHandler(keeper),
		grpc.ChainUnaryInterceptor(in.unary),
		grpc.ChainStreamInterceptor(in.stream),
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(protocodec.Name)}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: maxConnectionAge, MaxConnectionAgeGrace: maxConnectionAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
	)}
	reflection.Register(s.Server)
	return s, nil
}

// isWorthASpan leaves out the calls that bring spans, which would bring forth more of them.
func isWorthASpan(call *stats.RPCTagInfo) bool {
	return !strings.HasPrefix(call.FullMethodName, "/opentelemetry.")
}

// RegisterService implements grpc.ServiceRegistrar. A method that declares no options is a mistake in the
// build, and stops the process at start.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	names := make([]string, 0, len(desc.Methods)+len(desc.Streams))
	for i, m := range desc.Methods {
		names = append(names, m.MethodName)
		h := receiving(m.Handler)
		if declared, ours := s.declare(desc.ServiceName, m.MethodName); ours {
			h = s.admission.admitting(declared, h)
		}
		d.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: h}
	}
	for _, m := range desc.Streams {
		names = append(names, m.StreamName)
		s.declare(desc.ServiceName, m.StreamName)
	}
	if err := checkDeclared(d.ServiceName, names); err != nil {
		panic(err)
	}
	s.Server.RegisterService(&d, impl)
}

// declare notes what a method declares; false for one that is not ours.
func (s *Server) declare(service, method string) (d declared, ours bool) {
	name := "/" + service + "/" + method
	if d, ours = declaredBy(Options(name)); ours {
		s.methods[name] = d
	}
	return d, ours
}
