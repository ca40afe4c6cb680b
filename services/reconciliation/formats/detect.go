package formats

// Detect tells the format of a file by how it begins; mapped says that a mapping of its columns is known.
func Detect(head []byte, mapped bool) (Format, bool) {
	return "", false
}
