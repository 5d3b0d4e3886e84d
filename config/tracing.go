package config

import (
	"fmt"
	"net/url"
)

// Tracing is where spans go. Without an endpoint there are none; a producer's traceparent is handed on to receivers all the same.
type Tracing struct {
	Endpoint    string          `yaml:"endpoint,omitempty" jsonschema_description:"Address of a collector that speaks OTLP over HTTP, such as http://127.0.0.1:4318. Absent = no spans are made."`
	Headers     []TracingHeader `yaml:"headers,omitempty" jsonschema_description:"Headers of the requests to the collector, for its credentials."`
	SampleRatio float64         `yaml:"sample_ratio" jsonschema:"minimum=0,maximum=1" jsonschema_description:"The share of events without a traceparent that get spans. Of the others the producer has decided: those that it samples."`
	ServiceName string          `yaml:"service_name" jsonschema_description:"The name under which the collector shows this relay."`
}

// TracingHeader is one header for the collector.
type TracingHeader struct {
	Name  string `yaml:"name" jsonschema:"required" jsonschema_description:"Name of the header."`
	Value Secret `yaml:"value" jsonschema:"required" jsonschema_description:"Its value."`
}

func (c *Config) checkTracing() {
	t := &c.Tracing
	if t.Endpoint != "" {
		u, err := url.Parse(t.Endpoint)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			c.fault("tracing.endpoint", "is not an address such as http://127.0.0.1:4318; credentials go into tracing.headers")
		}
	}
	if t.ServiceName == "" {
		c.fault("tracing.service_name", "is empty")
	}
	names := unique{config: c, what: "header", fold: true}
	for i, h := range t.Headers {
		path := fmt.Sprintf("tracing.headers[%d]", i)
		c.checkHeaderName(path+".name", h.Name, nil)
		names.add(path+".name", h.Name)
	}
}
