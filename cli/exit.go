package cli

import "errors"

// The exit codes are part of the contract: a service manager decides by them whether another start makes sense.
const (
	exitOK      = 0
	exitFailure = 1  // something went wrong at run time
	exitUsage   = 2  // wrong command line
	exitLocked  = 75 // the data directory is in use by another process
	exitConfig  = 78 // the config is invalid: starting again will not help

	exitInterrupted = 130 // a second signal ended the program at once
)

// exitError is an error that knows the exit code which Main ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }

// Unwrap lets errors.Is and errors.As see the cause.
func (e *exitError) Unwrap() error { return e.err }

// exitCode is what the process ends with after err.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailure
}
