// Package kit is the life of a plugin before it meets a relay: the package format (plugin.yaml, the module, sample events, golden tests),
// scaffolds of new plugins, their build, one run, the golden tests, the benchmark and the inspection of a module.
//
// Everything runs on package transform, so on the same engine, limits and meter as in production. The command line and the playground call
// it, and the relay for the plugins that webhooks name; kit prints nothing and returns what is to be shown. It starts no goroutines but
// those of a benchmark, which end before Bench returns, the compilers of Build, and the watcher of Watch, which ends with it. It may import
// config (YAML), plugins (JSON Schema) and their SDKs, relay/event and relay/payload (the envelope, the query of a GET) and transform,
// nothing else of ours.
package kit
