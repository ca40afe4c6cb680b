// The command tieout is the whole system: its services, a private one for this machine (`tieout dev`), and the
// command line of clients and operators.
//
// Only this package and those below it read the environment, take signals and exit. Data goes to stdout, everything
// else to stderr, and the exit code says how it went; see errors.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	logging.Disable()            // the Redis client writes to stderr by itself; what fails is counted and logged where it is called
	os.Exit(run(ctx, &cli{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, environ: armFailpoints(os.Environ()), program: os.Args[0],
	}, os.Args[1:]))
}

// cli is what a command works with.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	program        string // as it was called
}

// run runs one command line and gives its exit code.
func run(ctx context.Context, c *cli, args []string) int {
	root := newRoot(c)
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	command, err := root.ExecuteContextC(ctx)
	c.printError(command, err)
	return exitCode(err)
}
