// Package audit holds tests that plant violations of the invariants, and see the audit find each, and nothing else.
package audit
