// Package edgerelay is what a transform in Go is written with: the ABI edgerelay_v1 in a few dozen lines, for the standard toolchain.
//
//	func init() { edgerelay.Register(nil, transform) }
//
//	func transform(e *edgerelay.Event) error {
//		e.Header("X-Type", e.Type)
//		return e.JSON(map[string]string{"text": "hello " + e.Type})
//	}
//
//	func main() {} // a plugin is a library
//
// Build: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm . (edgerelay plugin build does it.)
//
// It is copied into a plugin's own directory by edgerelay plugin new; nothing of the relay imports it. There is one goroutine, the
// relay's, and no state from one event to the next. On other systems than wasip1 the functions exist, so that a plugin's own unit tests
// compile, and talking to the relay panics.
package edgerelay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Event is the event that is being transformed.
type Event struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Time string          `json:"time"` // RFC 3339
	Data json.RawMessage `json:"data"`

	Input []byte `json:"-"` // all of it, as it came: the envelope, or what the transform before this one wrote
}

var (
	handler   func(*Event) error
	configErr error
)

// Register names the function that transforms events, and reads the plugin's configuration into config (nil = it has none). Call it from
// init.
func Register(config any, transform func(*Event) error) {
	handler = transform
	if config == nil {
		return
	}
	if text := read(configRead); len(text) > 0 {
		configErr = json.Unmarshal(text, config)
	}
}

// Decode reads the event's data.
func (e *Event) Decode(into any) error {
	if err := json.Unmarshal(e.Data, into); err != nil {
		return fmt.Errorf("read data: %w", err)
	}
	return nil
}

// JSON makes v the body. <, > and & stay as they are.
func (e *Event) JSON(v any) error {
	enc := json.NewEncoder(body{})
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Body makes b the body, of the given content type.
func (e *Event) Body(contentType string, b []byte) error {
	outputWrite(str(b))
	return setField("content-type", contentType)
}

type body struct{}

// Write appends to the body.
func (body) Write(b []byte) (int, error) {
	outputWrite(str(b))
	return len(b), nil
}

// Header and Query set a header and a query parameter, Method and Path the request's. The relay refuses reserved headers, line breaks and
// other hosts.
func (e *Event) Header(name, value string) error { return setField("header:"+name, value) }
func (e *Event) Query(name, value string) error  { return setField("query:"+name, value) }
func (e *Event) Method(method string) error      { return setField("method", method) }
func (e *Event) Path(path string) error          { return setField("path", path) }

func setField(key, value string) error {
	switch code := set(key, value); code {
	case 0:
		return nil
	case -3:
		return fmt.Errorf("%s is too large, or there are too many", key)
	default:
		return fmt.Errorf("the relay refuses to set %s to %q", key, value)
	}
}

// Meta is tenant, program, webhook, attempt or content-type; id, type and time are those of the event also after another transform.
func (e *Event) Meta(key string) string {
	b := make([]byte, 256)
	n := metaGet(key, ptr(b), uint32(len(b)))
	if int(n) > len(b) {
		b = make([]byte, n)
		n = metaGet(key, ptr(b), uint32(len(b)))
	}
	return string(b[:max(n, 0)])
}

// Log writes a line to the plugin's log.
func Log(format string, args ...any) { logWrite(1, fmt.Sprintf(format, args...)) }

// decision is an error that ends the event in a way of its own.
type decision struct {
	code int32
	why  string
}

func (d *decision) Error() string { return d.why }

// Drop ends the event: it is not sent, by decision.
func Drop(why string) error { return &decision{1, why} }

// Retry ends the attempt: it is made again later, by the webhook's schedule. Any other error fails the event for good.
func Retry(why string) error { return &decision{3, why} }

// run is the export transform.
func run() int32 {
	e := &Event{Input: read(inputRead)}
	err := json.Unmarshal(e.Input, e)
	if err == nil {
		err = handler(e)
	}
	if err == nil {
		return 0
	}
	reason(err.Error())
	var d *decision
	if errors.As(err, &d) {
		return d.code
	}
	return 2
}

// start is the export init.
func start() int32 {
	switch {
	case handler == nil:
		reason("no transform is registered: call edgerelay.Register from init")
	case configErr != nil:
		reason("config: " + configErr.Error())
	default:
		return 0
	}
	return 1
}

// read asks for a text: once when it fits, else again with the size that it has.
func read(from func(p *byte, capacity uint32) uint32) []byte {
	b := make([]byte, 16<<10)
	n := from(ptr(b), uint32(len(b)))
	if int(n) > len(b) {
		b = make([]byte, n)
		from(ptr(b), n)
	}
	return b[:n]
}

// Attempt is the number of the attempt, from 1.
func (e *Event) Attempt() int {
	n, _ := strconv.Atoi(e.Meta("attempt")) // the relay writes a number
	return n
}
