package relay

import "edgerelay/relay/admin"

// publicKeys lists the keys with which receivers verify, of one webhook or of all. It reads what is compiled and in force, so a key is there from
// the moment that something is signed with it until nothing is any more.
func (r *Relay) publicKeys(webhook string) (keys []admin.Key) {
	r.mu.Lock()
	targets := r.built.targets
	r.mu.Unlock()
	for i := range targets {
		w := targets[i].Webhook
		if webhook != "" && webhook != w.ID.String() {
			continue
		}
		for _, k := range w.Signer.PublicKeys() {
			keys = append(keys, admin.Key(k))
		}
	}
	return keys
}
