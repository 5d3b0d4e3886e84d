package config

import (
	"time"
)

// maxRetries bounds every schedule.
const maxRetries = 100

// Retry says when failed deliveries are tried again, in one of two forms: Schedule, or Initial and what follows it. Jitter goes with both.
type Retry struct {
	Schedule    []Duration `yaml:"schedule,omitempty,flow" merge:"whole" min:"1ms" max:"30d" jsonschema_description:"The waits before the second attempt, the third, and so on. An empty list = one attempt only."`
	Initial     Duration   `yaml:"initial,omitempty" min:"1ms" max:"30d" jsonschema_description:"The wait before the second attempt."`
	Multiplier  float64    `yaml:"multiplier,omitempty" jsonschema:"minimum=1,maximum=100" jsonschema_description:"With initial: how much longer each wait is than the one before. Default 2."`
	MaxInterval Duration   `yaml:"max_interval,omitempty" min:"1ms" max:"30d" jsonschema_description:"With initial: the longest wait. Default 1h."`
	MaxRetries  *int       `yaml:"max_retries,omitempty" jsonschema:"minimum=0,maximum=100" jsonschema_description:"With initial: how often to try again. Default 5, or as often as max_age allows when that is given."`
	MaxAge      Duration   `yaml:"max_age,omitempty" min:"1ms" max:"90d" jsonschema_description:"With initial: the last retry begins no later than this after the first attempt."`
	Jitter      float64    `yaml:"jitter" jsonschema:"minimum=0,maximum=1" jsonschema_description:"Each wait is made longer or shorter at random by up to this share of it."`
}

// Delays returns the waits before the second, third … attempt, whichever form r has. Empty = one attempt only.
func (r Retry) Delays() []time.Duration {
	if r.Initial == 0 {
		delays := make([]time.Duration, len(r.Schedule))
		for i, d := range r.Schedule {
			delays[i] = time.Duration(d)
		}
		return delays
	}
	limit := growthRetries
	if r.MaxRetries != nil {
		limit = min(*r.MaxRetries, maxRetries)
	} else if r.MaxAge != 0 {
		limit = maxRetries
	}
	multiplier, longest := r.Multiplier, r.MaxInterval
	if multiplier == 0 {
		multiplier = growth.Multiplier
	}
	if longest == 0 {
		longest = growth.MaxInterval
	}
	delays := []time.Duration{}
	wait, age := float64(r.Initial), time.Duration(0)
	for len(delays) < limit {
		d := time.Duration(min(wait, float64(longest)))
		if age += d; r.MaxAge != 0 && age > time.Duration(r.MaxAge) {
			break
		}
		delays = append(delays, d)
		wait = min(wait*multiplier, float64(longest))
	}
	return delays
}

// MarshalYAML prints the form that r has, and only that.
func (r Retry) MarshalYAML() (any, error) {
	type growing Retry
	if r.Initial != 0 {
		return growing(r), nil
	}
	return struct {
		Schedule []Duration `yaml:"schedule,flow"`
		Jitter   float64    `yaml:"jitter"`
	}{r.Schedule, r.Jitter}, nil
}

// settleRetry ends the choice between the two forms for the retry at path, whose missing parts come from inherited.
func (c *Config) settleRetry(path string, r *Retry, inherited Retry) {
	growing := c.index.has(path + ".initial")
	if !c.index.has(path + ".jitter") {
		r.Jitter = inherited.Jitter
	}
	switch {
	case growing && c.index.has(path+".schedule"):
		c.fault(path+".initial", "give either schedule or initial, not both")
	case growing:
		r.Schedule = nil
	default:
		for _, key := range []string{"multiplier", "max_interval", "max_retries", "max_age"} {
			if c.index.has(path + "." + key) {
				c.fault(path+"."+key, "works only together with initial: add initial, or use schedule alone")
			}
		}
		if !c.index.has(path + ".schedule") {
			jitter := r.Jitter
			*r = inherited
			r.Jitter = jitter
		}
	}
	if len(r.Schedule) > maxRetries {
		c.fault(path+".schedule", "has %d entries, at most %d are allowed", len(r.Schedule), maxRetries)
	}
}
