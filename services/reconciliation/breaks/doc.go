// Package breaks decides on breaks: differences between what two sides say, until they are explained. It holds the taxonomy
// (code.go): what each code means and what is done about it by default.
package breaks
