package relay

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"edgerelay/config"
	"edgerelay/relay/guard/dnstest"
)

// privateForms are hosts behind which is this machine, or something else that is nobody's business, in every spelling that has fooled somebody.
var privateForms = []string{
	// Loopback, as an address, as a number, and as both.
	"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "127.0.0.2",
	"127.255.255.254", "0", "0.0.0.0", "00.0.0.0", "0x0", "localhost", "localhost.", "LOCALHOST", "a.localhost", "ip6-localhost",
	"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]",
	"[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::1%25lo]", "[fe80::1%25lo]",
	// Other special networks.
	"[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[2620:4f:8000::1]", "10.0.0.1", "10.255.255.254", "172.16.0.1", "172.31.255.254",
	"192.168.1.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.170.2", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
	"168.63.129.16", "224.0.0.1", "240.0.0.1", "255.255.255.255",
	// Another host in front of, or behind, the real one.
	"public.test@127.0.0.1", "public.test:80@127.0.0.1", "127.0.0.1#@public.test", "127.0.0.1%00.public.test", `127.0.0.1\@public.test`, "127。0。0。1", "１２７.0.0.1", "ⓛocalhost", "%31%32%37.0.0.1",
	"127.0.0.1%2f@public.test", "[127.0.0.1]", "::1", "127.0.0.1 public.test",
}

// answers are what names resolve to: each form that is an address, and mixtures.
func privateAnswers(t *testing.T) (names []string, z *dnstest.Zone) {
	t.Helper()
	addr := netip.MustParseAddr
	z = &dnstest.Zone{Names: map[string][][]netip.Addr{}, Aliases: map[string]string{}}
	add := func(lists ...[]netip.Addr) {
		name := fmt.Sprintf("n%d.test", len(names))
		names = append(names, name)
		z.Names[name] = lists
	}
	for _, form := range append(privateForms, "[fe80::7f00:1]", "10.1.2.3", "172.20.0.1", "192.168.255.254", "100.127.255.254", "127.8.8.8", "0.1.2.3", "169.254.0.1", "198.19.255.254",
		"239.255.255.254", "[fdff::1]", "[febf::1]", "[fec0::1]", "[::2]", "[100::1]", "[2002:a00:1::1]", "[2001:10::1]", "[64:ff9b::a00:1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]") {
		if ip, err := netip.ParseAddr(strings.Trim(form, "[]")); err == nil {
			add([]netip.Addr{ip})
		}
	}
	// A public address that answers to nobody (it is in the deny list of the test), with a private one in every order; and names that change their minds.
	public, public6, private, private6 := addr("192.31.196.1"), addr("2001:4:112::1"), addr("127.0.0.1"), addr("::1")
	add([]netip.Addr{public, private})
	add([]netip.Addr{private, public})
	add([]netip.Addr{public, private6})
	add([]netip.Addr{public6, private})
	add([]netip.Addr{private6, public6, private, public})
	add([]netip.Addr{public}, []netip.Addr{private})
	add([]netip.Addr{public}, []netip.Addr{private6}, []netip.Addr{public}, []netip.Addr{private})
	add([]netip.Addr{private}, []netip.Addr{public})
	for i := range 3 {
		alias := fmt.Sprintf("alias%d.test", i)
		z.Aliases[alias] = names[i]
		names = append(names, alias)
	}
	z.Others = []netip.Addr{private, private6} // numbers in disguise and the like, as some resolvers read them
	names = append(names, "127.0.0.1.nip.test", "metadata.google.internal")
	return names, z
}

// sentinel counts connections to every address of this machine.
func sentinel(t *testing.T) (port string, reached *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	reached = new(atomic.Int64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			conn.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port, reached
}

// accepted keeps the webhooks that a configuration accepts one by one, and says how many it refuses; either way nothing may be connected.
func accepted(t *testing.T, head string, entries []string) (text string, taken, refused int) {
	t.Helper()
	text = head
	for _, e := range entries {
		c, err := config.Parse("test.yaml", []byte(head+e))
		if err != nil || len(Check(t.Context(), c)) > 0 {
			refused++
			continue
		}
		text += e
		taken++
	}
	return text, taken, refused
}

// attempted runs a relay with text, sends one event, and waits until every webhook has given it up after its only attempt.
func attempted(t *testing.T, text string, deliveries int) {
	t.Helper()
	r := start(t, t.TempDir(), text)
	r.send(`{"type":"x","data":{"n":1}}`)
	r.eventually(fmt.Sprintf("%d deliveries are dead", deliveries), func() bool { return r.Queue().Dead == int64(deliveries) })
}

// TestNothingPrivateIsReached sends to every form of a private address, as the URL of a webhook, as what DNS says of its host, as a redirect and as
// a token URL, with a real relay: not one connection reaches the listener behind them.
func TestNothingPrivateIsReached(t *testing.T) {
	if testing.Short() {
		t.Skip("several hundred webhooks; the run without -short has it")
	}
	names, zone := privateAnswers(t)
	before := net.DefaultResolver
	net.DefaultResolver = zone.Resolver()
	t.Cleanup(func() { net.DefaultResolver = before })
	port, reached := sentinel(t)
	hosts := func(forms []string, entry string) (entries []string) {
		for i, form := range forms {
			entries = append(entries, fmt.Sprintf(entry, i, strings.ReplaceAll(form, "'", "''"), port))
		}
		return entries
	}
	const head = "sender: { timeout: 2s, deny_networks: [192.31.196.0/24, '2001:4:112::/48'] }\nretry: { schedule: [] }\n"
	const plain = "- { name: w%d, events: ['*'], url: 'http://%s:%s/', signing: { scheme: none } }\n"
	if len(privateForms) < 60 || len(names) < 60 {
		t.Fatalf("%d forms and %d answers", len(privateForms), len(names))
	}
	for _, c := range []struct {
		name    string
		entries []string
	}{{"URL", hosts(privateForms, plain)}, {"DNS answer", hosts(names, plain)}} {
		t.Run(c.name, func(t *testing.T) {
			text, taken, refused := accepted(t, head+"webhooks:\n", c.entries)
			attempted(t, text, taken)
			t.Logf("%d forms: %d refused by the configuration, %d by the guard; %d connections", len(c.entries), refused, taken, reached.Load())
		})
	}
	for _, kind := range []struct {
		name  string
		forms []string
	}{{"token URL", privateForms}, {"DNS answer of a token URL", names}} {
		t.Run(kind.name, func(t *testing.T) {
			const secret = "client_id: c, client_secret: s"
			text := "authorizations:\n"
			webhooks := "webhooks:\n"
			taken := 0
			for i, form := range kind.forms {
				auth := fmt.Sprintf("- { name: a%d, type: oauth2, token_url: 'http://%s:%s/token', %s }\n", i, strings.ReplaceAll(form, "'", "''"), port, secret)
				if _, err := config.Parse("test.yaml", []byte(head+"authorizations:\n"+auth)); err != nil {
					continue
				}
				text += auth
				webhooks += fmt.Sprintf("- { name: w%d, events: ['*'], url: 'http://192.31.196.1/', authorization: a%d }\n", i, i)
				taken++
			}
			attempted(t, head+text+webhooks, taken)
			t.Logf("%d forms: %d refused by the configuration, %d by the guard; %d connections", len(kind.forms), len(kind.forms)-taken, taken, reached.Load())
		})
	}
	t.Run("redirect", func(t *testing.T) {
		statuses := []int{301, 302, 303, 307, 308}
		var redirected atomic.Int64
		receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var i int
			fmt.Sscanf(r.URL.Path, "/%d", &i)
			redirected.Add(1)
			w.Header()["Location"] = []string{"http://" + privateForms[i] + ":" + port + "/"}
			w.WriteHeader(statuses[i%len(statuses)])
		}))
		defer receiver.Close()
		// The receiver is on this machine, so the machine is granted: only not following keeps the relay away from the sentinel.
		text := strings.Replace(head, "{ ", "{ allow_private_networks: [127.0.0.0/8, '::1/128', 0.0.0.0/8], ", 1)
		auths, webhooks, n := "authorizations:\n", "webhooks:\n", len(privateForms)
		for i := range privateForms {
			auths += fmt.Sprintf("- { name: a%d, type: oauth2, token_url: '%s/%d', client_id: c, client_secret: s }\n", i, receiver.URL, i)
			webhooks += fmt.Sprintf("- { name: w%d, events: ['*'], url: '%s/%d', signing: { scheme: none } }\n", i, receiver.URL, i)
			webhooks += fmt.Sprintf("- { name: o%d, events: ['*'], url: '%s/%d', authorization: a%d }\n", i, receiver.URL, i, i)
		}
		attempted(t, text+auths+webhooks, 2*n)
		if redirected.Load() != int64(2*n) {
			t.Errorf("%d redirects, want %d", redirected.Load(), 2*n)
		}
		t.Logf("%d redirects of receivers, %d of token endpoints; %d connections", n, n, reached.Load())
	})
	if n := reached.Load(); n != 0 {
		t.Errorf("%d connections reached what is private", n)
	}
}
