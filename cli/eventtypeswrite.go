package cli

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/relay/admin"
)

func newEventTypesCreate(f *eventTypesFlags) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "create -f FILE",
		Short: "Add an event type to the catalogue of a tenant",
		Long: "Add the event type in FILE, YAML or JSON with the keys of an entry of event_types in the config. The schema stands in it; it cannot be\n" +
			"the name of a file. The tenant may be absent if the token is for one only. The token needs the role admin.",
		Example: `  edgerelay event-types create -f refund.yaml
  echo '{"name":"order.refunded","tenant":"acme"}' | edgerelay event-types create -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.write(cmd, "POST", "/api/v1/event-types", file) },
	}
	needFile(cmd, &file, "the event type: a file, or - for the standard input")
	return cmd
}

func newEventTypesEdit(f *eventTypesFlags) *cobra.Command {
	var file, tenant string
	cmd := &cobra.Command{
		Use:     "edit NAME -f FILE",
		Short:   "Change an event type that was made through the API",
		Long:    "Change the keys that stand in FILE, YAML or JSON; null gives a key its default again. The name stays.",
		Example: `  echo 'description: Money goes back' | edgerelay event-types edit order.refunded -f -`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, "PATCH", eventTypePath(args[0], tenant), file)
		},
	}
	needFile(cmd, &file, "what changes: a file, or - for the standard input")
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose, if several tenants have a type of this name")
	return cmd
}

func newEventTypesRemove(f *eventTypesFlags) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove an event type that was made through the API",
		Example: "  edgerelay event-types rm order.refunded --tenant acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.client(cmd)
			if err != nil {
				return err
			}
			_, err = c.do(cmd.Context(), "DELETE", eventTypePath(args[0], tenant), nil, nil)
			return err
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", "", "whose, if several tenants have a type of this name")
	return cmd
}

func needFile(cmd *cobra.Command, file *string, about string) {
	cmd.Flags().StringVarP(file, "file", "f", "", about)
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic("BUG: " + err.Error())
	}
}

func eventTypePath(name, tenant string) string {
	path := "/api/v1/event-types/" + url.PathEscape(name)
	if tenant != "" {
		path += "?" + url.Values{"tenant": {tenant}}.Encode()
	}
	return path
}

// write sends the file, as JSON, and shows what there is then.
func (f *eventTypesFlags) write(cmd *cobra.Command, method, path, file string) error {
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	text, err := readSmall(cmd, file, "event type")
	if err != nil {
		return err
	}
	body, err := config.Compact(file, text)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	var answer admin.EventType
	var raw []byte
	var out any = &answer
	if f.json {
		out = &raw
	}
	if _, err := c.do(cmd.Context(), method, path, body, out); err != nil {
		var p *problemError
		if errors.As(err, &p) && len(p.mistakes) > 0 {
			return &exitError{exitConfig, err}
		}
		return err
	}
	if f.json {
		_, err = cmd.OutOrStdout().Write(raw)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", oneLine(answer.Name))
	return err
}
