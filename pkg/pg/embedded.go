package pg

import (
	"embed"
	"io/fs"
)

// Embedded is the set of the migrations that a package embeds under dir.
func Embedded(name string, files embed.FS, dir string) Migrations {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // only for a dir that is no valid path, which is the package's own constant
	}
	return Migrations{Name: name, FS: sub}
}
