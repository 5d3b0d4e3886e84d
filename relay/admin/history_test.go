package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"edgerelay/relay/event"
)

// fakeHistory knows an event and a job of each tenant, named after it.
type fakeHistory struct{}

func reach(tenants []string, tenant string) bool {
	return tenants == nil || slices.Contains(tenants, tenant)
}

func ofTenants[T any](tenants []string, make func(tenant string) T) (out []T) {
	out = []T{}
	for _, t := range []string{"acme", "zeta"} {
		if reach(tenants, t) {
			out = append(out, make(t))
		}
	}
	return out
}

func (fakeHistory) Events(_ context.Context, f HistoryFilter, cursor string, _ int) (HistoryPage[Event], error) {
	if cursor == "bad" {
		return HistoryPage[Event]{}, ErrCursor
	}
	return HistoryPage[Event]{Items: ofTenants(f.Tenants, func(t string) Event { return Event{ID: "we_" + t, Tenant: t, Webhooks: []WebhookName{}} })}, nil
}

func (fakeHistory) Event(_ context.Context, id string, tenants []string) (EventDetail, error) {
	tenant, ok := strings.CutPrefix(id, "we_")
	if !ok || !reach(tenants, tenant) {
		return EventDetail{}, ErrNotFound
	}
	return EventDetail{Event: Event{ID: id, Tenant: tenant, Webhooks: []WebhookName{}}, Deliveries: []EventDelivery{}}, nil
}

func (fakeHistory) Attempts(_ context.Context, f HistoryFilter, _ string, _ int) (HistoryPage[AttemptDetail], error) {
	return HistoryPage[AttemptDetail]{Items: ofTenants(f.Tenants, func(t string) AttemptDetail { return AttemptDetail{Tenant: t, Status: strings.Join(f.Statuses, "+")} })}, nil
}

func (fakeHistory) Delivery(context.Context, event.DeliveryID, []string) (DeliveryDetail, error) {
	return DeliveryDetail{}, ErrNotFound
}

func (h fakeHistory) Replay(ctx context.Context, id string, tenants []string, _ *event.WebhookID, dry bool) (ReplayAnswer, error) {
	_, err := h.Event(ctx, id, tenants)
	return ReplayAnswer{Event: id, DryRun: dry, Deliveries: []ReplayedOne{}}, err
}

func (fakeHistory) Retry(context.Context, event.DeliveryID, []string) (string, bool, error) {
	return "", false, ErrNotFound
}

type fakeJobs struct{}

func jobOf(tenant string) Job {
	return Job{ID: "jb_" + tenant, Tenants: []string{tenant}, Skipped: map[string]int64{}}
}

func (fakeJobs) Start(_ context.Context, _ JobRequest, tenants []string, by string) (Job, error) {
	return Job{ID: "jb_new", By: by, Tenants: append([]string{}, tenants...), Skipped: map[string]int64{}}, nil
}

func (fakeJobs) Count(context.Context, JobRequest, []string) (JobCount, error) {
	return JobCount{Matched: 7, Skipped: map[string]int64{}, Examples: []string{}}, nil
}

func (fakeJobs) List(tenants []string) []Job { return ofTenants(tenants, jobOf) }

func (fakeJobs) Get(id string, tenants []string) (Job, error) {
	tenant, ok := strings.CutPrefix(id, "jb_")
	if !ok || !reach(tenants, tenant) {
		return Job{}, ErrNotFound
	}
	return jobOf(tenant), nil
}

func (j fakeJobs) Cancel(id string, tenants []string) error {
	if _, err := j.Get(id, tenants); err != nil {
		return err
	}
	return &Conflict{Detail: "the job has ended already"}
}

func withHistory(o *Options) { o.History, o.Jobs = fakeHistory{}, fakeJobs{} }

// Every route of the history and of jobs with every token, for things of the own and of a foreign tenant, and every example of a body.
func TestHistoryRoutesAndTokens(t *testing.T) {
	b := newBed(t, withHistory)
	routes := append(b.historyRoutes(), b.jobRoutes()...)
	if len(routes) < 11 {
		t.Fatalf("%d routes", len(routes))
	}
	for _, rt := range routes {
		bodies := []string{""}
		for _, example := range rt.bodies {
			bodies = append(bodies, example)
		}
		if len(bodies) > 1 {
			bodies = bodies[1:]
		}
		for _, tenant := range []string{"acme", "zeta"} {
			id := "we_" + tenant
			if strings.Contains(rt.path, "/jobs/") {
				id = "jb_" + tenant
			}
			for _, tok := range append([]Token{{Name: "none"}, {Name: "wrong", Token: "wrong"}}, testTokens...) {
				for _, body := range bodies {
					change := func(*http.Request) {}
					if body != "" {
						change = withBody(body)
					}
					rec := b.do(rt.method, strings.ReplaceAll(rt.path, "{id}", id), tok.Token, change)
					own := slices.Contains(tok.Tenants, "*") || slices.Contains(tok.Tenants, tenant)
					want := rt.status
					switch {
					case tok.Role == 0:
						want = 401
					case tok.Role < rt.role:
						want = 403
					case strings.Contains(rt.path, "{id}") && !own:
						want = 404
					case rt.id == "cancel-job":
						want = 409
					case strings.Contains(body, "dry_run") && !strings.Contains(rt.path, "{id}"):
						want = 200
					}
					if rec.Code != want {
						t.Errorf("%s %s of %s as %s: %d, want %d: %s", rt.method, rt.path, tenant, tok.Name, rec.Code, want, rec.Body)
					}
					if tok.Role > 0 && !slices.Contains(tok.Tenants, "*") && !slices.Contains(tok.Tenants, "zeta") && strings.Contains(rec.Body.String(), "zeta") {
						t.Errorf("%s %s as %s shows a foreign tenant: %s", rt.method, rt.path, tok.Name, rec.Body)
					}
				}
			}
		}
	}
}

func TestHistoryParameters(t *testing.T) {
	b := newBed(t, withHistory)
	for target, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/v1/events?cursor=bad":                                        {400, "cursor"},
		"/api/v1/events?webhook=feed":                                      {400, "webhook"},
		"/api/v1/events?from=2026-11-24T10:00:00Z&to=2026-11-24T09:00:00Z": {400, "not after"},
		"/api/v1/events?colour=red":                                        {400, "colour"},
		"/api/v1/events?limit=501":                                         {400, "limit"},
		"/api/v1/attempts?status=failed":                                   {200, `"status":"retrying+dead"`},
		"/api/v1/attempts?status=gone":                                     {400, "status"},
		"/api/v1/deliveries?status=delivered":                              {200, `"status":"delivered"`},
		"/api/v1/deliveries/" + event.DeliveryID{9}.String():               {404, "not-found"},
		"/api/v1/events/we_zeta":                                           {404, "not-found"},
		"/api/v1/jobs/jb_zeta":                                             {404, "not-found"},
	} {
		rec := b.do("GET", target, "acme-viewer")
		if rec.Code != want.status || !strings.Contains(rec.Body.String(), want.text) {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
	for path, body := range map[string]string{"/api/v1/events/replay": `{"to_webhook":"feed"}`, "/api/v1/deliveries/purge": `{"rate":-1}`, "/api/v1/events/we_acme/replay": `{"webhook":"x"}`} {
		if rec := b.do("POST", path, "acme-editor", withBody(body)); rec.Code != 422 {
			t.Errorf("%s %s: %d %s", path, body, rec.Code, rec.Body)
		}
	}
}
