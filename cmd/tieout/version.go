package main

import (
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
)

// build says what binary this is.
type build struct {
	// Version is the module's, or "(devel)" when built in a checkout.
	Version string `json:"version"`
	// Commit is the revision it was built from, "+" behind it when the checkout had changes; empty when not known.
	Commit string `json:"commit"`
	// Go is the version of Go it was built with.
	Go string `json:"go"`
}

func thisBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build{Version: "unknown"}
	}
	b := build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value + b.Commit
		case s.Key == "vcs.modified" && s.Value == "true":
			b.Commit += "+"
		}
	}
	return b
}

var buildView = output.View[build]{
	JSON: output.Value[build],
	Columns: []output.Column[build]{
		{Name: "version", Value: func(b build) string { return b.Version }},
		{Name: "commit", Value: func(b build) string { return b.Commit }},
		{Name: "go", Value: func(b build) string { return b.Go }},
	},
}

func (c *cli) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Say what binary this is", Args: args(cobra.NoArgs)}
	format := formatFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return output.One(c.stdout, *format, buildView, thisBuild()) }
	return cmd
}
