package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tieout/tieout/pkg/service"
)

// lookEvery is how often the configuration file is looked at for a change: where files are mounted, nobody sends signals.
const lookEvery = 5 * time.Second

// follow has a running process take over what may change in the configuration when its file has changed, or at SIGHUP, until
// ctx ends. A file that cannot be used is logged, and all stays as it is.
func follow(ctx context.Context, p *service.Process, file string, load func() (service.Config, error)) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	seen := versionOf(file)
	for {
		asked := false
		select {
		case <-hup:
			asked = true
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := versionOf(file)
		if !asked && now == seen {
			continue
		}
		seen = now
		cfg, err := load()
		if err == nil {
			err = p.Reload(cfg)
		}
		if err != nil {
			p.Log().Error("the configuration cannot be read again, it stays as it is", slog.Any("error", err))
		}
	}
}

// version tells one content of a file from another.
type version struct {
	modified time.Time
	size     int64
}

func versionOf(file string) version {
	info, err := os.Stat(file)
	if err != nil {
		return version{}
	}
	return version{info.ModTime(), info.Size()}
}
