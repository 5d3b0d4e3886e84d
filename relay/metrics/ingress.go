package metrics

import "strconv"

// Route is an ingress route as a metric label: a closed set, because a path that a stranger makes up must not make a series.
type Route uint8

// The routes of the ingress.
const (
	RouteEvents Route = iota // POST /v1/events
	RouteHealth              // GET /healthz
	RouteReady               // GET /readyz
	RouteOther               // everything that is not a route
	routeCount
)

// String returns the label.
func (r Route) String() string {
	return [routeCount]string{"/v1/events", "/healthz", "/readyz", "other"}[r]
}

// status is one value of the label "code"; the last entry, "other", takes what the contract does not name.
type status struct {
	code  int
	label string
}

var statuses = func() (s [16]status) {
	for i, c := range [len(s) - 1]int{200, 202, 400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 500, 503} {
		s[i] = status{c, strconv.Itoa(c)}
	}
	s[len(s)-1].label = "other"
	return s
}()

// statusIndex maps a status code to its place in statuses, so that counting a request is two array look-ups.
var statusIndex = func() (t [600]uint8) {
	for i := range t {
		t[i] = uint8(len(statuses) - 1)
	}
	for i, s := range statuses[:len(statuses)-1] {
		t[s.code] = uint8(i)
	}
	return t
}()

// IngressRequest counts one answered request.
func (m *Metrics) IngressRequest(r Route, code int) {
	if r >= routeCount {
		r = RouteOther
	}
	i := len(statuses) - 1
	if code >= 0 && code < len(statusIndex) {
		i = int(statusIndex[code])
	}
	m.ingress[r][i].Inc()
}
