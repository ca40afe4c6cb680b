package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// openLog opens the process' log.
func (p *Process) openLog(ctx context.Context, w io.Writer) error {
	level, err := p.config.Log.level()
	if err != nil {
		return err
	}
	p.level.Set(level)
	if p.logs, err = p.telemetry.NewLog(ctx, w, &p.level); err != nil {
		return err
	}
	p.log = p.logs.Logger(p.name())
	return nil
}

func (l Log) level() (level slog.Level, err error) {
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return 0, fmt.Errorf("log.level: %w", err)
	}
	return level, nil
}

// Reload takes over what may change while the process runs: the quotas, and the level of the log. Nothing changes when there
// is something wrong with either.
func (p *Process) Reload(cfg Config) error {
	level, err := cfg.Log.level()
	if err != nil {
		return err
	}
	if err := p.quotas.Set(cfg.Quotas); err != nil {
		return err
	}
	old := p.level.Level()
	p.level.Set(min(old, level)) // whether it talks more from now on or less, the log says so
	p.log.Info("configuration taken over", slog.String("log_level", level.String()), slog.Int("quota_rules", len(cfg.Quotas.Rules)))
	p.level.Set(level)
	return nil
}
