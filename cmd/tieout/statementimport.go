package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/importing"
	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	"github.com/tieout/tieout/cmd/tieout/uploading"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

// importFlags are what is said of files.
type importFlags struct {
	account, format, side, mapping, currency string
}

func (c *cli) statementImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE…", Short: "Take in statements of the bank, and reports of the payment provider", Args: args(cobra.MinimumNArgs(1)),
		Long: `Takes in statements of the bank, and reports of the payment provider: camt.053, camt.054, MT940, MT942, BAI2, the itemized
payout reconciliation report of Stripe, and CSV with a mapping. What a file is its beginning says; - reads stdin.

All that a file says of itself is proven before any of it counts. A file of which one proof does not hold is quarantined as a
whole. A statement that does not continue the one before it, or covers what another one has, is held with its file, until
what is missing comes, or until "statement release" or "statement drop". A file that is there already changes nothing.

Exits with 8 when a file is quarantined or held, and with 7 when one of several could not be read.`,
	}
	f, format := &importFlags{}, formatFlag(cmd)
	formats := enumNames[reconciliationv1.StatementFormat](statementFormatPrefix)
	cmd.Flags().StringVar(&f.account, "account", "", "the account with the payment provider that they belong to (default \"default\")")
	cmd.Flags().StringVar(&f.format, "format", "", strings.Join(formats, ", ")+" (default: as the file's beginning says)")
	cmd.Flags().StringVar(&f.side, "side", "", "who says it, of CSV: provider or bank")
	cmd.Flags().StringVar(&f.mapping, "mapping", "", "a JSON file that says what the columns of CSV mean")
	cmd.Flags().StringVar(&f.currency, "currency", "", "the currency of lines where the file names none")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		header, err := f.header()
		if err != nil {
			return err
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			return c.importAll(ctx, cmd, r, header, names, *format)
		})
	}
	return cmd
}

// header is what the flags say of each file.
func (f *importFlags) header() (*reconciliationv1.StatementHeader, error) {
	h := &reconciliationv1.StatementHeader{Account: f.account, CurrencyCode: f.currency}
	var err error
	if h.Format, err = enumFlag[reconciliationv1.StatementFormat]("format", statementFormatPrefix, f.format); err != nil {
		return nil, err
	}
	if h.Side, err = enumFlag[reconciliationv1.StatementSide]("side", statementSidePrefix, f.side); err != nil {
		return nil, err
	}
	if f.mapping == "" {
		return h, nil
	}
	mapping, err := os.ReadFile(f.mapping)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	h.Mapping = string(mapping)
	return h, nil
}

// importAll imports one file after the other. One that cannot be read does not keep the others out.
func (c *cli) importAll(ctx context.Context, cmd *cobra.Command, r *remote, header *reconciliationv1.StatementHeader, names []string, format output.Format) error {
	w := output.NewWriter(c.stdout, format, importView)
	unread, unclean := 0, 0
	for _, name := range names {
		s, err := c.importOne(ctx, r, header, name)
		switch {
		case err != nil && len(names) == 1:
			return err
		case ctx.Err() != nil || resend.Transient(err) || errors.Is(err, resend.ErrGone):
			return w.End(err)
		case err != nil:
			unread++
			c.note("%s was not taken in", name)
			c.printError(cmd, err)
			continue
		}
		if !s.Clean() {
			unclean++
		}
		if len(names) == 1 {
			err = output.One(c.stdout, format, importView, s)
		} else {
			err = errors.Join(w.Write(s), w.Flush())
		}
		if err != nil {
			return err
		}
	}
	if len(names) > 1 {
		if err := w.Close(); err != nil {
			return err
		}
	}
	switch {
	case unread > 0:
		return &exit{code: exitPartial}
	case unclean > 0:
		return &exit{code: exitFindings}
	}
	return nil
}

// importOne imports a file, and says what is to be known of it.
func (c *cli) importOne(ctx context.Context, r *remote, header *reconciliationv1.StatementHeader, name string) (s importing.Summary, err error) {
	stream, closeFile, err := c.openSeekable(name)
	if err != nil {
		return s, err
	}
	defer closeFile()
	file, err := uploading.Open(stream)
	if err != nil {
		return s, fmt.Errorf("reading %s: %w", name, err)
	}
	header.Name = filepath.Base(name)
	if name == "-" {
		header.Name = "stdin"
	}
	began, progress := time.Now(), newProgress(c.stderr)
	client := reconciliationv1.NewStatementServiceClient(r.conn)
	u := importing.Import(client, file, header)
	u.Resender, u.Timeout, u.Progress = resend.New(patience), r.timeout, progress.upload(file.Size)
	answer, _, err := u.Run(ctx, file)
	took := time.Since(began)
	progress.clear()
	if err != nil {
		if ctx.Err() != nil {
			c.note("interrupted while %s came in. Run the same command again; nothing is taken in twice.", name)
			return s, &exit{code: exitPartial}
		}
		return s, err
	}
	statements, err := importing.Statements(ctx, client, answer.GetFile().GetFileId())
	if err != nil {
		return s, err
	}
	s = importing.Summarize(answer, statements, took)
	c.noteImport(s)
	return s, nil
}

// noteImport says what is to be known of a file that was there, or does not count.
func (c *cli) noteImport(s importing.Summary) {
	if s.Duplicate {
		c.note("duplicate: %s is there already as file %s of account %s, and nothing has changed", s.Name, s.FileID, s.Account)
	}
	switch s.State {
	case "quarantined":
		c.note("%s does not tie out, and nothing of it counts: %s", s.Name, s.Note)
	case "held":
		c.note("%s is held, and nothing of it counts: %s", s.Name, s.Note)
		c.note("it counts when what is missing has come, or with: %s statement release %s --reason WHY", c.program, s.FileID)
	}
}
