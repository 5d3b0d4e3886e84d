package event

// Mark says that an event in the queue is not a producer's, but was put there by people. It is stored with the event, and so survives restarts.
type Mark uint8

// The marks. Their numbers are stored.
const (
	MarkNone   Mark = 0
	MarkReplay Mark = 1 // sent again out of the history
)

// String returns "" or "replay".
func (m Mark) String() string {
	if m == MarkReplay {
		return "replay"
	}
	return ""
}
