// Package nettest gives tests addresses.
package nettest
