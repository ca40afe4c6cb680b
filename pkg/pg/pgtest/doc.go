// Package pgtest gives tests databases on a real Postgres: one private cluster per test binary, started when the first
// test asks for it, and per test a database of its own, cloned from a template that was migrated once.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// Tests that ask for a database are skipped under -short. Where Postgres is not installed they fail and say what to
// install: a suite that skipped would prove nothing.
package pgtest
