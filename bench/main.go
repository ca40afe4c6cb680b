package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := realMain(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is a run.
type bench struct {
	lasts    time.Duration // each load
	profiles string        // directory for profiles; empty takes none
	dir      string        // of what is built for the run
}

func (b *bench) note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

func realMain(ctx context.Context) (err error) {
	var names []string
	for _, k := range cases() {
		names = append(names, k.name)
	}
	chosen := flag.String("cases", strings.Join(names, ","), "what to run, comma-separated")
	seconds := flag.Int("seconds", 10, "how long each load is measured; a case has three")
	profiles := flag.String("profile", "", "directory that profiles of the system under orders are written to")
	results := flag.String("results", "", "directory that the results are written to, as <date>.json and <date>.md; empty writes none")
	flag.Parse()
	b := &bench{lasts: time.Duration(*seconds) * time.Second, profiles: *profiles}
	if b.dir, err = os.MkdirTemp("", "tieout-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	run, err := newRun(b)
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(*chosen, ",") {
		if !slices.Contains(names, name) {
			return fmt.Errorf("there is no case %q, but %s", name, strings.Join(names, ", "))
		}
	}
	for _, k := range cases() {
		if !slices.Contains(strings.Split(*chosen, ","), k.name) {
			continue
		}
		r, err := b.run(ctx, k)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		run.Results = append(run.Results, *r)
	}
	fmt.Print(run.table())
	if *results == "" {
		return nil
	}
	return run.write(filepath.Join(*results, run.Began.Format(time.DateOnly)))
}
