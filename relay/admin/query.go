package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxParam is the longest value of a query parameter.
const maxParam = 1024

// params are the query parameters of one request, known by name and each given at most once: a misspelt filter that was ignored
// would show, or retry, more than was meant.
type params url.Values

func query(r *http.Request, known ...string) (params, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problemParameter("the query string is malformed")
	}
	for name, v := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, problemParameter(fmt.Sprintf("unknown parameter %q%s", name, among(known)))
		case len(v) > 1:
			return nil, problemParameter(name + ": given more than once")
		case len(v[0]) > maxParam:
			return nil, problemParameter(name + ": too long")
		}
	}
	return params(values), nil
}

func among(known []string) string {
	if len(known) == 0 {
		return ": this route takes none"
	}
	return ": this route knows " + strings.Join(known, ", ")
}

func (p params) get(name string) string { return url.Values(p).Get(name) }

func (p params) has(name string) bool { return url.Values(p).Has(name) }

// limit reads the page size.
func (p params) limit(absent, most int) (int, error) {
	if !p.has("limit") {
		return absent, nil
	}
	n, err := strconv.Atoi(p.get("limit"))
	if err != nil || n < 1 || n > most {
		return 0, problemParameter(fmt.Sprintf("limit: want a number from 1 to %d", most))
	}
	return n, nil
}

// oneOf reads a parameter of a closed set.
func (p params) oneOf(name string, allowed ...string) (string, error) {
	v := p.get(name)
	if p.has(name) && !slices.Contains(allowed, v) {
		return "", problemParameter(fmt.Sprintf("%s: want one of %s", name, strings.Join(allowed, ", ")))
	}
	return v, nil
}
