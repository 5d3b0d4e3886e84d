package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func newEraseCommand() *cobra.Command {
	var f clientFlags
	var asJSON, detach bool
	var where string
	cmd := &cobra.Command{
		Use:   "erase --where EXPRESSION",
		Short: "Erase every event that meets a condition, with its attempts",
		Long: "Remove events for which an expression is true from the history, with all of their attempts, and from the dead deliveries.\n" +
			"The expression is one of a webhook's filter: over id, type, time, tenant, program and data. The receipt says what was\n" +
			"removed. Deliveries that still wait are owed, and stay; the receipt counts them.",
		Example: `  edgerelay erase --where 'data.user.id == "42"'
  edgerelay erase --where 'data.user.id == "42"' --json > receipt.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if where == "" {
				return &exitError{exitUsage, errors.New("--where is missing: which events?")}
			}
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			return runJob(cmd, c, asJSON, detach, "/api/v1/erase", map[string]any{"where": where})
		},
	}
	f.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.Flags().StringVar(&where, "where", "", "the condition")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the receipt as JSON")
	cmd.Flags().BoolVar(&detach, "detach", false, "start the job and do not wait for it")
	return cmd
}
