// Package placing places the orders of a file, many at once, and follows them to their end.
//
// An order whose answer is lost is placed again under the same key. Memory does not grow with the file: at most as
// many orders are in flight as there are workers, and at most a thousand are followed; the file is read no faster.
package placing
