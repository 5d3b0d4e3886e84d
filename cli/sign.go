package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgerelay/relay/event"
	"edgerelay/relay/sign"
)

// signFlags are the flags that sign and verify share.
type signFlags struct {
	secrets []string
	scheme  string
	data    string
}

// secretEnv is where a secret may come from, so that it need not be seen in the list of processes.
const secretEnv = "EDGERELAY_SECRET"

func (f *signFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.secrets, "secret", nil, "signing secret, repeatable, newest first (default $"+secretEnv+")")
	cmd.Flags().StringVar(&f.scheme, "scheme", sign.Standard, "signature scheme: standard or github")
	cmd.Flags().StringVar(&f.data, "data", "", "the body: text, @file, or - for the standard input (required)")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic("BUG: " + err.Error())
	}
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

// signer checks the flags and returns the signer and the body.
func (f *signFlags) signer(cmd *cobra.Command) (*sign.Signer, []byte, error) {
	secrets := secretsOrEnv(f.secrets)
	if f.scheme == sign.None || len(secrets) == 0 {
		return nil, nil, usageErrorf("there is nothing to sign with: give --secret (or $%s) and --scheme standard or github", secretEnv)
	}
	s, err := sign.New(f.scheme, secrets)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	body, err := readData(cmd, f.data)
	return s, body, err
}

func newSignCommand() *cobra.Command {
	var f signFlags
	var id string
	var unix int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Print the signature headers of a body",
		Long:  "Compute the headers with which the relay would sign a body, ready for curl or a test of your receiver.",
		Example: `  edgerelay sign --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw --data '{"test": 2432232314}'
  edgerelay sign --scheme github --secret "It's a Secret to Everybody" --data @body.json
  edgerelay sign --data @body.json | curl -H @- --data-binary @body.json http://127.0.0.1:9000/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, body, err := f.signer(cmd)
			if err != nil {
				return err
			}
			now := time.Now()
			if !cmd.Flags().Changed("timestamp") {
				unix = now.Unix()
			}
			if id == "" {
				id = string(event.AppendTypeID(nil, event.PrefixEvent, event.NewUUID(now)))
			}
			headers := s.Sign(nil, new(sign.Scratch), sign.Message{ID: []byte(id), Unix: unix, Body: body})
			return printHeaders(cmd, headers, asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "id of the event (default: a new one)")
	cmd.Flags().Int64Var(&unix, "timestamp", 0, "time of the attempt in Unix seconds (default: now)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
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
			"The body must be the exact bytes that were received.",
		Example: `  edgerelay verify --data @body.json -H 'webhook-id: we_1' -H 'webhook-timestamp: 1614265330' -H 'webhook-signature: v1,…'
  edgerelay verify --scheme github --data @body.json -H 'X-Hub-Signature-256: sha256=…'
  edgerelay verify --at 2021-02-25T15:02:10Z --data @old.json -H …`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, body, err := f.signer(cmd)
			if err != nil {
				return err
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
			if err := s.Verify(received.Get, body, now); err != nil {
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
