package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"edgerelay/config"
)

// newAlertsCommand makes the alerts command. send sends one test e-mail.
func newAlertsCommand(send func(ctx context.Context, c *config.Config, to string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "alerts",
		Short:   "Try the e-mails about failed deliveries",
		Example: "  edgerelay alerts test -c edgerelay.yaml",
	}
	return group(cmd, newAlertsTest(send))
}

func newAlertsTest(send func(ctx context.Context, c *config.Config, to string) error) *cobra.Command {
	var files, to []string
	cmd := &cobra.Command{
		Use:   "test -c FILE...",
		Short: "Send a test e-mail with the mail server of a config",
		Long: "Send one e-mail to everybody whom the config names: alerts.recipients and the error_recipients of every webhook, or to\n" +
			"the addresses of --to. The relay need not run. What the mail server says to each is printed.",
		Example: `  edgerelay alerts test -c edgerelay.yaml
  edgerelay alerts test -c edgerelay.yaml --to me@example.com`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(files)
			if err != nil {
				return err
			}
			if to, err = recipients(c, to); err != nil {
				return err
			}
			return testAlerts(cmd, c, to, send)
		},
	}
	addConfigFlag(cmd, &files)
	cmd.Flags().StringArrayVar(&to, "to", nil, "send it to this address instead; repeatable")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

// recipients are those of the flag, else all that the config names.
func recipients(c *config.Config, flag []string) ([]string, error) {
	list := flag
	if len(list) == 0 {
		list = slices.Clone(c.Alerts.Recipients)
		for i := range c.Webhooks {
			list = append(list, c.Webhooks[i].ErrorRecipients...)
		}
	}
	to, err := config.Addresses(list)
	if err != nil {
		return nil, usageErrorf("--to: %w", err)
	}
	if len(to) == 0 {
		return nil, errors.New("the config names no recipients\nTry: --to ADDRESS, or alerts.recipients in the config")
	}
	return to, nil
}

func testAlerts(cmd *cobra.Command, c *config.Config, to []string, send func(context.Context, *config.Config, string) error) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	failed := 0
	for _, one := range to {
		if err := send(ctx, c, one); err != nil {
			failed++
			fmt.Fprintf(cmd.OutOrStdout(), "%s: not sent: %v\n", one, err)
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: the mail server has taken it\n", one)
	}
	if failed > 0 {
		return fmt.Errorf("%s not sent", count(failed, "e-mail"))
	}
	return nil
}
