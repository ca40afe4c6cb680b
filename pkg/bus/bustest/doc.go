// Package bustest is the test kit of package bus: a private NATS server for a test.
package bustest
