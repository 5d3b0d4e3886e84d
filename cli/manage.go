package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// manageFlags are the flags of the commands that manage what is made through the API.
type manageFlags struct {
	clientFlags
	json bool
}

func (f *manageFlags) command(use, short, long, example string) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Long: long, Example: example}
	f.clientFlags.add(cmd, "http://127.0.0.1:8081", "EDGERELAY_ADMIN_TOKEN", "management API")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON, one object per line")
	return cmd
}

// column is one column of a table: a title, and the member of the object that it shows.
type column struct{ title, member string }

// list prints a list of the API: a table, or one object per line.
func (f *manageFlags) list(use, short, path string, columns []column, filters ...string) *cobra.Command {
	values := make(map[string]*string, len(filters))
	var limit int
	var all bool
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	for _, name := range filters {
		values[name] = cmd.Flags().String(strings.ReplaceAll(name, "_", "-"), "", "only those with this "+name)
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many per page")
	cmd.Flags().BoolVar(&all, "all", false, "go through all pages")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := f.client(cmd)
		if err != nil {
			return err
		}
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		for name, v := range values {
			if *v != "" {
				q.Set(name, *v)
			}
		}
		var titles []string
		for _, one := range columns {
			titles = append(titles, one.title)
		}
		return printList(cmd, c, path, q, all, f.json, strings.Join(titles, "\t")+"\n", func(out io.Writer, object *map[string]any) {
			var cells []string
			for _, one := range columns {
				cells = append(cells, oneLine(cell((*object)[one.member])))
			}
			fmt.Fprintln(out, strings.Join(cells, "\t"))
		})
	}
	return cmd
}

// cell writes a value of an answer into a table.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, cell(one))
		}
		return strings.Join(all, ",")
	case map[string]any:
		return cell(v["id"])
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// act sends a request about one object and prints what comes back; done is printed when nothing does.
func (f *manageFlags) act(cmd *cobra.Command, method, path string, body any, done string, headers ...string) error {
	c, err := f.client(cmd)
	if err != nil {
		return err
	}
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	default:
		if text, err = json.Marshal(b); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	var raw json.RawMessage
	var into any = &raw
	if method == "DELETE" {
		into = nil
	}
	if _, err := c.do(cmd.Context(), method, path, text, into); err != nil {
		return err
	}
	if len(raw) == 0 || !f.json && done != "" {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
		return err
	}
	if f.json {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", bytes.TrimSpace(raw))
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), printable(pretty(raw))+"\n")
	return err
}

// find turns the name of an object into its id; an id stays what it is.
func (f *manageFlags) find(cmd *cobra.Command, list, prefix, name string) (string, error) {
	if strings.HasPrefix(name, prefix) {
		return url.PathEscape(name), nil
	}
	c, err := f.client(cmd)
	if err != nil {
		return "", err
	}
	var page struct {
		Items []struct{ ID, Name, Tenant string } `json:"items"`
	}
	if _, err := c.do(cmd.Context(), "GET", list+"?limit=500&search="+url.QueryEscape(name), nil, &page); err != nil {
		return "", err
	}
	var ids []string
	for _, item := range page.Items {
		if item.Name == name {
			ids = append(ids, item.ID)
		}
	}
	switch len(ids) {
	case 1:
		return url.PathEscape(ids[0]), nil
	case 0:
		return "", fmt.Errorf("there is no %q that the token may see", name)
	}
	return "", fmt.Errorf("several tenants have a %q: use one of the ids %s", name, strings.Join(ids, ", "))
}

// definition reads a JSON or YAML text of a flag.
func definition(cmd *cobra.Command, value string) ([]byte, error) {
	if value == "" {
		return nil, usageErrorf("--data is missing: the definition as JSON, @FILE, or - for the standard input")
	}
	text, err := readData(cmd, value)
	if err != nil {
		return nil, err
	}
	return compactDefinition(text)
}
