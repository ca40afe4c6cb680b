// Package promtest is the test kit of what Prometheus is to make of our metrics: promtool, and a private Prometheus. Tests are
// skipped where Debian's package prometheus, or its like, is not installed.
package promtest
