package bench

import "context"

// remembering compares the highest rates with and without a history. The runs follow each other in one session, with the limit before them,
// so that they can be compared; --rounds repeats all of them in turn.
func remembering(ctx context.Context, s *Session) error {
	var two *Result
	if s.Limits {
		var err error
		if two, err = s.twoHops(ctx, false, nil); err != nil {
			return err
		}
	}
	var off *Result
	for _, v := range []struct{ name, config, hook string }{
		{"history off", "history: { enabled: false }\n", ""},
		{"history errors", "", ", log: errors"},
		{"history all", "", ", log: all"},
	} {
		o := s.plain(1)
		o.config = v.config
		o.webhooks = func() []webhook {
			h := s.plainHook(0)
			h.more = v.hook
			return []webhook{h}
		}
		err := s.withRelay(o, func(c *relayChild) error {
			res, err := s.measureRelay(ctx, c, s.closed(v.name, c.target(s.body())))
			if err != nil {
				return err
			}
			m, err := c.metrics()
			if err != nil {
				return err
			}
			if off != nil {
				res.figure("remembered", m["edgerelay_history_records_total"], "records")
				res.figure("left out", m["edgerelay_history_dropped_total"], "records")
				res.compare(off)
			} else {
				off = res
			}
			if two != nil {
				res.compare(two)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
