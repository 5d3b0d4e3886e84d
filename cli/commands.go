package cli

import (
	"github.com/spf13/cobra"

	"edgerelay/relay"
)

// commands lists what the program can do, in no special order: the help sorts it.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(),
		newRunCommand(),
		newValidateCommand(relay.Check),
		newConfigCommand(),
		newSendCommand(),
		newListenCommand(),
		newSignCommand(),
		newVerifyCommand(),
		newEventsCommand(),
		newDeliveriesCommand(),
		newJobsCommand(),
		newEraseCommand(),
		newTailCommand(),
		newHealthCommand(),
		newAlertsCommand(relay.TestAlert),
		newEventTypesCommand(),
		newWebhooksCommand(),
		newAuthorizationsCommand(),
		newTokenCommand(),
		newTenantsCommand(),
		newAuditCommand(),
		newTryCommand(),
		newPlanCommand(),
		newReloadCommand(),
		newPluginCommand(),
		newBenchCommand(),
		newVersionCommand(),
	}
}
