package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/relay"
	"edgerelay/relay/admin"
	"edgerelay/relay/event"
)

// online asks a running relay.
func (f *tryFlags) online(cmd *cobra.Command, args []string, sample relay.Sample) error {
	if len(args) == 0 && f.draft == "" {
		return usageErrorf("which webhook? Name one of the running relay, or give --draft FILE, or -c FILE")
	}
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	ask := admin.TryRequest{Event: sample.Event, Example: sample.Example, Stored: f.from, Compare: f.compare}
	if f.draft != "" {
		text, err := readSmall(cmd, f.draft, "draft")
		if err != nil {
			return err
		}
		if ask.Draft, err = config.Compact(f.draft, text); err != nil {
			return &exitError{exitConfig, err}
		}
	}
	if len(args) > 0 {
		if ask.Webhook, err = findWebhook(cmd, c, args[0]); err != nil {
			return err
		}
	}
	if len(ask.Event) > 0 && !json.Valid(ask.Event) {
		return fmt.Errorf("the event in %s is not JSON", f.event)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	var answer admin.TryAnswer
	if _, err := c.do(cmd.Context(), "POST", "/api/v1/try", body, &answer); err != nil {
		return err
	}
	return shownTrial{Trial: &answer.Trial, Published: answer.Published, Diff: answer.Diff}.print(cmd, f.asJSON)
}

// findWebhook returns the id of the webhook that people call name, which may be the id.
func findWebhook(cmd *cobra.Command, c *client, name string) (string, error) {
	if _, err := event.ParseWebhookID(name); err == nil {
		return name, nil
	}
	var list struct {
		Items []struct{ ID, Name, Tenant string }
	}
	if _, err := c.do(cmd.Context(), "GET", "/api/v1/webhooks?"+url.Values{"search": {name}, "limit": {"500"}}.Encode(), nil, &list); err != nil {
		return "", err
	}
	var ids, tenants, near []string
	for _, w := range list.Items {
		if near = append(near, w.Name); w.Name == name {
			ids, tenants = append(ids, w.ID), append(tenants, w.Tenant+": "+w.ID)
		}
	}
	switch {
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) > 1:
		return "", fmt.Errorf("several tenants have a webhook %q, use the id: %s", name, printable(strings.Join(tenants, ", ")))
	}
	return "", fmt.Errorf("there is no webhook %q that this token sees%s", name, printable(config.Suggest(name, near)))
}
