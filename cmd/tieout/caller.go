package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const (
	// defaultCaller is who the command line is to the server where nobody says who decides.
	defaultCaller = "cli"
	// maxCaller is how long a name may be; the server takes a longer one for none.
	maxCaller = 128
)

// asFlag adds --as to a command by which a person decides something: who that is stands in the audit trail, and where two
// people have to agree, tells one from the other.
//
// The keys of different callers are different requests. So a command whose key may come again from somebody else – given by a
// flag, or made of a file or of what it is about – has no --as: asked for by two people, it would take effect twice.
func asFlag(cmd *cobra.Command) {
	cmd.Flags().String("as", "", "who decides, for the record (default $"+envCaller+", else "+defaultCaller+")")
}

// caller is who the server is told that a command comes from.
func (c *cli) caller(cmd *cobra.Command) (string, error) {
	flag := cmd.Flags().Lookup("as")
	if flag == nil {
		return defaultCaller, nil
	}
	name := cmp.Or(flag.Value.String(), c.getenv(envCaller), defaultCaller)
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	if len(name) > maxCaller || strings.TrimFunc(name, printable) != "" || strings.TrimSpace(name) != name {
		return "", usageError{fmt.Errorf("--as %.40q, or $%s, is no name of up to %d printable ASCII characters", name, envCaller, maxCaller)}
	}
	return name, nil
}
