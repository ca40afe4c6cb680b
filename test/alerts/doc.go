// Package alerts holds the tests of the alerts: their rules, as promtool runs them, and that each fires when a system that a
// real Prometheus watches is hurt as it says, and no other.
package alerts
