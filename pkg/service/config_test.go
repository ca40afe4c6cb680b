package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tieout/tieout/pkg/service"
)

func TestStart_RefusesAListenerThatOthersCanReach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		addr    string
		refused bool
	}{
		{"127.0.0.1:0", false},
		{"127.0.0.2:0", false},
		{"localhost:0", false},
		{"0.0.0.0:0", true},
		{"[::]:0", true},
		{":0", true},
		{":80", true},
		{"10.0.0.1:7433", true},
		{"[fe80::1]:7433", true},
		{"example.com:7433", true},
		{"localhost.example.com:7433", true},
		{"127.0.0.1.example.com:7433", true},
		{"127.0.0.1", true}, // no port
		{"", true},
	} {
		for _, key := range []string{"grpc.addr", "http.addr"} {
			t.Run(key+" "+test.addr, func(t *testing.T) {
				t.Parallel()
				cfg := quietConfig()
				if key == "grpc.addr" {
					cfg.GRPC.Addr = test.addr
				} else {
					cfg.HTTP.Addr = test.addr
				}
				p, err := start(t, cfg)
				if p != nil {
					stop(t, p)
				}
				if test.refused && (err == nil || !strings.Contains(err.Error(), key)) {
					t.Errorf("got %v, want a refusal that names %s", err, key)
				}
				if !test.refused && err != nil {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

func TestStart_ListensAnywhereWhenToldThatItIsInsecure(t *testing.T) {
	t.Parallel()
	cfg := quietConfig()
	cfg.Insecure, cfg.GRPC.Addr, cfg.HTTP.Addr = true, ":0", "0.0.0.0:0"
	p := mustStart(t, cfg)
	defer stop(t, p)
	if strings.HasPrefix(p.GRPCAddr(), "127.") || strings.HasPrefix(p.HTTPAddr(), "127.") {
		t.Errorf("listens on %s and %s", p.GRPCAddr(), p.HTTPAddr())
	}
}

func TestStart_NamesASettingThatIsNotPossible(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*service.Config){
		"log.level":              func(c *service.Config) { c.Log.Level = "loud" },
		"telemetry.sample_ratio": func(c *service.Config) { c.Telemetry.SampleRatio = 1.1 },
		"nats.replicas":          func(c *service.Config) { c.NATS.Replicas = 0 },
		"stop_timeout":           func(c *service.Config) { c.StopTimeout = 0 },
		"start_timeout":          func(c *service.Config) { c.StartTimeout = -time.Second },
		"NATS":                   func(c *service.Config) { c.NATS.URL = "nats://%zz" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quietConfig()
			change(&cfg)
			p, err := start(t, cfg)
			if p != nil {
				stop(t, p)
			}
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
		})
	}
}

func TestStart_NamesAllThatIsWrongAtOnce(t *testing.T) {
	t.Parallel()
	cfg := quietConfig()
	cfg.GRPC.Addr, cfg.HTTP.Addr, cfg.NATS.Replicas = ":1", ":2", 0
	_, err := start(t, cfg)
	for _, key := range []string{"grpc.addr", "http.addr", "nats.replicas"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want %s named", err, key)
		}
	}
}

func TestStart_NamesAPortThatIsTaken(t *testing.T) {
	t.Parallel()
	first := mustStart(t, quietConfig())
	defer stop(t, first)
	for key, change := range map[string]func(*service.Config){
		"grpc.addr": func(c *service.Config) { c.GRPC.Addr = first.GRPCAddr() },
		"http.addr": func(c *service.Config) { c.HTTP.Addr = first.HTTPAddr() },
	} {
		cfg := quietConfig()
		change(&cfg)
		if _, err := start(t, cfg); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("got %v, want an error that names %s", err, key)
		}
	}
}
