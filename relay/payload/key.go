package payload

// Key is an expression whose value, as text, says which events belong together.
type Key struct {
	text string
	prog *program
}

// CompileKey compiles an expression over id, type, time, tenant, program and data. The error is an *Error.
func CompileKey(text string) (*Key, error) {
	prog, err := compileExpression(text, filterVars, position{1, 1})
	if err != nil {
		return nil, err
	}
	return &Key{text: text, prog: prog}, nil
}

// Append appends the event's key; nothing when the expression is nil, as it is for what the event does not have. After an error dst is as
// it was.
func (k *Key) Append(dst []byte, in *Input) ([]byte, error) {
	start := len(dst)
	out, err := k.prog.appendText(dst, in, nil)
	if err != nil {
		return dst[:start], err
	}
	return out, nil
}

// String returns the text that the key was compiled from.
func (k *Key) String() string { return k.text }
