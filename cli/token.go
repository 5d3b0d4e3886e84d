package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

type rawJSON = json.RawMessage

const (
	authorizationsPath = "/api/v1/authorizations"
	tokensPath         = "/api/v1/tokens"
)

func newAuthorizationsCommand() *cobra.Command {
	f := &manageFlags{}
	cmd := f.command("authorizations", "List, make and change the credentials that webhooks use", "An authorization is a named set of credentials. Its secret values can be written and are never shown.",
		`  edgerelay authorizations ls
  edgerelay authorizations create --data @crm.yaml`)
	show := &cobra.Command{Use: "show AUTHORIZATION", Short: "Show one authorization", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		id, err := f.find(cmd, authorizationsPath, "au_", args[0])
		if err != nil {
			return err
		}
		return f.act(cmd, "GET", authorizationsPath+"/"+id, nil, "")
	}}
	remove := &cobra.Command{Use: "rm AUTHORIZATION", Short: "Delete an authorization that no webhook uses", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		id, err := f.find(cmd, authorizationsPath, "au_", args[0])
		if err != nil {
			return err
		}
		return f.act(cmd, "DELETE", authorizationsPath+"/"+id, nil, args[0]+" is deleted")
	}}
	var data string
	create := &cobra.Command{Use: "create", Short: "Make an authorization", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		text, err := definition(cmd, data)
		if err != nil {
			return err
		}
		return f.act(cmd, "POST", authorizationsPath, text, "")
	}}
	edit := &cobra.Command{Use: "edit AUTHORIZATION", Short: "Change keys of an authorization", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		text, err := definition(cmd, data)
		if err != nil {
			return err
		}
		id, err := f.find(cmd, authorizationsPath, "au_", args[0])
		if err != nil {
			return err
		}
		return f.act(cmd, "PATCH", authorizationsPath+"/"+id, text, "")
	}}
	for _, c := range []*cobra.Command{create, edit} {
		c.Flags().StringVar(&data, "data", "", "the definition: JSON or YAML, @FILE, or - for the standard input")
	}
	return withExamples(group(cmd, f.list("ls", "List authorizations", authorizationsPath, []column{{"ID", "id"}, {"NAME", "name"}, {"TENANT", "tenant"}, {"TYPE", "type"}, {"ENDPOINT", "endpoint"},
		{"ORIGIN", "origin"}, {"USED BY", "webhooks"}}, "search", "type", "tenant"), show, create, edit, remove), map[string]string{
		"ls":     "authorizations ls --type oauth2",
		"show":   "authorizations show crm",
		"create": "authorizations create --data @crm.yaml",
		"edit":   `authorizations edit crm --data '{"endpoint":"https://crm.example.com/"}'`,
		"rm":     "authorizations rm crm",
	})
}

func newTokenCommand() *cobra.Command {
	f := &manageFlags{}
	cmd := f.command("token", "Make, list and revoke tokens", "Tokens are for operators (the management API), producers (the ingress) and integrations of a program.\nOnly a token's hash is kept: it is shown once, when it is made.",
		`  edgerelay token create --name wall --tenant acme --role viewer --expires 90d
  edgerelay token revoke tk_01jf2wkmvcfw6ts1qmgzya291c`)
	var n struct {
		Name    string   `json:"name"`
		Kind    string   `json:"kind,omitempty"`
		Tenants []string `json:"tenants,omitempty"`
		Program string   `json:"program,omitempty"`
		Role    string   `json:"role,omitempty"`
		Expires string   `json:"expires,omitempty"`
	}
	create := &cobra.Command{Use: "create", Short: "Make a token and print it", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if f.json {
			return f.act(cmd, "POST", tokensPath, n, "")
		}
		c, err := f.client(cmd)
		if err != nil {
			return err
		}
		body, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		var made struct{ ID, Token string }
		if _, err := c.do(cmd.Context(), "POST", tokensPath, body, &made); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "token %s, shown this once:\n", printable(made.ID))
		_, err = fmt.Fprintln(cmd.OutOrStdout(), printable(made.Token))
		return err
	}}
	create.Flags().StringVar(&n.Name, "name", "", "for people and logs")
	create.Flags().StringVar(&n.Kind, "kind", "", "operator, ingress or program (default operator)")
	create.Flags().StringSliceVar(&n.Tenants, "tenant", nil, "id of a tenant, or * for all; may be repeated")
	create.Flags().StringVar(&n.Program, "program", "", "id of the program, for the kinds program and ingress")
	create.Flags().StringVar(&n.Role, "role", "", "viewer, editor or admin (default viewer)")
	create.Flags().StringVar(&n.Expires, "expires", "", "how long it is good, such as 90d, or until when")
	revoke := &cobra.Command{Use: "revoke ID", Short: "Revoke a token, at once and for good", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		id, err := f.find(cmd, tokensPath, "tk_", args[0])
		if err != nil {
			return err
		}
		return f.act(cmd, "POST", tokensPath+"/"+id+"/revoke", nil, args[0]+" is revoked")
	}}
	return withExamples(group(cmd, create, revoke, f.list("ls", "List tokens", tokensPath, []column{{"ID", "id"}, {"NAME", "name"}, {"KIND", "kind"}, {"TENANTS", "tenants"}, {"PROGRAM", "program"},
		{"ROLE", "role"}, {"STATUS", "status"}, {"EXPIRES", "expires_at"}, {"LAST USED", "last_used_at"}}, "search", "kind")), map[string]string{
		"create": "token create --name wall --tenant acme --role viewer --expires 90d",
		"revoke": "token revoke tk_01jf2wkmvcfw6ts1qmgzya291c",
		"ls":     "token ls --kind ingress",
	})
}

func newTenantsCommand() *cobra.Command {
	f := &manageFlags{}
	return withExamples(group(f.command("tenants", "List tenants", "", "  edgerelay tenants ls --search acme"),
		f.list("ls", "List the tenants that the token reaches", "/api/v1/tenants", []column{{"ID", "id"}, {"NAME", "name"}, {"PROGRAMS", "programs"}, {"WEBHOOKS", "webhooks"}}, "search")), map[string]string{"ls": "tenants ls --search acme"})
}

func newAuditCommand() *cobra.Command {
	f := &manageFlags{}
	return withExamples(group(f.command("audit", "Show who changed what", "", "  edgerelay audit ls --action delete"),
		f.list("ls", "List the audit log, the newest first", "/api/v1/audit", []column{{"AT", "at"}, {"ACTOR", "actor"}, {"ROLE", "role"}, {"TENANT", "tenant"}, {"ACTION", "action"}, {"KIND", "kind"},
			{"NAME", "name"}, {"OBJECT", "object"}}, "object", "actor", "action", "tenant")), map[string]string{"ls": "audit ls --action delete --tenant acme"})
}
