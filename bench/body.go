package bench

import (
	"math/rand/v2"
	"strings"
)

// EventBody is the body that the scenarios send.
func EventBody(size int) string { return eventBody(eventType, size) }

// eventBody returns a template of an event of about size bytes, of the given type. The filling is words, because a text that compresses to
// nothing, or not at all, would flatter or punish whoever compresses; among them are e-mail addresses for the transforms that look for them.
func eventBody(eventType string, size int) string {
	head := `{"type":"` + eventType + `","data":{"ref":"` + Placeholder + `","amount":1250,"currency":"EUR","note":"`
	const tail = `"}}`
	fill := size - (len(head) - len(Placeholder) + stampSize) - len(tail)
	return head + filling(max(fill, 0)) + tail
}

// filling returns n bytes of words, always the same ones.
func filling(n int) string {
	r := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	for i := 1; b.Len() < n; i++ {
		for range 2 + r.IntN(8) {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		if i%40 == 0 {
			b.WriteString("@example.com")
		}
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

// orderType and orderBody are the events of the scenario transform: orders, as the plugins take them that edgerelay plugin new writes.
const orderType = "order.created"

func orderBody(size int) string {
	head := `{"type":"` + orderType + `","data":{"order":"` + Placeholder +
		`","customer":{"name":"Ada Lovelace","email":"ada@example.com"},"amount":129.5,"currency":"EUR","note":"`
	const tail = `"}}`
	return head + filling(max(size-(len(head)-len(Placeholder)+stampSize)-len(tail), 0)) + tail
}
