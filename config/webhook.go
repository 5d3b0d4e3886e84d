package config

// Webhook is a subscription: which events go where, in which shape, with which credentials.
type Webhook struct {
	ID              string      `yaml:"-"` // of one that was made through the API; "" = it comes from a file
	Name            string      `yaml:"name" jsonschema:"required" jsonschema_description:"Name of the webhook, unique in its tenant."`
	Description     string      `yaml:"description,omitempty" jsonschema_description:"What it is for, for people."`
	Tenant          string      `yaml:"tenant,omitempty" jsonschema_description:"The tenant whose events it gets. Absent = the only declared tenant, or default."`
	Program         string      `yaml:"program,omitempty" jsonschema_description:"Only events of this program. Absent = all events of the tenant."`
	Events          []string    `yaml:"events" jsonschema:"required" jsonschema_description:"Event types it gets. A * stands for any run of characters."`
	Filter          string      `yaml:"filter,omitempty" jsonschema_description:"Expression over id, type, time, tenant, program and data. Only events for which it is true are sent."`
	URL             string      `yaml:"url" jsonschema:"required" jsonschema_description:"Where to. Path and query may contain {{ expressions }}."`
	Method          string      `yaml:"method" jsonschema:"enum=POST,enum=PUT,enum=PATCH,enum=DELETE,enum=GET" jsonschema_description:"HTTP method."`
	SendBody        bool        `yaml:"send_body,omitempty" jsonschema_description:"For method DELETE: send the payload as its body. Absent = a DELETE has no body."`
	Authorization   string      `yaml:"authorization,omitempty" jsonschema_description:"Name of an entry of authorizations."`
	TLS             WebhookTLS  `yaml:"tls,omitempty" jsonschema_description:"How the receiver's certificate is checked. Absent = against the system's authorities."`
	Headers         Headers     `yaml:"headers,omitempty" jsonschema_description:"Headers to add, by name. Values may contain {{ expressions }}."`
	Secret          Secrets     `yaml:"secret,omitempty" jsonschema_description:"Signing secret, or several with the newest first while one is being replaced. Absent = generated once."`
	Signing         Signing     `yaml:"signing,omitempty" jsonschema_description:"How requests are signed."`
	Transform       []Transform `yaml:"transform,omitempty" jsonschema_description:"WASM modules that the event goes through, in order."`
	Payload         Payload     `yaml:"payload,omitempty" jsonschema_description:"The shape of the request body."`
	Retry           Retry       `yaml:"retry" jsonschema_description:"When failed deliveries are tried again. Absent = as in the top-level retry."`
	Timeout         Duration    `yaml:"timeout,omitempty" min:"10ms" max:"10m" jsonschema_description:"How long one attempt may take. Absent = as in sender.timeout."`
	Concurrency     int         `yaml:"concurrency" jsonschema:"minimum=1,maximum=4096" jsonschema_description:"The most requests of this webhook that are under way at the same time."`
	RateLimit       Rate        `yaml:"rate_limit,omitempty" jsonschema_description:"The most requests in a span of time, such as 100/s, 500/m or 1000/h. What a second allows may go at once. Absent = no limit."`
	Ordering        string      `yaml:"ordering" jsonschema_description:"none; webhook: strictly one after the other; or an expression over the event, such as data.user.id: strictly one after the other among events for which it is the same."`
	ErrorRecipients []string    `yaml:"error_recipients,omitempty" jsonschema_description:"E-mail addresses of those who are told when deliveries fail for good, or the receiver keeps failing. An entry may hold several with commas between them."`
	Log             string      `yaml:"log" jsonschema:"enum=all,enum=errors" jsonschema_description:"Which attempts the history keeps. errors: failed ones only. Counters count all."`
	Status          string      `yaml:"status" jsonschema:"enum=draft,enum=active,enum=paused" jsonschema_description:"Only an active webhook gets events."`
	OnPaused        string      `yaml:"on_paused" jsonschema:"enum=hold,enum=drop" jsonschema_description:"What happens to the events of the time in which the webhook is paused. hold: they wait until it is active again. drop: it never gets them. What was accepted before waits in both cases."`
}

// Payload is the definition of the request body.
type Payload struct {
	Type string `yaml:"type" jsonschema:"enum=json,enum=xml,enum=plain,enum=form,enum=raw" jsonschema_description:"The format, which also decides the Content-Type."`
	Body JSON   `yaml:"body,omitempty" jsonschema_description:"The definition, with {{ expressions }}. A text that is one {{ expression }} keeps its type. Absent = the envelope."`
	Root string `yaml:"root,omitempty" jsonschema_description:"For type xml: name of the root element."`
}
