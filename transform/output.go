package transform

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Output is what the bytes mean that an Extism plug-in or a WASI program writes. The other ABIs have functions for everything.
type Output uint8

const (
	OutputBody    Output = iota // they are the body
	OutputRequest               // they are a JSON object that describes the request
)

func (o Output) String() string { return [...]string{"body", "request"}[o] }

// ParseOutput is the reverse of String; "" is the default.
func ParseOutput(s string) (Output, error) {
	switch s {
	case "", "body":
		return OutputBody, nil
	case "request":
		return OutputRequest, nil
	}
	return 0, fmt.Errorf("output %q is neither body nor request", s)
}

// request is what OutputRequest expects. Nothing of it is needed; without a body the event goes on unchanged.
type request struct {
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	Headers     map[string]string `json:"headers"`
	Query       map[string]string `json:"query"`
	ContentType string            `json:"content_type"`
	Body        *string           `json:"body"`
	BodyBase64  *string           `json:"body_base64"`
	JSON        json.RawMessage   `json:"json"`
	Drop        dropped           `json:"drop"`
}

// dropped is true, or the reason.
type dropped struct {
	drop   bool
	reason string
}

func (d *dropped) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &d.drop) == nil {
		return nil
	}
	d.drop = true
	if json.Unmarshal(b, &d.reason) != nil {
		return errors.New("drop is neither true nor false nor a reason")
	}
	return nil
}

// finishOutput does with the output what the pool was told.
func (in *instance) finishOutput() *Error {
	if in.pool.output == OutputBody || len(in.out.Body) == 0 {
		return nil
	}
	if err := in.applyRequest(); err != nil {
		return &Error{Kind: KindBadResult, Msg: fmt.Sprintf("its output is not a request: %v", err)}
	}
	return nil
}

func (in *instance) applyRequest() error {
	out := in.out
	var r request
	d := json.NewDecoder(bytes.NewReader(out.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	if len(body) > in.pool.limits.MaxOutput {
		return fmt.Errorf("more than %d bytes of body", in.pool.limits.MaxOutput)
	}
	out.Body = append(out.Body[:0], body...)
	if r.Drop.drop {
		out.Action, out.Reason = Drop, string(clipped([]byte(r.Drop.reason), maxReason))
	}
	if r.ContentType == "" && r.JSON != nil {
		r.ContentType = "application/json"
	}
	for _, f := range []struct{ key, value string }{{"method", r.Method}, {"path", r.Path}, {"content-type", r.ContentType}} {
		if f.value != "" && out.set([]byte(f.key), []byte(f.value), in.pool.limits.MaxHeaders) != setOK {
			return fmt.Errorf("%s %q is refused", f.key, f.value)
		}
	}
	return errors.Join(in.setAll("header", r.Headers), in.setAll("query", r.Query))
}

func (in *instance) setAll(kind string, fields map[string]string) error {
	for _, name := range sortedKeys(fields) {
		if code := in.out.set([]byte(kind+":"+name), []byte(fields[name]), in.pool.limits.MaxHeaders); code != setOK {
			return fmt.Errorf("%s %q is refused", kind, name)
		}
	}
	return nil
}

// body is whichever of the three was given.
func (r *request) body() ([]byte, error) {
	given := 0
	var body []byte
	if r.Body != nil {
		given, body = given+1, []byte(*r.Body)
	}
	if r.JSON != nil {
		given, body = given+1, r.JSON
	}
	if r.BodyBase64 != nil {
		b, err := base64.StdEncoding.DecodeString(*r.BodyBase64)
		if err != nil {
			return nil, fmt.Errorf("body_base64: %w", err)
		}
		given, body = given+1, b
	}
	if given > 1 {
		return nil, errors.New("body, body_base64 and json are alternatives")
	}
	return body, nil
}
