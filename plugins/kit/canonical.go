package kit

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// Format says what two bodies are compared as.
type Format string

// The formats; they are the extensions of the files that hold an expected body.
const (
	FormatJSON Format = "json" // the order of members, white space and the notation of numbers do not matter
	FormatXML  Format = "xml"  // white space between elements, the order of attributes and comments do not matter
	FormatForm Format = "form" // the order of different names does not matter
	FormatText Format = "txt"  // byte for byte
)

var formats = []Format{FormatJSON, FormatXML, FormatForm, FormatText}

// formatOf guesses the format of a body that a plugin wrote.
func formatOf(contentType string, body []byte) Format {
	switch t := mediaType(contentType); {
	case t == "application/x-www-form-urlencoded":
		return FormatForm
	case strings.HasSuffix(t, "/xml") || strings.HasSuffix(t, "+xml"):
		return FormatXML
	case (t == "" || t == "application/json" || strings.HasSuffix(t, "+json")) && json.Valid(body):
		return FormatJSON
	}
	return FormatText
}

// canonical writes body in a form that is the same for bodies that mean the same, one thing per line, so that it can also be shown.
func (f Format) canonical(body []byte) (string, error) {
	switch f {
	case FormatJSON:
		return canonicalJSON(body)
	case FormatXML:
		return canonicalXML(body)
	case FormatForm:
		return canonicalForm(string(body))
	}
	return string(body), nil
}

func canonicalJSON(body []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("is not JSON: there is something behind the value")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(canonicalNumbers(v)); err != nil { // maps are written in the order of their keys
		return "", err
	}
	return b.String(), nil
}

// canonicalNumbers writes every number of v in one notation.
func canonicalNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return json.Number(canonicalNumber(string(v)))
	case map[string]any:
		for k := range v {
			v[k] = canonicalNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = canonicalNumbers(v[i])
		}
	}
	return v
}

// canonicalNumber keeps whole numbers as they are and drops what does not matter in a fraction: 1.50 is 1.5, 2.0 is 2. No digit that counts
// is lost: large numbers stay exact. Exponents stay as they are but for their case.
func canonicalNumber(s string) string {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	if strings.Contains(mantissa, ".") {
		mantissa = strings.TrimSuffix(strings.TrimRight(mantissa, "0"), ".")
	}
	if mantissa == "-0" {
		mantissa = "0"
	}
	if scientific && mantissa != "0" {
		return mantissa + "e" + strings.TrimPrefix(exponent, "+")
	}
	return mantissa
}

func canonicalForm(body string) (string, error) {
	values, err := url.ParseQuery(strings.TrimRight(body, "\r\n"))
	if err != nil {
		return "", fmt.Errorf("is not a form: %w", err)
	}
	var b strings.Builder
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range values[name] {
			fmt.Fprintf(&b, "%s=%s\n", name, v)
		}
	}
	return b.String(), nil
}

func canonicalXML(body []byte) (string, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("only UTF-8 is understood") }
	var b strings.Builder
	depth := 0
	line := func(s string) { b.WriteString(strings.Repeat("  ", depth) + s + "\n") }
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("is not XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			line("<" + xmlName(t.Name) + xmlAttributes(t.Attr) + ">")
			depth++
		case xml.EndElement:
			depth = max(depth-1, 0)
			line("</" + xmlName(t.Name) + ">")
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				line(xmlText(string(t)))
			}
		}
	}
	return b.String(), checkXML(body)
}

// checkXML finds what raw tokens do not show: elements that do not match.
func checkXML(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("only UTF-8 is understood") }
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("is not XML: %w", err)
		}
	}
}

func xmlName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

func xmlAttributes(attributes []xml.Attr) string {
	var list []string
	for _, a := range attributes {
		list = append(list, " "+xmlName(a.Name)+`="`+xmlText(a.Value)+`"`)
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func xmlText(s string) string {
	var b strings.Builder
	// A strings.Builder takes everything.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
