//! edgerelay.rs: transforms for edgerelay in Rust. One file, no dependency; any Rust since 1.63.
//!
//! ```
//! mod edgerelay;
//! use edgerelay::*;
//!
//! #[no_mangle]
//! pub extern "C" fn transform() -> i32 {
//!     header("X-Type", &meta("type"));
//!     send("{\"text\":\"hello\"}")
//! }
//! ```
//!
//! Build: cargo build --release --target wasm32-unknown-unknown, as a cdylib (edgerelay plugin build does it). An event leaves nothing in
//! memory for the next one. Export `init() -> i32` to do something once, before the first event.
#![allow(dead_code)]

#[link(wasm_import_module = "edgerelay_v1")]
extern "C" {
    fn input_read(ptr: *mut u8, capacity: u32) -> u32;
    fn output_write(ptr: *const u8, length: u32);
    fn meta_get(key: *const u8, key_length: u32, ptr: *mut u8, capacity: u32) -> i32;
    fn config_read(ptr: *mut u8, capacity: u32) -> u32;
    #[link_name = "set"]
    fn host_set(key: *const u8, key_length: u32, value: *const u8, value_length: u32) -> i32;
    #[link_name = "log"]
    fn host_log(level: u32, ptr: *const u8, length: u32);
    #[link_name = "reason"]
    fn host_reason(ptr: *const u8, length: u32);
}

/// What transform returns.
pub const SEND: i32 = 0;
pub const DROP: i32 = 1;
pub const FAIL: i32 = 2;
pub const RETRY: i32 = 3;

// ---- what comes in ------------------------------------------------------------------------------------------------------------------

fn read(from: unsafe extern "C" fn(*mut u8, u32) -> u32) -> String {
    let mut b = vec![0u8; 4096];
    // The relay writes at most as many bytes as it is told.
    let n = unsafe { from(b.as_mut_ptr(), b.len() as u32) } as usize;
    if n > b.len() {
        b.resize(n, 0);
        unsafe { from(b.as_mut_ptr(), n as u32) };
    }
    b.truncate(n);
    utf8(b)
}

fn utf8(b: Vec<u8>) -> String {
    String::from_utf8(b).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The event as JSON, {"id","type","time","data"}, or what the transform before this one wrote.
pub fn input() -> String {
    read(input_read)
}

/// The plugin's configuration as JSON; empty when there is none.
pub fn config() -> String {
    read(config_read)
}

/// id, type, time, tenant, program, webhook, attempt or content-type; empty when there is none.
pub fn meta(key: &str) -> String {
    let mut b = vec![0u8; 256];
    let mut n = unsafe { meta_get(key.as_ptr(), key.len() as u32, b.as_mut_ptr(), b.len() as u32) };
    if n > b.len() as i32 {
        b.resize(n as usize, 0);
        n = unsafe { meta_get(key.as_ptr(), key.len() as u32, b.as_mut_ptr(), n as u32) };
    }
    b.truncate(n.max(0) as usize);
    utf8(b)
}

// ---- what goes out ------------------------------------------------------------------------------------------------------------------

/// Appends to the body.
pub fn write(text: &str) {
    unsafe { output_write(text.as_ptr(), text.len() as u32) }
}

/// Writes the body and ends a transform that worked.
pub fn send(text: &str) -> i32 {
    write(text);
    SEND
}

/// Sets content-type, method, path, header:NAME or query:NAME. False: the relay refuses (reserved header, line break, another host).
pub fn set(key: &str, value: &str) -> bool {
    unsafe { host_set(key.as_ptr(), key.len() as u32, value.as_ptr(), value.len() as u32) == 0 }
}

pub fn header(name: &str, value: &str) -> bool {
    set(&format!("header:{}", name), value)
}

pub fn log(text: &str) {
    unsafe { host_log(1, text.as_ptr(), text.len() as u32) }
}

/// Says why the event is dropped or failed.
pub fn reason(why: &str) {
    unsafe { host_reason(why.as_ptr(), why.len() as u32) }
}

/// Ends the event: it is not sent, by decision.
pub fn drop_event(why: &str) -> i32 {
    reason(why);
    DROP
}

/// Fails the event for good.
pub fn fail(why: &str) -> i32 {
    reason(why);
    FAIL
}

// ---- JSON ---------------------------------------------------------------------------------------------------------------------------
// A reader that copies nothing and builds nothing: it walks to a value and returns its text. The relay has checked that an event is JSON.

/// The raw JSON of the value at a path such as "data.items.0.name".
pub fn get<'a>(json: &'a str, path: &str) -> Option<&'a str> {
    let mut at = space(json.as_bytes(), 0);
    for name in path.split('.') {
        at = member(json, at, name)?;
    }
    Some(&json[at..end(json.as_bytes(), at)])
}

/// The text at a path, without quotes and escapes; numbers and the like as they are written; empty for null and for none.
pub fn text(json: &str, path: &str) -> String {
    match get(json, path) {
        None | Some("null") => String::new(),
        Some(raw) if raw.starts_with('"') => unquote(raw),
        Some(raw) => raw.to_string(),
    }
}

fn space(s: &[u8], mut i: usize) -> usize {
    while i < s.len() && s[i] <= b' ' {
        i += 1;
    }
    i
}

// end is where the value that begins at i ends.
fn end(s: &[u8], mut i: usize) -> usize {
    let mut depth = 0;
    loop {
        // letters, digits and what else means nothing here: quotes, commas and spaces are below, brackets differ from braces in one bit
        while i < s.len() && s[i] > b',' && s[i] | 32 != b'{' && s[i] | 32 != b'}' {
            i += 1;
        }
        match s.get(i) {
            None => return i,
            Some(b'"') => {
                i = text_end(s, i);
                if depth == 0 {
                    return i;
                }
                continue;
            }
            Some(b'{') | Some(b'[') => depth += 1,
            Some(b'}') | Some(b']') if depth == 0 => return i,
            Some(b'}') | Some(b']') => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            Some(&c) if depth == 0 && (c == b',' || c <= b' ') => return i,
            _ => {}
        }
        i += 1;
    }
}

// text_end is where the text ends whose opening quote is at i. It looks at eight bytes at a time, until a quote or a backslash is among them.
fn text_end(s: &[u8], mut i: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zero = |w: u64| w.wrapping_sub(ONES) & !w & (ONES << 7); // the lowest bit that is set belongs to the first byte that is 0
    i += 1;
    loop {
        while let Some(eight) = s.get(i..i + 8) {
            let mut b = [0; 8];
            b.copy_from_slice(eight);
            let w = u64::from_le_bytes(b);
            let hit = zero(w ^ (ONES * b'"' as u64)) | zero(w ^ (ONES * b'\\' as u64));
            if hit != 0 {
                i += hit.trailing_zeros() as usize / 8;
                break;
            }
            i += 8;
        }
        match s.get(i) {
            None => return s.len(),
            Some(b'"') => return i + 1,
            Some(b'\\') => i += 2,
            _ => i += 1,
        }
    }
}

// member is where the value of a key, or of an index, of the value at i begins.
fn member(json: &str, mut i: usize, name: &str) -> Option<usize> {
    let s = json.as_bytes();
    let open = *s.get(i)?;
    if open != b'{' && open != b'[' {
        return None;
    }
    let mut found = None;
    let mut index = 0usize;
    i = space(s, i + 1);
    while i < s.len() && s[i] != b'}' && s[i] != b']' {
        let matches = if open == b'{' {
            let key = i;
            i = text_end(s, i);
            let raw = &json[key + 1..i - 1];
            let same = raw == name || raw.contains('\\') && unquote(&json[key..i]) == name;
            i = space(s, space(s, i) + 1); // over the colon
            same
        } else {
            name.parse() == Ok(index)
        };
        if matches {
            found = Some(i); // of a key that is there twice, the last
        }
        i = space(s, end(s, i));
        if s.get(i) == Some(&b',') {
            i = space(s, i + 1);
        }
        index += 1;
    }
    found
}

fn unquote(raw: &str) -> String {
    let inner = &raw[1..raw.len() - 1];
    if !inner.contains('\\') {
        return inner.to_string();
    }
    let mut units: Vec<u16> = Vec::with_capacity(inner.len()); // \u escapes are halves of pairs
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('u') => {
                    let hex: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&hex, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16_lossy(&units)
}

/// A text as JSON, with quotes and escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c)
            }
            '\n' => out.push_str("\\n"),
            c if (c as u32) < 32 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
