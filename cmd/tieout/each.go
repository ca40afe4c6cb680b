package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
)

// each is what is done to one thing after the other, and how what becomes of them is shown.
type each[T any] struct {
	view   output.View[T]
	format output.Format
	ids    []string
	// do does it. Failed says that it was done and did not come to what was wanted.
	do func(id string) (after T, failed bool, err error)
}

// onEach does it. Of several things, those that refuse go to stderr, and the rest goes on; a server that does not answer ends it.
func onEach[T any](c *cli, cmd *cobra.Command, e each[T]) error {
	if len(e.ids) == 1 {
		after, failed, err := e.do(e.ids[0])
		if err != nil {
			return err
		}
		if err := output.One(c.stdout, e.format, e.view, after); err != nil || !failed {
			return err
		}
		return &exit{code: exitPrecondition}
	}
	w, left := output.NewWriter(c.stdout, e.format, e.view), 0
	for _, id := range e.ids {
		after, failed, err := e.do(id)
		if resend.Transient(err) {
			return w.End(err)
		}
		if err != nil || failed {
			left++
		}
		if err != nil {
			c.note("%s was left as it is", id)
			c.printError(cmd, err)
			continue
		}
		if err := errors.Join(w.Write(after), w.Flush()); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil || left == 0 {
		return err
	}
	return &exit{code: exitPartial}
}
