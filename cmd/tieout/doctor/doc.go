// Package doctor looks for what keeps the system from running well, or would cost money later: a Postgres that
// confirms what it has not written, a clock that is off, a database without its migrations.
package doctor
