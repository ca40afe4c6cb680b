// Package filter makes of a filter that a person has written (AIP-160) a condition in SQL.
//
// The grammar is the library's; which fields there are, and what they can be compared with, is a table of [Field]s that
// each list has for itself:
//
//	phase = parked AND cause : "declined" AND age > "15m"
//
// Knows = != : (has) < <= > >=, AND, OR (which binds more tightly) and NOT. What is more than letters, digits and _ stands
// in quotes. What a person wrote becomes an argument of the SQL and never a part of it. What is wrong is FILTER_INVALID, with
// the place and the fields that there are.
package filter
