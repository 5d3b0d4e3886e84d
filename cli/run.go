package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"

	"edgerelay/config"
	"edgerelay/relay"
)

func newRunCommand() *cobra.Command {
	var files []string
	var watch bool
	cmd := &cobra.Command{
		Use:   "run [-c FILE]...",
		Short: "Run the relay until it is told to stop",
		Long: "Run the relay. Without a file it runs with the defaults: data in ./edgerelay-data, producers on 127.0.0.1:8080, the\n" +
			"management API on 127.0.0.1:8081, and no webhooks.\n\n" +
			"The only line on the standard output says where it listens; the log goes to the error output. SIGHUP loads the config\n" +
			"again (a mistake in it changes nothing), SIGTERM and Ctrl-C stop it once the requests under way are done, a second one\n" +
			"stops it at once. Nothing that was accepted is lost either way.\n\n" +
			"The log's level and format come from --log-level and --log-format, else from $" + logLevelEnv + " and $" + logFormatEnv + ",\n" +
			"else from the config.",
		Example: `  edgerelay config init && edgerelay run -c edgerelay.yaml
  edgerelay run -c base.yaml -c conf.d/
  edgerelay run --log-level debug`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &daemon{cmd: cmd, files: files}
			d.watching = watch && len(files) > 0
			return d.run(cmd.Context())
		},
	}
	addConfigFlag(cmd, &files)
	cmd.Flags().BoolVar(&watch, "watch", false, "load the config again by itself when one of its files has changed; schemas, modules and certificates that it names are not watched")
	return cmd
}

// The environment's say in the daemon's log.
const (
	logLevelEnv  = "EDGERELAY_LOG_LEVEL"
	logFormatEnv = "EDGERELAY_LOG_FORMAT"
)

// daemon is one `run`. Its loop owns everything; the relay and a reload run beside it and report back.
type daemon struct {
	cmd   *cobra.Command
	files []string
	log   *slog.Logger
	level slog.LevelVar
	relay *relay.Relay

	watching bool // load again when the files change
	changed  chan struct{}
	signals  chan os.Signal
	ended    chan error    // the relay's result
	reloaded chan struct{} // a reload has ended

	stopping  bool
	reloading bool
	again     bool // SIGHUP came during a reload
}

func (d *daemon) run(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background() // cobra has none when the command was not started with one
	}
	d.signals = make(chan os.Signal, 8)
	signal.Notify(d.signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(d.signals)
	stamp := stampOf(d.files) // before they are read: what changes after that is seen
	c, err := loadConfig(d.files)
	if err != nil {
		return err
	}
	if err := d.openLog(c); err != nil {
		return err
	}
	d.limitMemory()
	for _, w := range c.Warnings() {
		d.log.Warn("config: " + w.String())
	}
	if d.relay, err = relay.New(ctx, relay.Options{Config: c, Log: d.log, Version: readVersion().Version, Unmetered: unmetered,
		Load: func() (*config.Config, error) { return config.Load(d.files...) }, Loaded: d.loaded}); err != nil {
		return startError(err)
	}
	d.announce(c)
	running, stop := context.WithCancel(ctx)
	defer stop()
	d.ended, d.reloaded = make(chan error, 1), make(chan struct{}, 1)
	go func() { d.ended <- d.relay.Run(running) }()
	if d.watching {
		d.changed = make(chan struct{})
		go d.watch(running, settled{last: stamp}, watchInterval)
	}
	return d.loop(running, stop)
}

// loop waits for signals and for what was started. A stop waits for a reload under way, which would build on parts that are being closed.
func (d *daemon) loop(ctx context.Context, stop func()) error {
	for {
		select {
		case err := <-d.ended:
			return err
		case <-d.reloaded:
			d.reloading = false
			switch {
			case d.stopping:
				stop()
			case d.again:
				d.startReload(ctx)
			}
		case <-d.changed: // nil without --watch
			d.log.Info("the config files have changed")
			d.startReload(ctx)
		case s := <-d.signals:
			switch {
			case s == syscall.SIGHUP:
				d.startReload(ctx)
			case d.stopping:
				return &exitError{exitInterrupted, errors.New("stopped at once by a second signal; what was under way is done again at the next start")}
			default:
				d.stopping = true
				d.log.Info("stopping: finishing what is under way; a second signal stops at once", "signal", s.String())
				d.notify("STOPPING=1")
				if !d.reloading {
					stop()
				}
			}
		}
	}
}

// startReload loads the config again beside the loop, one at a time.
func (d *daemon) startReload(ctx context.Context) {
	if d.stopping {
		return
	}
	d.again = d.reloading
	if d.reloading {
		return
	}
	d.reloading = true
	d.notify("RELOADING=1")
	go func() {
		d.reload(ctx)
		d.notify("READY=1")
		d.reloaded <- struct{}{}
	}()
}

// reload puts the files' config in force, or logs every mistake in it and leaves everything as it was.
func (d *daemon) reload(ctx context.Context) {
	_, err := d.relay.ReloadFiles(ctx)
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			d.log.Error("reload: " + p.String())
		}
		d.log.Error("reload refused: the config that was in force stays", "mistakes", len(problems))
	case err != nil:
		d.log.Error("reload failed: the config that was in force stays", "error", err)
	}
}

// loaded is called with a config that has come into force, whoever asked for it.
func (d *daemon) loaded(c *config.Config) {
	if err := d.setLevel(c); err != nil {
		d.log.Error("reload: the log's level stays", "error", err)
	}
	for _, w := range c.Warnings() {
		d.log.Warn("config: " + w.String())
	}
}

// announce says where the relay listens: the line that scripts wait for. A token that was made just now is shown this once.
func (d *daemon) announce(c *config.Config) {
	if token, fresh := d.relay.AdminToken(); fresh {
		fmt.Fprintf(d.cmd.ErrOrStderr(), "admin token, made just now and kept in %s: %s\n", filepath.Join(string(c.DataDir), relay.AdminTokenFile), token)
		scheme := "http"
		if c.Admin.TLS.Enabled() {
			scheme = "https"
		}
		fmt.Fprintf(d.cmd.ErrOrStderr(), "sign in with it at %s://%s/ui/\n", scheme, d.relay.AdminAddr())
	}
	fmt.Fprintf(d.cmd.OutOrStdout(), "listening ingress=%s admin=%s\n", d.relay.IngressAddr(), d.relay.AdminAddr())
	d.notify("READY=1")
}

// openLog makes the daemon's log: a flag counts more than the environment, and that more than the config.
func (d *daemon) openLog(c *config.Config) error {
	if err := d.setLevel(c); err != nil {
		return err
	}
	format, from := d.setting("log-format", logFormatEnv, c.Log.Format)
	log, err := newLevelledLogger(d.cmd.ErrOrStderr(), &d.level, format)
	if err != nil {
		return usageErrorf("%s: %w", from, err)
	}
	d.log = log
	return nil
}

func (d *daemon) setLevel(c *config.Config) error {
	text, from := d.setting("log-level", logLevelEnv, c.Log.Level)
	level, err := parseLevel(text)
	if err != nil {
		return usageErrorf("%s: %w", from, err)
	}
	d.level.Set(level)
	return nil
}

// setting finds a value and says where it is from.
func (d *daemon) setting(flag, env, configured string) (value, from string) {
	if f := d.cmd.Flags().Lookup(flag); f != nil && f.Changed {
		return f.Value.String(), "--" + flag
	}
	if v := os.Getenv(env); v != "" {
		return v, "$" + env
	}
	return configured, "config"
}

// limitMemory makes the garbage collector respect the container's memory limit: nine tenths of it, the rest is not Go's.
func (d *daemon) limitMemory() {
	limit, err := memlimit.Set(memlimit.WithRatio(0.9))
	if err != nil {
		d.log.Debug("no memory limit taken from the system", "reason", err)
		return
	}
	d.log.Debug("memory limit of the garbage collector", "bytes", limit)
}

func (d *daemon) notify(state string) {
	if err := notifyManager(state); err != nil {
		d.log.Warn("cannot tell the service manager", "state", state, "error", err)
	}
}

// startError gives an error of relay.New its exit code.
func startError(err error) error {
	var problems config.Problems
	switch {
	case errors.As(err, &problems):
		return &exitError{exitConfig, fmt.Errorf("invalid config:\n%w", problems)}
	case errors.Is(err, relay.ErrLocked):
		return &exitError{exitLocked, fmt.Errorf("%w\nTry: another data_dir, or stop the other process", err)}
	}
	return err
}
