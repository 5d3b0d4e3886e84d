package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/event"
	"edgerelay/relay/sign"
)

// signFlags are the flags that sign and verify share.
type signFlags struct {
	spec        sign.Spec
	data        string
	method, url string
}

// secretEnv is where a secret may come from, so that it need not be seen in the list of processes.
const secretEnv = "EDGERELAY_SECRET"

func (f *signFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.spec.Secrets, "secret", nil, "signing secret, repeatable, newest first (default $"+secretEnv+")")
	flags.StringVar(&f.spec.Scheme, "scheme", sign.Standard, "signature scheme: "+schemeNames())
	flags.StringVar(&f.data, "data", "", "the body: text, @file, or - for the standard input (required)")
	flags.StringVar(&f.spec.HMAC.Header, "signature-header", "", "for hmac: the signature's header (required there)")
	flags.StringVar(&f.spec.HMAC.Prefix, "prefix", "", "for hmac: what stands before the signature")
	flags.StringVar(&f.spec.HMAC.Hash, "hash", "sha256", "for hmac: sha256 or sha512")
	flags.StringVar(&f.spec.HMAC.Encoding, "encoding", "hex", "for hmac: hex or base64")
	flags.StringVar(&f.spec.HMAC.Content, "content", "{body}", "for hmac: what is signed, of {id}, {timestamp}, {body} and text")
	flags.StringVar(&f.spec.HMAC.TimestampHeader, "timestamp-header", "", "for hmac: a header with the time")
	flags.StringVar(&f.spec.Algorithm, "algorithm", sign.AlgorithmHMAC, "for rfc9421: hmac-sha256 or ed25519")
	flags.StringArrayVar(&f.spec.KeyIDs, "key-id", nil, "for rfc9421: keyid of each secret, repeatable")
	flags.StringVar(&f.method, "method", http.MethodPost, "for rfc9421: the request's method")
	flags.StringVar(&f.url, "url", "", "for rfc9421: the request's URL, as the sender wrote it (required there)")
}

// schemeNames lists the schemes that sign something.
func schemeNames() string {
	return strings.Join(slices.DeleteFunc(sign.Schemes(), func(name string) bool { return name == sign.None }), ", ")
}

// secretsOrEnv returns the secrets of the flag, else the one of the environment, else none.
func secretsOrEnv(flag []string) []string {
	if len(flag) == 0 {
		if s := os.Getenv(secretEnv); s != "" {
			return []string{s}
		}
	}
	return flag
}

// check completes the spec and reads the body. What is wrong with the spec itself is found by whoever uses it.
func (f *signFlags) check(cmd *cobra.Command) (body []byte, err error) {
	f.spec.Secrets = secretsOrEnv(f.spec.Secrets)
	switch {
	case f.spec.Scheme == sign.None || len(f.spec.Secrets) == 0:
		return nil, usageErrorf("there is nothing to sign with: give --secret (or $%s) and --scheme, one of %s", secretEnv, schemeNames())
	case !cmd.Flags().Changed("data"):
		return nil, usageErrorf("--data is missing: the body, as text, @file, or - for the standard input")
	case f.spec.Scheme == sign.RFC9421 && f.url == "":
		return nil, usageErrorf("--url is missing: the scheme rfc9421 covers the request's method and URL")
	}
	return readData(cmd, f.data)
}

func newSignCommand() *cobra.Command {
	var f signFlags
	var id, contentType string
	var unix int64
	var asJSON, public bool
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Print the signature headers of a body",
		Long:  "Compute the headers with which the relay would sign a body, ready for curl or a test of your receiver.",
		Example: `  edgerelay sign --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --data '{"test": 2432232314}'
  edgerelay sign --scheme github --secret "It's a Secret to Everybody" --data @body.json
  edgerelay sign --data @body.json | curl -H @- --data-binary @body.json http://127.0.0.1:9000/
  edgerelay sign --scheme rfc9421 --url http://127.0.0.1:9000/ --content-type application/json --data @body.json
  edgerelay sign --public --secret "$(cat edgerelay-data/secrets/wh_….ed25519)"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if public {
				return f.printPublic(cmd)
			}
			body, err := f.check(cmd)
			if err != nil {
				return err
			}
			s, err := sign.Build(f.spec)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			now := time.Now()
			if !cmd.Flags().Changed("timestamp") {
				unix = now.Unix()
			}
			if id == "" {
				id = string(event.AppendTypeID(nil, event.PrefixEvent, event.NewUUID(now)))
			}
			m := sign.Message{ID: []byte(id), Unix: unix, Body: body, Method: []byte(f.method), Target: []byte(f.url), ContentType: []byte(contentType)}
			return printHeaders(cmd, allHeaders(s, m), asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "id of the event (default: a new one)")
	cmd.Flags().Int64Var(&unix, "timestamp", 0, "time of the attempt in Unix seconds (default: now)")
	cmd.Flags().StringVar(&contentType, "content-type", "", "for rfc9421: the request's Content-Type (default: it has none)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.Flags().BoolVar(&public, "public", false, "print the public keys (whpk_…) of the private ones (whsk_…) instead")
	return cmd
}

// printPublic prints what a receiver needs of each private key.
func (f *signFlags) printPublic(cmd *cobra.Command) error {
	secrets := secretsOrEnv(f.spec.Secrets)
	if len(secrets) == 0 {
		return usageErrorf("there is no key: give --secret (or $%s)", secretEnv)
	}
	for _, secret := range secrets {
		key, err := sign.PublicKey(secret)
		if err != nil {
			return &exitError{exitUsage, err}
		}
		fmt.Fprintln(cmd.OutOrStdout(), key)
	}
	return nil
}

// allHeaders returns the headers of the signature, and before them those that the relay sends with every request.
func allHeaders(s *sign.Signer, m sign.Message) []sign.Header {
	signed := s.Sign(nil, new(sign.Scratch), m)
	headers := []sign.Header{{Name: sign.HeaderID, Value: m.ID}, {Name: sign.HeaderTimestamp, Value: strconv.AppendInt(nil, m.Unix, 10)}}
	return append(headers, slices.DeleteFunc(signed, func(h sign.Header) bool {
		return h.Name == sign.HeaderID || h.Name == sign.HeaderTimestamp
	})...)
}

func printHeaders(cmd *cobra.Command, headers []sign.Header, asJSON bool) error {
	if asJSON {
		m := map[string]string{}
		for _, h := range headers {
			m[h.Name] = string(h.Value)
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(m)
	}
	for _, h := range headers {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", h.Name, h.Value)
	}
	return nil
}

func newVerifyCommand() *cobra.Command {
	var f signFlags
	var headers []string
	var at string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the signature of a received request",
		Long: "Check the signature headers of a request against its body, as a receiver should. Exit code 1 = do not trust it.\n" +
			"The body must be the exact bytes that were received. For an asymmetric scheme --secret may be the public key (whpk_…).",
		Example: `  edgerelay verify --data @body.json -H 'webhook-id: we_1' -H 'webhook-timestamp: 1614265330' -H 'webhook-signature: v1,…'
  edgerelay verify --scheme github --data @body.json -H 'X-Hub-Signature-256: sha256=…'
  edgerelay verify --scheme standard-ed25519 --secret whpk_… --data @body.json -H …
  edgerelay verify --at 2021-02-25T15:02:10Z --data @old.json -H …`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := f.check(cmd)
			if err != nil {
				return err
			}
			v, err := sign.NewVerifier(f.spec)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			now, err := parseAt(at)
			if err != nil {
				return err
			}
			received := http.Header{}
			for _, line := range headers {
				name, value, ok := strings.Cut(line, ":")
				if !ok {
					return usageErrorf("--header %q: want 'name: value'", line)
				}
				received.Add(strings.TrimSpace(name), strings.TrimSpace(value))
			}
			if err := v.Verify(sign.Request{Header: received.Get, Body: body, Method: f.method, Target: f.url}, now); err != nil {
				return fmt.Errorf("not verified: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "verified")
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "a header of the request, 'name: value', repeatable")
	cmd.Flags().StringVar(&at, "at", "", "when it was received, RFC 3339 or Unix seconds, for an old request (default: now)")
	return cmd
}

// parseAt reads a moment; "" = now.
func parseAt(s string) (time.Time, error) {
	if s == "" {
		return time.Now(), nil
	}
	if unix, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(unix, 0), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, usageErrorf("--at %q is neither RFC 3339 nor Unix seconds", s)
	}
	return t, nil
}
