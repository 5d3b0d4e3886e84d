package bench

// SinkCounts sums up what arrived, over all hooks.
type SinkCounts struct {
	Requests      int64
	Delivered     int64 // accepted with 2xx
	Distinct      int64 // of these, different events (per hook)
	Duplicates    int64
	OutOfOrder    int64 // arrived after a later event of the same stream
	Refused       int64 // answered as the behaviour says, with something else than 2xx
	BadSignatures int64
	BadIDs        int64 // webhook-id is missing or differs from the envelope's id
	Unknown       int64 // without a stamp: not from this generator
	Checked       int64 // signatures that were checked
	LastError     string
	First, Last   int64   // Unix microseconds of the first and the last delivery that was accepted for the first time
	Hooks         []int64 // Distinct of each of the first hooks, at most countedHooks
}

// countedHooks is how many hooks have a count of their own in SinkCounts.
const countedHooks = 16

// Counts returns the sums so far.
func (s *Sink) Counts() (sum SinkCounts) {
	st := s.state.Load()
	for i := range st.shards {
		sh := &st.shards[i]
		sh.mu.Lock()
		sum.add(&sh.counts)
		sh.mu.Unlock()
	}
	for _, h := range st.hooks[:min(len(st.hooks), countedHooks)] {
		sum.Hooks = append(sum.Hooks, h.distinct.Load())
	}
	return sum
}

func (c *SinkCounts) add(o *SinkCounts) {
	c.Requests += o.Requests
	c.Delivered += o.Delivered
	c.Distinct += o.Distinct
	c.Duplicates += o.Duplicates
	c.OutOfOrder += o.OutOfOrder
	c.Refused += o.Refused
	c.BadSignatures += o.BadSignatures
	c.BadIDs += o.BadIDs
	c.Unknown += o.Unknown
	c.Checked += o.Checked
	if o.LastError != "" {
		c.LastError = o.LastError
	}
	if o.First != 0 && (c.First == 0 || o.First < c.First) {
		c.First = o.First
	}
	c.Last = max(c.Last, o.Last)
}
