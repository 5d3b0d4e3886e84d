package transform

import "context"

// Chain is transforms that run one after the other.
type Chain []*Pool

// Run gives the event to the first transform, and what it wrote to the next. A transform that writes nothing passes its input on.
// Headers, query, method, path and content type add up, later ones win; anything but Send ends the chain. After an error the chain has
// ended; Result is as Pool.Run leaves it. out.Body is empty when no transform wrote anything: the event goes on as it is.
func (c Chain) Run(ctx context.Context, meta *Meta, input []byte, out *Result) error {
	out.Body = out.Body[:0]
	current := input
	for i, p := range c {
		if i > 0 {
			out.Body, out.spare = out.spare, out.Body
			out.meta = *meta
			if out.ContentType != "" {
				out.meta.ContentType = append(out.meta.ContentType[:0:0], out.ContentType...)
			}
			meta = &out.meta
		}
		if err := p.Run(ctx, meta, current, out); err != nil {
			return err
		}
		switch {
		case len(out.Body) > 0:
			current = out.Body
		case i > 0:
			out.Body, out.spare = out.spare, out.Body
		}
		if out.Action != Send {
			return nil
		}
	}
	return nil
}
