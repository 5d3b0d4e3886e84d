package meter

// LastCustom returns the content of the module's last section, and where that section begins, when it is a custom section of that name.
// The rest of the module is not looked at.
func LastCustom(wasm []byte, name string) (at int, content []byte, ok bool) {
	if len(wasm) < 8 || string(wasm[:4]) != "\x00asm" {
		return 0, nil, false
	}
	r := &reader{b: wasm, i: 8}
	var last *reader
	for r.left() > 0 && r.err == nil {
		at, last = r.i, nil
		id := r.u8()
		if body := r.bytes(r.u32()); id == secCustom {
			last = &reader{b: body}
		}
	}
	if r.err != nil || last == nil || last.name() != name || last.err != nil {
		return 0, nil, false
	}
	return at, last.b[last.i:], true
}

// AppendCustom appends a custom section to a module.
func AppendCustom(wasm []byte, name string, content []byte) []byte {
	body := append(appendName(nil, name), content...)
	return append(appendU32(append(wasm, secCustom), uint32(len(body))), body...)
}
