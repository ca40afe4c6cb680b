package dev

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestAddress_GivesWayOnlyWhenNobodyChoseIt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := Address{Addr: l.Addr().String(), Flag: "--grpc-addr"}
	if _, err := taken.free(); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "--grpc-addr") {
		t.Errorf("a chosen address that is taken gave %v", err)
	}
	taken.Default = true
	got, err := taken.free()
	if err != nil || got == taken.Addr {
		t.Errorf("a default address that is taken gave %s, %v", got, err)
	}
}

func TestAddress_IsCheckedWithTheFlagItCameBy(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"7433", "127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1:7433"} {
		if _, err := (Address{Addr: addr, Flag: "--http-addr"}).free(); err == nil || !strings.Contains(err.Error(), "--http-addr") {
			t.Errorf("%s gave %v", addr, err)
		}
	}
}
