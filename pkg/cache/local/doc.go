// Package local runs a private Redis for development and tests, a primary and a replica of it, from a redis-server that
// is installed on this machine. Both listen on 127.0.0.1 only, ask everybody for a password, keep nothing on disk, and
// end with the process that started them.
//
// BUG(local): only Linux tells a child that its parent died. Elsewhere a kill -9 leaves the servers running.
package local
