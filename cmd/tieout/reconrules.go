package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	reconciliationv1 "github.com/tieout/tieout/gen/tieout/reconciliation/v1"
)

func (c *cli) reconRulesCommand() *cobra.Command {
	all := &cobra.Command{Use: "list", Short: "List the versions of the rules, newest first"}
	get := &cobra.Command{Use: "get [VERSION]", Short: "Show a version of the rules; without one, the rules that are active", Args: args(cobra.MaximumNArgs(1))}
	return group("rules", "What may be taken for the same money, when it is due, and what fees are expected",
		list(c, all, rulesView, func(ctx context.Context, r *remote, size int32, token string) ([]*reconciliationv1.RuleSet, string, error) {
			p, err := reconciliations(r).ListRuleSets(ctx, &reconciliationv1.ListRuleSetsRequest{PageSize: size, PageToken: token})
			return p.GetRuleSets(), p.GetNextPageToken(), err
		}),
		object(c, get, rulesView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.RuleSet, error) {
			request := &reconciliationv1.GetRuleSetRequest{}
			if len(args) > 0 {
				version, err := versionArg(args[0])
				if err != nil {
					return nil, err
				}
				request.Version = version
			}
			answer, err := reconciliations(r).GetRuleSet(ctx, request)
			return answer.GetRuleSet(), err
		}),
		c.reconRulesPutCommand(), c.reconRulesActivateCommand())
}

func versionArg(text string) (int32, error) {
	version, err := strconv.ParseInt(text, 10, 32)
	if err != nil || version < 1 {
		return 0, usageError{fmt.Errorf("%q is no version like 2", text)}
	}
	return int32(version), nil
}

func (c *cli) reconRulesPutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "put -f FILE", Short: "Store a new version of the rules; no run goes by it before it is activated", Args: args(cobra.NoArgs),
		Long: `Stores a new version of the rules. No run goes by it before it is activated; see first what it would change:

  tieout recon run --dry-run --rules FILE

The file is JSON, or YAML when its name ends in .yaml or .yml; what is not in it is as in the rules that a system begins with
("recon rules get 1").`,
	}
	file := cmd.Flags().StringP("file", "f", "", "the file; - for stdin (required)")
	note := cmd.Flags().String("note", "", "what is other than before")
	return object(c, cmd, rulesView, func(ctx context.Context, r *remote, _ []string) (*reconciliationv1.RuleSet, error) {
		if *file == "" {
			return nil, usageError{errors.New("-f FILE is missing; - reads stdin")}
		}
		document, err := c.rulesDocument(*file)
		if err != nil {
			return nil, err
		}
		request := &reconciliationv1.PutRuleSetRequest{
			// The same file with the same note is one version.
			IdempotencyKey: fmt.Sprintf("rules/%x", sha256.Sum256([]byte(document+"\x00"+*note))), Document: document, Note: *note,
		}
		answer, _, err := send(ctx, r, reconciliations(r).PutRuleSet, request)
		return answer.GetRuleSet(), err
	})
}

// rulesDocument reads a file of rules, and gives it as JSON.
func (c *cli) rulesDocument(name string) (string, error) {
	stream, closeFile, err := c.openStream(name)
	if err != nil {
		return "", err
	}
	defer closeFile()
	document, err := io.ReadAll(stream)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	if ext := filepath.Ext(name); ext != ".yaml" && ext != ".yml" {
		return string(document), nil
	}
	var content map[string]any
	if err := yaml.Unmarshal(document, &content); err != nil {
		return "", usageError{fmt.Errorf("reading %s: %w", name, err)}
	}
	if document, err = json.Marshal(content); err != nil {
		return "", usageError{fmt.Errorf("reading %s: %w", name, err)}
	}
	return string(document), nil
}

func (c *cli) reconRulesActivateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "activate VERSION", Short: "Have runs that begin from now on go by a version of the rules", Args: args(cobra.ExactArgs(1)),
		Long: "Has runs that begin from now on go by a version of the rules. Without --yes nothing is done: it shows the version.",
	}
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	yes := yesFlag(cmd)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if *reason == "" {
			return usageError{errNoReason}
		}
		return nil
	}
	return object(c, cmd, rulesView, func(ctx context.Context, r *remote, args []string) (*reconciliationv1.RuleSet, error) {
		version, err := versionArg(args[0])
		if err != nil {
			return nil, err
		}
		if !*yes {
			answer, err := reconciliations(r).GetRuleSet(ctx, &reconciliationv1.GetRuleSetRequest{Version: version})
			if err == nil {
				c.note("nothing was done: with --yes runs go by these rules")
			}
			return answer.GetRuleSet(), err
		}
		request := &reconciliationv1.ActivateRuleSetRequest{IdempotencyKey: "activate/" + uuid.NewString(), Version: version, Reason: *reason}
		answer, _, err := send(ctx, r, reconciliations(r).ActivateRuleSet, request)
		return answer.GetRuleSet(), err
	})
}
