package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tieout/tieout/cmd/tieout/batching"
	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	"github.com/tieout/tieout/cmd/tieout/uploading"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/paymentfile"
)

// paymentFileHelp says what a file of payments looks like.
const paymentFileHelp = `The file is CSV with a heading, or JSON Lines: reference, customer_id, payment_method, amount ("12.50") and currency,
and optionally description and card_scheme. Where a CSV file calls them otherwise, --map says how:

  --map reference=InvoiceNo,customer_id=CustomerID,amount=Total,currency=EUR

For currency and payment_method, what is no heading is the value of all rows.

The same file, of which the same is said, is one batch however often it is uploaded. Payments that are in a batch
already are refused (BATCH_DUPLICATE); --repeats BATCH has them charged once more.`

// uploadFlags are what is said of a file.
type uploadFlags struct {
	set                                     *pflag.FlagSet
	file, name, series, mapping, format     string
	account, cutOff, repeats, rejected, key string
	dunning                                 *dunningFlags
}

func newUploadFlags(cmd *cobra.Command) *uploadFlags {
	f := &uploadFlags{set: pflag.NewFlagSet("", pflag.ContinueOnError)}
	f.set.StringVarP(&f.file, "file", "f", "", "the file; - for stdin")
	f.set.StringVar(&f.name, "name", "", "what to call the batch (default: the file's name)")
	f.set.StringVar(&f.series, "series", "", "what it belongs to from run to run, as in monthly-dues; the plan is compared with the last batch of it")
	f.set.StringVar(&f.mapping, "map", "", "the headings of the CSV file, where they are others")
	f.set.StringVar(&f.format, "format", "", "csv or jsonl (default: as its first byte says)")
	f.set.StringVar(&f.account, "account", "", "the provider account whose limits hold (default \"default\")")
	f.set.StringVar(&f.cutOff, "cut-off", "", "when no more items are started (RFC 3339); those left are cancelled")
	f.set.StringVar(&f.repeats, "repeats", "", "the batch with the same payments, to charge them once more on purpose")
	f.set.StringVar(&f.rejected, "rejected", "", "write the rows that are no payments to this file, as CSV")
	f.set.StringVar(&f.key, "key", "", "idempotency key (default: made of the file and of what is said of it)")
	f.dunning = newDunningFlags(f.set)
	f.set.StringVar(&f.dunning.policy.TimeZone, "zone", "", "IANA zone in which days and times are meant, as in Europe/Berlin (default UTC)")
	cmd.Flags().AddFlagSet(f.set)
	return f
}

// given are the flags that were given.
func (f *uploadFlags) given() (given []string) {
	f.set.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed {
			given = append(given, "--"+flag.Name)
		}
	})
	return given
}

// header is what the flags say of the file.
func (f *uploadFlags) header() (*billingv1.BatchHeader, error) {
	h := &billingv1.BatchHeader{Name: f.name, Series: f.series, ProviderAccount: f.account, RepeatsBatchId: f.repeats}
	if h.GetName() == "" {
		if f.file == "-" {
			return nil, usageError{errors.New("what comes from stdin needs --name")}
		}
		h.Name = strings.TrimSuffix(filepath.Base(f.file), filepath.Ext(f.file))
	}
	switch f.format {
	case "":
	case "csv":
		h.Format = billingv1.FileFormat_FILE_FORMAT_CSV
	case "jsonl":
		h.Format = billingv1.FileFormat_FILE_FORMAT_JSON_LINES
	default:
		return nil, usageError{fmt.Errorf("--format %q is none of csv, jsonl", f.format)}
	}
	if f.mapping != "" {
		columns, err := paymentfile.ParseMapping(f.mapping)
		if err != nil {
			return nil, usageError{fmt.Errorf("--map: %w", err)}
		}
		h.Columns = columns
	}
	if f.cutOff != "" {
		at, err := time.Parse(time.RFC3339, f.cutOff)
		if err != nil {
			return nil, usageError{fmt.Errorf("--cut-off %q is no time as in 2026-11-30T18:00:00Z", f.cutOff)}
		}
		h.CutOffTime = timestamppb.New(at)
	}
	var err error
	h.Dunning, err = f.dunning.read()
	return h, err
}

func (c *cli) batchPlanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "plan -f FILE", Short: "Upload a file of payments and show what it comes to; nothing is charged", Args: args(cobra.NoArgs),
		Long: `Uploads a file of payments and shows what it comes to: items, sums, rows that are no payments and why, references
that earlier batches have, and how it differs from the last batch of its series. Nothing is charged before "batch start".

` + paymentFileHelp + `

Exits with 7 when rows were rejected; the rest of the file is planned.`,
	}
	f, format := newUploadFlags(cmd), formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.withUpload(cmd, f, func(ctx context.Context, r *remote, upload func() (*billingv1.Batch, error)) error {
			planned, err := upload()
			if err != nil {
				return err
			}
			if err := output.One(c.stdout, *format, batchView, planned); err != nil {
				return err
			}
			return rowsRejected(planned)
		})
	}
	return cmd
}

// rowsRejected is the error that a file was planned but for some of its rows.
func rowsRejected(planned *billingv1.Batch) error {
	if planned.GetPlan().GetRejected() > 0 {
		return &exit{code: exitPartial}
	}
	return nil
}

// withUpload opens all files, and then does something with the server to which the file is uploaded.
func (c *cli) withUpload(cmd *cobra.Command, f *uploadFlags, do func(ctx context.Context, r *remote, upload func() (*billingv1.Batch, error)) error) error {
	if f.file == "" {
		return usageError{errors.New("-f FILE is missing; - reads stdin")}
	}
	header, err := f.header()
	if err != nil {
		return err
	}
	stream, closeFile, err := c.openSeekable(f.file)
	if err != nil {
		return err
	}
	defer closeFile()
	file, err := uploading.Open(stream)
	if err != nil {
		return fmt.Errorf("reading %s: %w", f.file, err)
	}
	key := f.key
	if key == "" {
		if key, err = batching.Key(file, header); err != nil {
			return err
		}
	}
	rejected := io.Discard
	if f.rejected != "" {
		out, err := os.Create(f.rejected)
		if err != nil {
			return err
		}
		defer out.Close()
		rejected = out
	}
	return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
		if err := contact(ctx, r); err != nil {
			return err
		}
		return do(ctx, r, func() (*billingv1.Batch, error) { return c.upload(ctx, r, file, key, header, rejected) })
	})
}

// upload uploads a file, writes its rejected rows, and says what is to be known of its plan.
func (c *cli) upload(ctx context.Context, r *remote, file *uploading.File, key string, header *billingv1.BatchHeader, rejected io.Writer) (*billingv1.Batch, error) {
	progress := newProgress(c.stderr)
	u := batching.Upload(billingv1.NewBatchServiceClient(r.conn), key, header)
	u.Resender, u.Timeout, u.Progress = resend.New(patience), r.timeout, progress.upload(file.Size)
	answer, replayed, err := u.Run(ctx, file)
	progress.clear()
	if err != nil {
		return nil, c.notPlanned(ctx, err)
	}
	planned := answer.GetBatch()
	id, plan := planned.GetBatchId(), planned.GetPlan()
	if replayed {
		c.note("replayed: the file is batch %s already, which is %s", id, enum(planned.GetState(), batchStatePrefix))
	}
	if plan.GetRejected() > 0 {
		c.note("rows of the file that are no payments, and are left out: %d. See %s batch rejected %s", plan.GetRejected(), c.program, id)
	}
	if plan.GetDuplicates() > 0 {
		c.note("items with references that earlier batches have: %d. See %s batch duplicates %s", plan.GetDuplicates(), c.program, id)
	}
	if rejected == io.Discard {
		return planned, nil
	}
	return planned, writeRejections(ctx, r, id, rejected)
}

// notPlanned says what can be done about a file that did not become a batch.
func (c *cli) notPlanned(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		c.note("interrupted while the file was uploaded, and nothing was started. Run the same command again; nothing is planned twice.")
		return &exit{code: exitPartial}
	}
	if e, _ := rpcerr.FromError(err); e != nil && e.Reason == rpcerr.BatchDuplicate {
		c.note("nothing was planned. See %s batch get %s; to charge the same once more: --repeats %s", c.program, e.Resource, e.Resource)
	}
	return err
}
