package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/orderfile"
	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/placing"
	"github.com/tieout/tieout/cmd/tieout/resend"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
)

// placeFlags are what `order place` was told.
type placeFlags struct {
	file, mapping string
	wait          bool
	concurrency   int
	defaults      orderfile.Defaults
	format        *output.Format
}

func (c *cli) orderPlaceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "place -f FILE", Short: "Place the orders of a file", Args: args(cobra.NoArgs),
		Long: `Places the orders of a file: JSON Lines of PlaceOrderRequest, or with --map a CSV file that has a row for
each line of an order. The rows of one order need not follow each other.

  --map order=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice,customer=CustomerID,currency=GBP

names the column of each part; payment_method, name, street, city, postal_code and country may be mapped as
well. For currency, payment_method and country, what is no column is the value for all orders. Prices are decimal
numbers, with at most the decimals of the currency. The idempotency key of a CSV order is csv-order/<order>.

What is refused goes to stderr with its line and reason, and the rest goes on. The same file again places nothing
twice: orders that were accepted before are counted as replayed.`,
	}
	f := &placeFlags{format: formatFlag(cmd)}
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the file; - for stdin")
	cmd.Flags().StringVar(&f.mapping, "map", "", "read CSV, with these columns")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "follow every accepted order to its end")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 64, "how many orders to have in flight")
	cmd.Flags().StringVar(&f.defaults.PaymentMethod, "payment-method", "", "payment method of orders whose file names none")
	cmd.Flags().StringVar(&f.defaults.Country, "ship-to", "", "country (ISO 3166-1 alpha-2) of orders whose file names none")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.place(cmd, f) }
	return cmd
}

func (c *cli) place(cmd *cobra.Command, f *placeFlags) error {
	if f.concurrency < 1 {
		return usageError{fmt.Errorf("--concurrency %d is less than 1", f.concurrency)}
	}
	orders, closeFile, err := c.openOrders(f)
	if err != nil {
		return err
	}
	defer closeFile()
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if err := contact(ctx, r); err != nil {
			return err
		}
		progress := newProgress(c.stderr)
		summary, err := placing.Run(ctx, placing.Config{
			Client: orderv1.NewOrderServiceClient(r.conn), Resender: resend.New(patience), Tracer: r.tracer,
			Concurrency: f.concurrency, Timeout: r.timeout, Follow: f.wait,
			Report:        func(line string) { progress.clear(); c.note("%s", line) },
			ProgressEvery: progress.every, Progress: func(s placing.Summary) { progress.show(placed(s, f.wait)) },
		}, orders)
		progress.clear()
		if printed := output.One(c.stdout, *f.format, summaryView, summary); err == nil {
			err = printed
		}
		return c.placeResult(ctx, summary, f, err)
	})
}

// placeResult is the command's error: what went wrong as a whole, or that some orders were not placed.
func (c *cli) placeResult(ctx context.Context, s placing.Summary, f *placeFlags, err error) error {
	if s.Replayed > 0 {
		c.note("replayed: %d of the %d accepted orders had been accepted before and were not placed again", s.Replayed, s.Accepted)
	}
	switch {
	case err != nil && s.Accepted == 0:
		return err
	case err == nil && ctx.Err() != nil:
		what := "the rest of the file was not placed"
		if f.wait {
			what += ", or not followed"
		}
		c.note("detached: %s. Run the same command again to go on; nothing is placed twice.", what)
	case err == nil && s.Refused+s.Failed == 0:
		return nil
	case s.Failed > 0:
		c.note("%d orders got no answer. Run the same command again; nothing is placed twice.", s.Failed)
	}
	return &exit{code: exitPartial, err: err}
}

// openOrders opens the file as what the flags say it is.
func (c *cli) openOrders(f *placeFlags) (orders iter.Seq2[*orderfile.Order, error], closeFile func(), err error) {
	if f.file == "" {
		return nil, nil, usageError{errors.New("-f FILE is missing; - reads stdin")}
	}
	if f.mapping == "" {
		if strings.EqualFold(filepath.Ext(f.file), ".csv") {
			return nil, nil, usageError{errors.New("a CSV file needs --map order=…,sku=…,quantity=…,unit_price=…,customer=…,currency=…")}
		}
		file, closeFile, err := c.openStream(f.file)
		if err != nil {
			return nil, nil, err
		}
		return orderfile.JSONLines(file, f.defaults), closeFile, nil
	}
	mapping, err := orderfile.ParseMapping(f.mapping)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--map: %w", err)}
	}
	file, closeFile, err := c.openSeekable(f.file)
	if err != nil {
		return nil, nil, err
	}
	return orderfile.CSV(file, mapping, f.defaults), closeFile, nil
}

var summaryView = output.View[placing.Summary]{
	JSON: output.Value[placing.Summary],
	Columns: []output.Column[placing.Summary]{
		{Name: "accepted", Value: func(s placing.Summary) string { return pieces(s.Accepted) }},
		{Name: "replayed", Value: func(s placing.Summary) string { return pieces(s.Replayed) }},
		{Name: "refused", Value: func(s placing.Summary) string { return pieces(s.Refused) }},
		{Name: "failed", Value: func(s placing.Summary) string { return pieces(s.Failed) }},
		{Name: "completed", Value: func(s placing.Summary) string { return pieces(s.Completed) }},
		{Name: "compensated", Value: func(s placing.Summary) string { return pieces(s.Compensated) }},
		{Name: "parked", Value: func(s placing.Summary) string { return pieces(s.Parked) }},
		{Name: "duration_s", Value: func(s placing.Summary) string { return decimal(s.DurationS) }},
		{Name: "p50_ms", Value: func(s placing.Summary) string { return decimal(s.LatencyMS.P50) }},
		{Name: "p99_ms", Value: func(s placing.Summary) string { return decimal(s.LatencyMS.P99) }},
	},
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// placed says how far things are.
func placed(s placing.Summary, wait bool) string {
	text := fmt.Sprintf("%d accepted, %d refused, %d failed", s.Accepted, s.Refused, s.Failed)
	if wait {
		text += fmt.Sprintf("; %d completed, %d compensated, %d parked", s.Completed, s.Compensated, s.Parked)
	}
	if s.DurationS > 0 {
		text += fmt.Sprintf("; %.0f/s", float64(s.Accepted)/s.DurationS)
	}
	return text
}
