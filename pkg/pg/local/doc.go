// Package local runs a private Postgres server for development and tests, from server binaries installed on this
// machine. It listens on 127.0.0.1 only, asks everybody for a password, and ends with the process that started it.
//
// A server's directory holds
//
//	data/               the cluster
//	superuser.password  of the role postgres; readable by its owner only
//	postgres.log        unless the log goes elsewhere
//
// and is locked by the process that uses it. Postgres refuses to run as root; when this process is root, the server
// runs as the user who owns data/, which for a new cluster is postgres, or nobody where there is no such user. That
// user must be able to reach the directory.
//
// What a killed process leaves behind is dealt with by the next Start: a server that is still shutting down is waited
// for, a stale postmaster.pid is no obstacle, and an initdb that did not finish is done again.
//
// BUG(local): only Linux tells a child that its parent died. Elsewhere a kill -9 leaves the server running until the
// next Start in the same directory, which stops it.
package local
