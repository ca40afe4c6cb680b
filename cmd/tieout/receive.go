package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/receiving"
	"github.com/tieout/tieout/cmd/tieout/resend"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

func (c *cli) stockReceiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "receive {-f FILE | SKU QUANTITY}", Short: "Receive pieces into stock", Args: args(cobra.MaximumNArgs(2)),
		Long: `Receives pieces into stock: of one SKU, or the lines of a file, JSON Lines {"sku": "MUG", "quantity": 10}, of
which a SKU may have several. What is refused goes to stderr with its line and reason, and the rest goes on.

A file is received once: its key is made of its content, and the same file again is a replay that receives nothing.
To receive the same lines again on purpose, give the delivery a name of its own with --key.`,
	}
	format := formatFlag(cmd)
	file := cmd.Flags().StringP("file", "f", "", "the file; - for stdin")
	key := cmd.Flags().String("key", "", "name of the delivery, which is received once (default: made of the file's content)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *file != "" && len(args) == 0:
			return c.receiveFile(cmd, *file, *key, *format)
		case *file == "" && len(args) == 2:
			return c.receiveOne(cmd, args, *key, *format)
		}
		return usageError{errors.New("say what to receive: either -f FILE or SKU QUANTITY")}
	}
	return cmd
}

// receiveOne receives one SKU. Each time the command is run is a delivery of its own, unless it is given a name.
func (c *cli) receiveOne(cmd *cobra.Command, args []string, key string, format output.Format) error {
	quantity, err := strconv.ParseInt(args[1], 10, 32)
	if err != nil {
		return usageError{fmt.Errorf("QUANTITY %q is not a whole number that fits 32 bits", args[1])}
	}
	if key == "" {
		key = "stock/" + uuid.NewString()
	}
	request := &inventoryv1.ReceiveStockRequest{
		IdempotencyKey: key, Lines: []*inventoryv1.StockLine{{Sku: args[0], Quantity: int32(quantity)}},
	}
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if err := contact(ctx, r); err != nil {
			return err
		}
		answer, replayed, err := send(ctx, r, inventoryv1.NewInventoryServiceClient(r.conn).ReceiveStock, request)
		if err != nil {
			return err
		}
		if replayed {
			c.note("replayed: delivery %s was received before, and nothing was received again", key)
		}
		for _, stock := range answer.GetStock() {
			if err := output.One(c.stdout, format, stockView, stock); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *cli) receiveFile(cmd *cobra.Command, name, key string, format output.Format) error {
	file, closeFile, err := c.openSeekable(name)
	if err != nil {
		return err
	}
	defer closeFile()
	if key == "" {
		if key, err = contentKey(file); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if err := contact(ctx, r); err != nil {
			return err
		}
		progress := newProgress(c.stderr)
		sum, err := receiving.Run(ctx, receiving.Config{
			Client: inventoryv1.NewInventoryServiceClient(r.conn), Resender: resend.New(patience),
			Key: key, Timeout: r.timeout,
			Report: func(line string) { progress.clear(); c.note("%s", line) },
			Progress: func(s receiving.Summary) {
				progress.show(fmt.Sprintf("%d lines received, %d refused", s.Received, s.Refused))
			},
		}, file)
		progress.clear()
		if sum.Replayed > 0 {
			c.note("replayed: %d lines had been received before and were not received again; --key NAME receives them anew", sum.Replayed)
		}
		err = errors.Join(err, output.One(c.stdout, format, receiptView, sum))
		if err != nil && sum.Received == 0 || sum.Refused == 0 && err == nil {
			return err
		}
		if err != nil {
			c.note("not all was received. Run the same command again to go on; nothing is received twice.")
		}
		return &exit{code: exitPartial, err: err}
	})
}

// contentKey names a delivery by what is in its file, and leaves the file at its beginning.
func contentKey(file io.ReadSeeker) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	content := sha256.New()
	if _, err := io.Copy(content, file); err != nil {
		return "", err
	}
	_, err := file.Seek(0, io.SeekStart)
	return fmt.Sprintf("stock-file/%x", content.Sum(nil)), err
}

var receiptView = output.View[receiving.Summary]{
	JSON: output.Value[receiving.Summary],
	Columns: []output.Column[receiving.Summary]{
		{Name: "received", Value: func(s receiving.Summary) string { return pieces(s.Received) }},
		{Name: "quantity", Value: func(s receiving.Summary) string { return pieces(s.Quantity) }},
		{Name: "refused", Value: func(s receiving.Summary) string { return pieces(s.Refused) }},
		{Name: "replayed", Value: func(s receiving.Summary) string { return pieces(s.Replayed) }},
	},
}
