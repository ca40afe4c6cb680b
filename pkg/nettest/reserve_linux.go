package nettest

import "syscall"

// reserve binds a port of the loopback address and does not listen. The kernel then gives the port to nobody who asks
// for any, as each outgoing connection does, and lets those bind it who allow its reuse, as Go's and other servers'
// listeners do.
func reserve(port int) (release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	release = func() { _ = syscall.Close(fd) }
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}
