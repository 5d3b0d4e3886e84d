package relay

import "time"

// AdminTokenFile is where a generated admin token is kept, inside the data directory.
const AdminTokenFile = adminKeyFile

// ReloadFailed tells the metrics that a new configuration could not even be loaded; what is in force stays.
func (r *Relay) ReloadFailed() { r.metrics.Reloaded(false, time.Now()) }
