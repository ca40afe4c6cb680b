// Package uploading sends files to a server in pieces, again from their beginning when that breaks off.
package uploading
