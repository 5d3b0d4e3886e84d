package admin

import "edgerelay/config"

// ConfigReport says what a configuration changes, or would change.
type ConfigReport struct {
	Applied      bool              `json:"applied" doc:"It is in force; false for a plan."`
	Changes      []config.Change   `json:"changes" doc:"What is different from before. Secrets are not shown."`
	Affected     []AffectedWebhook `json:"affected" doc:"Webhooks that are changed or removed and have deliveries waiting."`
	NeedsRestart []string          `json:"needs_restart" doc:"Keys whose change takes effect after a restart only."`
	Warnings     Mistakes          `json:"warnings" doc:"What is allowed but probably not meant."`
}

// AffectedWebhook is a webhook with deliveries that a change concerns.
type AffectedWebhook struct {
	ID       string `json:"id"`
	Tenant   string `json:"tenant"`
	Name     string `json:"name"`
	Action   string `json:"action" enum:"change,remove"`
	Waiting  int    `json:"waiting" doc:"Deliveries that wait for an attempt."`
	AtLeast  bool   `json:"at_least,omitempty" doc:"There may be more than were counted."`
	InFlight int    `json:"in_flight" doc:"Attempts under way; they end as they began."`
	Fate     string `json:"fate" doc:"What becomes of those that wait."`
}
