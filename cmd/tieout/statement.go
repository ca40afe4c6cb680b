package main

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/importing"
	"github.com/tieout/tieout/cmd/tieout/output"
	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

const (
	fileStatePrefix       = "STATEMENT_FILE_STATE_"
	statementFormatPrefix = "STATEMENT_FORMAT_"
	statementSidePrefix   = "STATEMENT_SIDE_"
	standingPrefix        = "STATEMENT_STANDING_"
)

func (c *cli) statementCommand() *cobra.Command {
	return c.remoteGroup("statement", "Take in what the payment provider and the bank say, and decide on what is held",
		c.statementImportCommand(), c.statementListCommand(), c.statementFilesCommand(), c.statementGetCommand(), c.statementLinesCommand(),
		c.statementReleaseCommand(), c.statementDropCommand())
}

func (c *cli) statementListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List statements, newest file first, and in its order"}
	file := cmd.Flags().String("file", "", "only those of this file")
	account := cmd.Flags().String("bank-account", "", "only those of this account with the bank")
	standings := enumNames[reconciliationv1.StatementStanding](standingPrefix)
	standing := cmd.Flags().String("standing", "", "only those that are "+strings.Join(standings, ", "))
	return list(c, cmd, statementView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.Statement, string, error) {
		is, err := enumFlag[reconciliationv1.StatementStanding]("standing", standingPrefix, *standing)
		if err != nil {
			return nil, "", err
		}
		p, err := reconciliationv1.NewStatementServiceClient(r.conn).ListStatements(ctx, &reconciliationv1.ListStatementsRequest{
			PageSize: size, PageToken: token, FileId: *file, BankAccount: *account, Standing: is,
		})
		return p.GetStatements(), p.GetNextPageToken(), err
	})
}

func (c *cli) statementFilesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "files", Short: "List files, newest first; also those that come in at this moment"}
	account := cmd.Flags().String("account", "", "only those of this account with the provider")
	states := enumNames[reconciliationv1.StatementFileState](fileStatePrefix)
	state := cmd.Flags().String("state", "", "only those that are "+strings.Join(states, ", "))
	return list(c, cmd, statementFileView(nil), func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.StatementFile, string, error) {
		is, err := enumFlag[reconciliationv1.StatementFileState]("state", fileStatePrefix, *state)
		if err != nil {
			return nil, "", err
		}
		p, err := reconciliationv1.NewStatementServiceClient(r.conn).ListStatementFiles(ctx, &reconciliationv1.ListStatementFilesRequest{
			PageSize: size, PageToken: token, Account: *account, State: is,
		})
		return p.GetFiles(), p.GetNextPageToken(), err
	})
}

func (c *cli) statementGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get STATEMENT|FILE", Short: "Show a statement, or a file with its statements and what does not tie out", Args: args(cobra.ExactArgs(1)),
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			ctx, cancel := r.callContext(ctx)
			defer cancel()
			client := reconciliationv1.NewStatementServiceClient(r.conn)
			if !strings.HasPrefix(args[0], "stf_") {
				found, err := client.GetStatement(ctx, &reconciliationv1.GetStatementRequest{StatementId: args[0]})
				if err != nil {
					return err
				}
				return output.One(c.stdout, *format, statementView, found.GetStatement())
			}
			found, err := client.GetStatementFile(ctx, &reconciliationv1.GetStatementFileRequest{FileId: args[0]})
			if err != nil {
				return err
			}
			statements, err := importing.Statements(ctx, client, args[0])
			if err != nil {
				return err
			}
			return output.One(c.stdout, *format, statementFileView(statements), found.GetFile())
		})
	}
	return cmd
}

func (c *cli) statementLinesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lines STATEMENT|FILE", Short: "List the lines of a statement, or of a file, that are movements of money",
		Long: `Lists the lines of a statement, or of all of a file, that are movements of money. Lines that are not booked are none; nor
are those that another file has brought.`,
	}
	target := ""
	list(c, cmd, statementLineView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.StatementLine, string, error) {
		p, err := reconciliationv1.NewStatementServiceClient(r.conn).ListStatementLines(ctx, &reconciliationv1.ListStatementLinesRequest{
			PageSize: size, PageToken: token, StatementId: target,
		})
		return p.GetLines(), p.GetNextPageToken(), err
	})
	cmd.Args = args(cobra.ExactArgs(1))
	cmd.PreRun = func(_ *cobra.Command, args []string) { target = args[0] }
	return cmd
}

func (c *cli) statementReleaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "release STATEMENT|FILE", Short: "Take a statement that is held as it is, or all that are held of a file",
		Long: `Takes a statement that is held as it is, or all that are held of a file. A file counts when none of its statements is
held any more. Lines that another file has brought are not taken in again.`,
	}
	return c.statementVerb(cmd, func(ctx context.Context, r *remote, id, key, reason string) (*reconciliationv1.StatementFile, error) {
		request := &reconciliationv1.ReleaseStatementRequest{IdempotencyKey: key, StatementId: id, Reason: reason}
		answer, _, err := send(ctx, r, reconciliationv1.NewStatementServiceClient(r.conn).ReleaseStatement, request)
		return answer.GetFile(), err
	})
}

func (c *cli) statementDropCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop STATEMENT|FILE", Short: "Throw away a statement that is held, or a file that is held or quarantined",
		Long: `Throws away a statement of a file that is held, with its lines, or a whole file that is held or quarantined. The file may
then be imported again. What is accepted stays.`,
	}
	return c.statementVerb(cmd, func(ctx context.Context, r *remote, id, key, reason string) (*reconciliationv1.StatementFile, error) {
		request := &reconciliationv1.DropStatementRequest{IdempotencyKey: key, StatementId: id, Reason: reason}
		answer, _, err := send(ctx, r, reconciliationv1.NewStatementServiceClient(r.conn).DropStatement, request)
		return answer.GetFile(), err
	})
}

// statementVerb adds what the commands have in common that decide on what is held: do is given a key of its own, for each time
// the command is run is a decision of its own.
func (c *cli) statementVerb(cmd *cobra.Command, do func(ctx context.Context, r *remote, id, key, reason string) (*reconciliationv1.StatementFile, error)) *cobra.Command {
	cmd.Args = args(cobra.ExactArgs(1))
	asFlag(cmd)
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *reason == "" {
			return usageError{errNoReason}
		}
		return nil
	}
	verb := cmd.Name()
	return object(c, cmd, statementFileView(nil), func(ctx context.Context, r *remote, args []string) (*reconciliationv1.StatementFile, error) {
		if err := contact(ctx, r); err != nil {
			return nil, err
		}
		return do(ctx, r, args[0], verb+"/"+uuid.NewString(), *reason)
	})
}
