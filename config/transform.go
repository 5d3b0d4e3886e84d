package config

// Transform is one WASM module of a webhook's chain: a file, the directory of a plugin, or a plugin that comes with the program.
type Transform struct {
	Wasm      Path     `yaml:"wasm,omitempty" jsonschema_description:"The module's file, or the directory of a plugin with its plugin.yaml."`
	Plugin    string   `yaml:"plugin,omitempty" jsonschema_description:"Name of a plugin that comes with the program, instead of a file."`
	Config    JSON     `yaml:"config,omitempty" jsonschema_description:"Handed to the module as JSON. A plugin's is checked against its schema."`
	Fuel      int      `yaml:"fuel,omitempty" jsonschema:"minimum=1000,maximum=100000000000" jsonschema_description:"How much work the module may do for one event, in units of about an instruction. Absent = as its plugin.yaml says, or 200000000."`
	Timeout   Duration `yaml:"timeout,omitempty" min:"1ms" max:"1m" jsonschema_description:"How long the module may take for one event. Absent = as its plugin.yaml says, or 250ms."`
	Memory    Size     `yaml:"memory,omitempty" min:"64KiB" max:"256MiB" jsonschema_description:"How much memory the module may use. Absent = as its plugin.yaml says, or 32MiB."`
	Isolation string   `yaml:"isolation,omitempty" jsonschema:"enum=event,enum=shared,enum=fresh" jsonschema_description:"What one event may leave behind for the next. event: nothing, memory is put back. fresh: nothing, each event gets a new instance. shared: everything; only for modules that are trusted."`
	Entry     string   `yaml:"entry,omitempty" jsonschema_description:"For an Extism plug-in: the function that is given events. Absent = as its plugin.yaml says, or the only one."`
	Output    string   `yaml:"output,omitempty" jsonschema:"enum=body,enum=request" jsonschema_description:"For Extism plug-ins and WASI programs: what their output is. body: the body. request: a JSON object that describes the request. Absent = as its plugin.yaml says, or body."`
	Sample    JSON     `yaml:"sample,omitempty" jsonschema_description:"An event, as a producer sends it, that is run once before the module's state is kept: events after it find caches filled and heaps grown. Absent = as its plugin.yaml says, or none."`
	OnError   string   `yaml:"on_error" jsonschema:"enum=retry,enum=dead,enum=drop,enum=send_original" jsonschema_description:"What becomes of the delivery when the module fails. retry: it is tried again by the schedule, unless it would fail in the same way again, then it is dead."`
}

// checkTransform wants a file or a plugin. Which plugins there are is checked by whoever has them.
func (c *Config) checkTransform(path string, t *Transform) {
	wasm, plugin := c.index.has(path+".wasm"), c.index.has(path+".plugin")
	switch {
	case wasm && plugin:
		c.fault(path+".plugin", "stands beside wasm: a transform is a file or a plugin; make two of them to use both")
	case !wasm && !plugin && !c.report.below(path):
		c.fault(path, "needs wasm, the file of a module, or plugin, the name of one that comes with the program")
	}
	if len(t.Sample) > 0 && t.Sample[0] != '{' {
		c.fault(path+".sample", "want an event: {type: …, data: …}")
	} else if len(t.Sample) > 0 && t.Isolation == "fresh" {
		c.fault(path+".sample", "does nothing with isolation fresh, where no instance sees a second event: remove one of them")
	}
}
