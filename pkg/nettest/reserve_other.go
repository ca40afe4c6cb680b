//go:build !linux

package nettest

// reserve does nothing: two sockets cannot share a port here.
func reserve(int) (release func(), err error) { return func() {}, nil }
