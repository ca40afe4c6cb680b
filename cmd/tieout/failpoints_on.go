//go:build failpoints

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tieout/tieout/pkg/failpoint"
	"github.com/tieout/tieout/pkg/service"
)

const envFailpoint = service.EnvPrefix + "FAILPOINT_"

// armFailpoints tells package failpoint what the environment says of it, and gives the rest of the environment.
func armFailpoints(environ []string) []string {
	c := &cli{environ: environ}
	err := failpoint.Configure(failpoint.Config{
		Trace: c.getenv(envFailpoint + "TRACE"), Kill: c.getenv(envFailpoint + "KILL"), Plant: c.getenv(envFailpoint + "PLANT"),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUsage)
	}
	return slices.DeleteFunc(slices.Clone(environ), func(assignment string) bool {
		return strings.HasPrefix(assignment, envFailpoint)
	})
}
