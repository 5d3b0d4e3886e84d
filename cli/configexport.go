package cli

import "github.com/spf13/cobra"

func newConfigExportCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print what was made through the API of the running relay as YAML",
		Long: "Print the webhooks, authorizations and event types that were made through the API, for the tenants of the token, as sections of a\n" +
			"config file. No secrets are in it: where one was there is a variable such as ${ACME_FEED_SECRET}, and a comment at the beginning lists\n" +
			"them. To move them into files: save this, delete them through the API, load the file.",
		Example: `  edgerelay config export > conf.d/made.yaml
  edgerelay config export | edgerelay validate -c /dev/stdin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			var text []byte
			if _, err = c.do(cmd.Context(), "GET", "/api/v1/config/export", nil, &text); err == nil {
				_, err = cmd.OutOrStdout().Write(text)
			}
			return err
		},
	}
	f.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	return cmd
}
