// Package rowfile reads files of rows as streams: CSV with a heading, and JSON Lines. It knows where a row begins,
// what its columns are called and whether it is well formed; what a row means is its user's to say.
//
// Memory does not grow with the file: a row is read, given and forgotten, and no row may be longer than the bound
// that the user sets. So a quote that is never closed costs one bound, not the file.
//
// What is wrong within a row is that row's error, and the rest is read on. Where it cannot be told any more where
// rows begin, reading ends with a [FileError]: the rows behind would be a guess. Every other error that ends reading
// is the stream's.
package rowfile

// FileError tells that the file cannot be read on, or not at all, for what it holds; the stream is not to blame.
type FileError struct {
	// Line is the line that it is about, from 1; 0 when it is about none.
	Line int
	// Err says what is wrong, and on which line.
	Err error
}

// Error implements error.
func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap implements what errors.Is looks for.
func (e *FileError) Unwrap() error { return e.Err }
