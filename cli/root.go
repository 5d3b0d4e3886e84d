// Package cli is the command line: one file per command, and no logic that another program could want.
//
// main calls Main and ends the process with what it returns. A command writes its result to the command's output, everything else to its
// error output, and returns an error that says what went wrong and what to try; execute prints it, once. Goroutines belong to what the
// commands start. The exit codes are in exit.go.
package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Main runs the command line (without the program's name) and returns the exit code.
func Main(args []string) int { return execute(newRoot(commands()...), args) }

// newRoot builds the command tree.
func newRoot(subcommands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "edgerelay",
		Short: "A durable webhook relay in one binary",
		Long: "edgerelay takes events from your programs, keeps them safely, and delivers each as a signed webhook to\n" +
			"everybody who subscribed to it, again and again until it arrives.",
		SilenceErrors: true, // execute prints them
		SilenceUsage:  true, // a page of help would hide the message
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := logger(cmd); err != nil {
				return &exitError{exitUsage, err}
			}
			return nil
		},
	}
	root.PersistentFlags().String("log-level", "info", "least important log line: debug, info, warn or error")
	root.PersistentFlags().String("log-format", "auto", "auto (text on a terminal, else json), text or json")
	root.AddCommand(subcommands...)
	return root
}

// execute runs root and turns its error into a message and an exit code. Whatever fails before a command's own code runs (unknown
// command, bad flag, wrong number of arguments) is wrong usage.
func execute(root *cobra.Command, args []string) int {
	running := false
	markRunning(root, &running)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	var coded *exitError
	if !running && !errors.As(err, &coded) {
		err = &exitError{exitUsage, err}
	}
	code := exitCode(err)
	if message := err.Error(); message != "" {
		fmt.Fprintf(root.ErrOrStderr(), "edgerelay: %s\n", message)
	}
	if code == exitUsage {
		fmt.Fprintf(root.ErrOrStderr(), "Try: %s --help\n", cmd.CommandPath())
	}
	return code
}

// markRunning makes every command of the tree note that its own code has begun.
func markRunning(cmd *cobra.Command, running *bool) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(c *cobra.Command, args []string) error {
			*running = true
			return run(c, args)
		}
	}
	for _, sub := range cmd.Commands() {
		markRunning(sub, running)
	}
}

// usageErrorf makes an error of the user's: exit code 2 and a hint at the help.
func usageErrorf(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// group completes a command that only holds others: cobra alone would print help and succeed when the subcommand is misspelt.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(c *cobra.Command, args []string) error {
		var names []string
		for _, s := range subcommands {
			names = append(names, s.Name())
		}
		slices.Sort(names)
		if len(args) == 0 {
			return usageErrorf("%s needs a command: %s", c.CommandPath(), strings.Join(names, ", "))
		}
		return usageErrorf("unknown command %q for %s: want %s", args[0], c.CommandPath(), strings.Join(names, ", "))
	}
	return cmd
}

// withExamples gives the commands below parent what --help shows of them, by their names.
func withExamples(parent *cobra.Command, of map[string]string) *cobra.Command {
	for _, c := range parent.Commands() {
		if text, ok := of[c.Name()]; ok {
			c.Example = "  edgerelay " + text
		}
	}
	return parent
}

// logger makes the log of a command from the global flags; it goes to the error output.
func logger(cmd *cobra.Command) (*slog.Logger, error) {
	levelText, err := cmd.Flags().GetString("log-level")
	if err != nil {
		return nil, err
	}
	format, err := cmd.Flags().GetString("log-format")
	if err != nil {
		return nil, err
	}
	return newLogger(cmd.ErrOrStderr(), levelText, format)
}
