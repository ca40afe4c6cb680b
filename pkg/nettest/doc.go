// Package nettest gives tests addresses, and serves at them.
package nettest
