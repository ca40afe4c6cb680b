package benchtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// tick is what /proc counts processor time in: USER_HZ, which Linux shows as 100 a second on all machines that Go runs on.
const tick = 10 * time.Millisecond

// stat is what /proc says of a process.
type stat struct {
	parent int
	used   time.Duration // by the process itself
	reaped time.Duration // by children that have ended
}

func statOf(pid int) (s stat, err error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	text := string(raw) // "7 (a name) S 1 …", and a name may hold anything
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return s, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var n [15]int64
	for _, i := range []int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return s, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return stat{int(n[1]), time.Duration(n[11]+n[12]) * tick, time.Duration(n[13]+n[14]) * tick}, nil
}

// Family gives a process and its children.
func Family(pid int) (all []int, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		s, err := statOf(child)
		if err == nil && (child == pid || s.parent == pid) { // one that has just ended is counted as reaped
			all = append(all, child)
		}
	}
	return all, nil
}

// Used is how long processors have worked for a process and, if they are asked for, for all children that it ever had.
func Used(pid int, children bool) (used time.Duration, err error) {
	for {
		s, err := statOf(pid)
		if err != nil || !children {
			return s.used, err
		}
		all, err := Family(pid)
		if err != nil {
			return 0, err
		}
		used = s.reaped
		for _, p := range all {
			if s, err := statOf(p); err == nil {
				used += s.used
			}
		}
		if again, err := statOf(pid); err != nil || again.reaped == s.reaped { // no child has ended meanwhile, which would be in neither
			return used, err
		}
	}
}

// Postmaster is the process of the server that a connection leads to, on this machine.
func Postmaster(ctx context.Context, conn *pgx.Conn) (pid int, err error) {
	var backend int
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return 0, err
	}
	s, err := statOf(backend)
	return s.parent, err
}
