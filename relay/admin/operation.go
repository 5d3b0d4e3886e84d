package admin

import (
	"context"
	"net/http"
	"reflect"
)

// op describes an operation of the API: what its route, its document and its tests know of it. A new one is a line in a list of routes (see routes.go):
//
//	operation(op{method: "GET", path: "/api/v1/deliveries/{id}", id: "get-delivery", tag: "deliveries", summary: "Show one delivery",
//		role: RoleViewer}, s.getDelivery)
//
//	func (s *Server) getDelivery(ctx context.Context, c *call, in *deliveryInput) (deliveryDetail, error)
//
// The input is a struct whose fields say where they come from (see binding.go); the output is the body of the answer, or none. Both are the source of the
// document's schemas: the tags doc, enum, minimum, maximum, minLength, example and so on are those of huma. What is not declared is refused: parameters,
// members of bodies, bodies where none is known. An error is a *problem, one of the package's errors, or anything else, which is a 500 and a line in the log.
//
// Tenants are the handler's duty: it shows what c.sees, and answers ErrNotFound for the rest.
type op struct {
	method, path string
	id           string // of the operation in the document: verb-noun
	tag          string // what it belongs to in the reference: a key of tags
	summary      string // one line
	about        string // more, if needed
	role         Role   // 0 = open to everybody
	global       bool   // shows or changes more than one tenant's things, so the token must reach all of them
	program      bool   // also for tokens of programs
	status       int    // of success; 0 = 200, or 204 without an output
	also         []int  // other statuses of success, with the same body
	media        string // of the answer when it is not JSON
	maxBody      int64  // 0 = 64 KiB
	errors       []int  // what it may answer besides what follows from its input
	bodies       map[string]string
	query        string // of the example, when the examples of all parameters together are not one
}

// The keys of bodies are names of examples, their values JSON. The tests execute every one of them.

// none is the output of operations that answer without a body, and the input of those that take nothing.
type none struct{}

// call is one request on its way through a handler.
type call struct {
	*grant  // nil when the operation is open
	request *http.Request
	header  http.Header // of the answer
	status  int         // of the answer, if the handler wants another than the operation's
}

// route is one line of the API's table of contents.
type route struct {
	op
	in, out reflect.Type // nil for raw ones
	handle  func(w http.ResponseWriter, r *http.Request, g *grant) error
}

// operation makes the route of o.
func operation[In, Out any](o op, handler func(ctx context.Context, c *call, in *In) (Out, error)) route {
	rt := route{op: o, in: reflect.TypeFor[In](), out: reflect.TypeFor[Out]()}
	b := bindingOf(rt.in)
	if rt.maxBody == 0 {
		rt.maxBody = maxBody
	}
	empty := rt.out == reflect.TypeFor[none]()
	if rt.status == 0 {
		if rt.status = http.StatusOK; empty {
			rt.status = http.StatusNoContent
		}
	}
	rt.handle = func(w http.ResponseWriter, r *http.Request, g *grant) error {
		c := &call{grant: g, request: r, header: w.Header(), status: rt.status}
		var in In
		r.Body = http.MaxBytesReader(w, r.Body, rt.maxBody)
		if err := b.read(r, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		out, err := handler(r.Context(), c, &in)
		if err != nil {
			return err
		}
		if empty {
			w.WriteHeader(c.status)
			return nil
		}
		return writeJSON(w, c.status, out)
	}
	return rt
}

// raw makes the route of something that writes its answer by itself: metrics, streams, pages. Its parameters are declared all the same.
func raw[In any](o op, handler func(w http.ResponseWriter, c *call, in *In) error) route {
	rt := route{op: o, in: reflect.TypeFor[In]()}
	b := bindingOf(rt.in)
	if rt.status == 0 {
		rt.status = http.StatusOK
	}
	rt.handle = func(w http.ResponseWriter, r *http.Request, g *grant) error {
		var in In
		if err := b.read(r, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		return handler(w, &call{grant: g, request: r, header: w.Header(), status: rt.status}, &in)
	}
	return rt
}
