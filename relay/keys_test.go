package relay

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"edgerelay/bench"
	"edgerelay/relay/event"
	"edgerelay/relay/sign"
)

// jwks fetches the published keys as a receiver would, without a token: their ids, and the keys as whpk_….
func (r *running) jwks(query string) (ids, keys []string) {
	r.t.Helper()
	resp, err := http.Get("http://" + r.AdminAddr().String() + "/.well-known/jwks.json" + query)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var set struct{ Keys []map[string]string }
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil || resp.StatusCode != 200 || set.Keys == nil {
		r.t.Fatalf("%d %v %+v", resp.StatusCode, err, set)
	}
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=300" {
		r.t.Errorf("Cache-Control: %s", got)
	}
	for _, k := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k["x"])
		if err != nil || len(x) != ed25519.PublicKeySize || len(k) != 6 || k["kty"] != "OKP" || k["crv"] != "Ed25519" {
			r.t.Errorf("%v %v", k, err)
		}
		ids, keys = append(ids, k["kid"]), append(keys, "whpk_"+base64.StdEncoding.EncodeToString(x))
	}
	return ids, keys
}

// TestRotationOfPublishedKeys: a receiver that knows nothing but what is published verifies every delivery while a key is replaced: both keys are
// there, and both sign; a receiver that still has the keys of before accepts too.
func TestRotationOfPublishedKeys(t *testing.T) {
	first, second := sign.NewPrivateKey(), sign.NewPrivateKey()
	shared := fmt.Sprintf("- { name: c, events: [nothing], url: 'http://127.0.0.1:1/', secret: %s }\n", testSecret)
	webhooks := func(rec *bench.Receiver, secret string) string {
		text := "webhooks:\n" + shared
		for name, signing := range map[string]string{"a": "{ scheme: standard-ed25519 }", "b": "{ scheme: rfc9421, algorithm: ed25519 }"} {
			url := "http://127.0.0.1:1/"
			if rec != nil {
				url = rec.URL(name)
			}
			text += fmt.Sprintf("- { name: %s, events: ['*'], url: '%s', secret: %s, signing: %s }\n", name, url, secret, signing)
		}
		return text
	}
	r := start(t, t.TempDir(), webhooks(nil, first))
	receive := func(keys []string) *bench.Receiver {
		rec, err := bench.Start(bench.Options{Hooks: []bench.Hook{{Name: "a", Scheme: "standard-ed25519", Secrets: keys}, {Name: "b", Scheme: "rfc9421", Algorithm: "ed25519", Secrets: keys}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rec.Close(t.Context()) })
		return rec
	}
	_, before := r.jwks("")
	if len(before) != 1 { // two webhooks with one key
		t.Fatalf("%v", before)
	}
	for i, secret := range []string{first, "[" + second + ", " + first + "]", second} {
		if err := r.Reload(t.Context(), r.load(webhooks(nil, secret))); err != nil {
			t.Fatal(err)
		}
		ids, keys := r.jwks("")
		if want := []int{1, 2, 1}[i]; len(keys) != want || len(ids) != want {
			t.Fatalf("step %d: %v", i, ids)
		}
		receivers := [][]string{keys}
		if i == 1 {
			receivers = append(receivers, before, keys[:1])
			if slices.Contains(before, keys[0]) || keys[1] != before[0] {
				t.Errorf("the newest key comes first: %v, before %v", keys, before)
			}
		}
		for _, known := range receivers {
			rec := receive(known)
			if err := r.Reload(t.Context(), r.load(webhooks(rec, secret))); err != nil {
				t.Fatal(err)
			}
			r.send(`{"type":"x","data":1}`)
			r.eventually("both have verified it", func() bool {
				c := rec.Snapshot()
				return c.Delivered == 2 || c.BadSignatures > 0
			})
			if c := rec.Snapshot(); c.BadSignatures > 0 {
				t.Errorf("step %d: %+v", i, c)
			}
		}
	}
	if ids, _ := r.jwks("?webhook=" + event.NamedWebhookID("default", "a").String()); len(ids) != 1 {
		t.Errorf("of one webhook: %v", ids)
	}
	for _, of := range []string{event.NamedWebhookID("default", "c").String(), event.NamedWebhookID("default", "nobody").String()} {
		if ids, _ := r.jwks("?webhook=" + of); len(ids) != 0 {
			t.Errorf("of one without: %v", ids)
		}
	}
}

// TestKeysOfAPIWebhooksArePublished: a rotation through the API shows both keys while both sign.
func TestKeysOfAPIWebhooksArePublished(t *testing.T) {
	r := start(t, t.TempDir(), "")
	var made struct{ ID string }
	token, _ := r.AdminToken()
	want := func(status int) {
		t.Helper()
		if status >= 300 {
			t.Fatalf("answered %d", status)
		}
	}
	want(r.call(token, "POST", "/api/v1/webhooks", `{"name":"w","events":["x"],"url":"http://127.0.0.1:1/","signing":{"scheme":"standard-ed25519"}}`, &made))
	_, first := r.jwks("?webhook=" + made.ID)
	if made.ID == "" || len(first) != 1 {
		t.Fatalf("%+v %v", made, first)
	}
	want(r.call(token, "POST", "/api/v1/webhooks/"+made.ID+"/rotate-secret", `{}`, nil))
	_, both := r.jwks("?webhook=" + made.ID)
	if len(both) != 2 || both[1] != first[0] || both[0] == first[0] {
		t.Errorf("before %v, then %v", first, both)
	}
	want(r.call(token, "DELETE", "/api/v1/webhooks/"+made.ID, "", nil))
	if _, keys := r.jwks(""); len(keys) != 0 {
		t.Errorf("deleted, and still there: %v", keys)
	}
}
