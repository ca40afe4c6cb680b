package dev

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// portsTried is how many ports behind a busy default one are tried.
const portsTried = 100

// Address is where to listen.
type Address struct {
	// Addr is host:port; port 0 is a free one.
	Addr string
	// Flag is the flag that gives the address, "--grpc-addr".
	Flag string
	// Default tells that nobody chose the address: when it is taken, it gives way to the next free one.
	Default bool
}

// free gives the address, or when it is a default and taken, the next free one of its host. A free port is not held:
// another process may still be faster.
func (a Address) free() (string, error) {
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", a.Flag, a.Addr, err)
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return "", fmt.Errorf("%s %s: %q is not a port", a.Flag, a.Addr, port)
	}
	for n := first; ; n++ {
		addr := net.JoinHostPort(host, strconv.Itoa(n))
		err := tryListen(addr)
		switch {
		case err == nil:
			return addr, nil
		case !errors.Is(err, syscall.EADDRINUSE) || n == first+portsTried:
			return "", fmt.Errorf("%s %w", a.Flag, err)
		case !a.Default:
			return "", fmt.Errorf("%s %s: the address is %w: choose another one, or leave the flag out to take the next free port",
				a.Flag, a.Addr, ErrBusy)
		}
	}
}

func tryListen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return l.Close()
}
