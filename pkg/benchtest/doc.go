// Package benchtest puts a load on something, in a benchmark or in a test, and tells what it did and what that cost.
package benchtest
