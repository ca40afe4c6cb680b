// Package breaks decides on breaks: differences between what two sides say, until they are explained. It holds the taxonomy
// (code.go, taxonomy.go): what each code means and what is done about it by default; a break's identity, which is made of what
// it is about (identity.go); its life, as a table (life.go); and how severe it is (policy.go, day.go).
package breaks
