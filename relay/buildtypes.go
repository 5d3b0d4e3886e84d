package relay

import (
	"errors"
	"fmt"

	"edgerelay/relay/catalogue"
	"edgerelay/relay/ingress"
)

// eventTypes compiles the schemas of the catalogue, checks the examples against them, and lists what the ingress has to look at. A schema whose text
// has not changed is not compiled again.
func (b *builder) eventTypes() {
	b.out.schemas = map[string]*catalogue.Schema{}
	for i := range b.cfg.EventTypes {
		t := &b.cfg.EventTypes[i]
		path := fmt.Sprintf("event_types[%d]", i)
		asked := ingress.EventType{Name: t.Name, Tenant: t.Tenant}
		if len(t.Schema.JSON) > 0 {
			schema, err := b.schema(string(t.Schema.JSON))
			if err != nil {
				b.problem(path+".schema", err)
				continue
			}
			if len(t.Example) > 0 {
				for _, v := range schema.Check(t.Example) {
					b.problem(path+".example", errors.New("does not fit the schema: "+v.String()))
				}
			}
			if b.cfg.Validated(t) {
				asked.Schema = schema
			}
		}
		if b.cfg.StrictEventTypes || asked.Schema != nil {
			b.out.checked = append(b.out.checked, asked)
		}
	}
}

// schema compiles text, or takes what there is.
func (b *builder) schema(text string) (s *catalogue.Schema, err error) {
	if s = b.out.schemas[text]; s == nil && b.old != nil {
		s = b.old.schemas[text]
	}
	if s == nil {
		if s, err = catalogue.Compile([]byte(text)); err != nil {
			return nil, err
		}
	}
	b.out.schemas[text] = s
	return s, nil
}
