package cli

import "github.com/spf13/cobra"

// commands lists what the program can do, in no special order: the help sorts it.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newSendCommand(),
		newListenCommand(),
		newSignCommand(),
		newVerifyCommand(),
		newDeliveriesCommand(),
		newVersionCommand(),
	}
}
