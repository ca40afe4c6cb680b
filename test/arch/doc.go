// Package arch holds the rules of the house as tests: who imports whom (imports_test.go), how large
// things get (budgets_test.go), what they are called (names_test.go), the shape every service has
// (shape_test.go), what every RPC declares (proto_test.go) and that every SQL statement fits its schema
// (sql_test.go).
//
// A failure prints file, line and the rule. A rule that is in the way is changed here, in a commit of its
// own that says why; there is no list of exceptions to grow. Generated code is not ours to shape, and is
// left out where a rule is about writing.
package arch
