package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// openStream opens a file to be read once; - is stdin.
func (c *cli) openStream(name string) (io.Reader, func(), error) {
	if name == "-" {
		return c.stdin, func() {}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		file.Close()
		return nil, nil, errors.Join(err, usageError{fmt.Errorf("%s is not a file of lines", name)})
	}
	return file, func() { file.Close() }, nil
}

// openSeekable opens a file to be read twice. What can be read only once, as a pipe, is copied to disk first.
func (c *cli) openSeekable(name string) (io.ReadSeeker, func(), error) {
	stream, closeStream, err := c.openStream(name)
	if err != nil {
		return nil, nil, err
	}
	if seeker, ok := stream.(io.ReadSeeker); ok {
		if _, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			return seeker, closeStream, nil
		}
	}
	defer closeStream()
	spool, err := os.CreateTemp("", "tieout-input-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() {
		spool.Close()
		os.Remove(spool.Name())
	}
	_, err = io.Copy(spool, stream)
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		remove()
		return nil, nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return spool, remove, nil
}
