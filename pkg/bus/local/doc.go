// Package local runs a NATS server with JetStream inside this process, for development and tests.
package local
