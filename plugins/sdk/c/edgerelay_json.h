// edgerelay_json.h: reads and writes JSON, beside edgerelay.h and optional.
//
// The reader is strict (RFC 8259, valid UTF-8, a depth of at most 128) and looks at every byte once. It copies nothing: it keeps a list of
// nodes, 12 bytes for each value and key, with offsets into the text. A number stays the digits that it was written with. The list has at
// most one node for every second byte of the text, so its size is known from the text's.
//
//     er_json doc;
//     if (!er_json_parse(&doc, er_input())) return er_fail(er_s(doc.error));
//     er_val data = er_json_get(&doc, ER_JSON_ROOT, ER_S("data"));
//     for (er_val v = er_json_first(&doc, data); v; v = er_json_next(&doc, data, v)) …   // elements, or keys of an object
//
// The writer puts values to the body as they come (er_json_open, er_json_key, er_json_string, …) and sets the commas.
#ifndef EDGERELAY_JSON_H
#define EDGERELAY_JSON_H

#include "edgerelay.h"

#define ER_JSON_DEPTH 128

// ---- reading -----------------------------------------------------------------------------------------------------------------------

// er_val names a value of a document. 0 is none, which every function takes: what is looked up in nothing is nothing.
typedef uint32_t er_val;

#define ER_JSON_ROOT 1u

typedef struct {
    uint32_t start;        // offset of its first byte
    uint32_t end : 31;     // offset behind its last byte
    uint32_t escaped : 1;  // a text with a backslash in it
    uint32_t after;        // the node after it and all that is in it
} er_json_node;

typedef struct {
    const char *text;
    er_json_node *nodes; // nodes[0] stands for none
    uint32_t count;
    const char *error; // why it is not JSON
    uint32_t error_at; // offset of that
} er_json;

static ER_NOINLINE bool er_json_bad(er_json *d, const char *at, const char *error) {
    d->error = error;
    d->error_at = (uint32_t)(at - d->text);
    return false;
}

static ER_NOINLINE er_json_node *er_json_add(er_json *d, const char *at) {
    er_json_node *n = er_extend(sizeof *n);
    n->start = (uint32_t)(at - d->text);
    n->end = n->escaped = 0;
    n->after = ++d->count;
    return n;
}

static inline bool er_json_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static inline bool er_json_digit(char c) { return c >= '0' && c <= '9'; }

// er_json_hex returns the value of the four hexadecimal digits at p, or -1.
static ER_NOINLINE int32_t er_json_hex(const char *p) {
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], low = c | 32;
        if (er_json_digit(c)) v = v * 16 + (c - '0');
        else if (low >= 'a' && low <= 'f') v = v * 16 + (low - 'a' + 10);
        else return -1;
    }
    return v;
}

// er_utf8 returns the length of the character at p, whose first byte is above 127, or 0: not UTF-8. A zero byte ends what may be read.
static ER_NOINLINE uint32_t er_utf8(const char *p) {
    uint8_t a = (uint8_t)p[0], b = (uint8_t)p[1], low = 0x80, high = 0xbf;
    uint32_t n;
    if (a >= 0xc2 && a <= 0xdf) n = 2;
    else if (a >= 0xe0 && a <= 0xef) n = 3;
    else if (a >= 0xf0 && a <= 0xf4) n = 4;
    else return 0;
    if (a == 0xe0) low = 0xa0; // overlong
    if (a == 0xed) high = 0x9f; // surrogates
    if (a == 0xf0) low = 0x90; // overlong
    if (a == 0xf4) high = 0x8f; // above U+10FFFF
    if (b < low || b > high) return 0;
    for (uint32_t i = 2; i < n; i++)
        if (((uint8_t)p[i] & 0xc0) != 0x80) return 0;
    return n;
}

// er_json_plain is a character of a text that needs no second look.
static inline bool er_json_plain(uint8_t c) { return (uint8_t)(c - ' ') < 0x80 - ' ' && c != '"' && c != '\\'; }

// er_json_escape is the length of the escape at p; 0 = there is none of that kind.
static ER_NOINLINE uint32_t er_json_escape(const char *p) {
    switch (p[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return 2;
    case 'u':
        return er_json_hex(p + 2) < 0 ? 0 : 6;
    }
    return 0;
}

// er_json_scan_text reads the text whose opening quote is at *at.
static ER_NOINLINE bool er_json_scan_text(er_json *d, const char **at) {
    const char *p = *at;
    er_json_node *n = er_json_add(d, p);
    for (p++;;) {
        while (er_json_plain((uint8_t)*p)) p++;
        uint8_t c = (uint8_t)*p;
        if (c == '"') break;
        if (c < ' ') return er_json_bad(d, p, "a text is not closed, or has a control character in it");
        uint32_t length = c == '\\' ? er_json_escape(p) : er_utf8(p);
        if (!length) return er_json_bad(d, p, c == '\\' ? "an unknown escape" : "not UTF-8");
        n->escaped |= c == '\\';
        p += length;
    }
    *at = p + 1;
    n->end = (uint32_t)(p + 1 - d->text);
    return true;
}

static inline const char *er_json_digits(const char *p) {
    while (er_json_digit(*p)) p++;
    return p;
}

// er_json_scan_fraction reads what may follow the whole digits of a number; NULL and d->error: it is none.
static ER_NOINLINE const char *er_json_scan_fraction(er_json *d, const char *p) {
    if (*p == '.') {
        if (!er_json_digit(*++p)) return er_json_bad(d, p, "a number without digits behind its point"), NULL;
        p = er_json_digits(p);
    }
    if ((*p | 32) == 'e') {
        p++;
        if (*p == '+' || *p == '-') p++;
        if (!er_json_digit(*p)) return er_json_bad(d, p, "a number without digits in its exponent"), NULL;
        p = er_json_digits(p);
    }
    return p;
}

static ER_NOINLINE bool er_json_scan_number(er_json *d, const char **at) {
    const char *p = *at;
    er_json_node *n = er_json_add(d, p);
    if (*p == '-') p++;
    if (!er_json_digit(*p)) return er_json_bad(d, p, "a value is missing, or is not JSON");
    p = *p == '0' ? p + 1 : er_json_digits(p);
    if ((*p == '.' || (*p | 32) == 'e') && !(p = er_json_scan_fraction(d, p))) return false;
    *at = p;
    n->end = (uint32_t)(p - d->text);
    return true;
}

static ER_NOINLINE bool er_json_scan_word(er_json *d, const char **at, const char *word) {
    er_json_node *n = er_json_add(d, *at);
    for (; *word; ++*at, word++)
        if (**at != *word) return er_json_bad(d, *at, "a value is missing, or is not JSON");
    n->end = (uint32_t)(*at - d->text);
    return true;
}

static inline const char *er_json_skip(const char *p) {
    while (er_json_space(*p)) p++;
    return p;
}

static ER_NOINLINE bool er_json_scan(er_json *d, const char **at, uint32_t depth);

// er_json_scan_key reads a key and its colon.
static ER_NOINLINE bool er_json_scan_key(er_json *d, const char **at) {
    if (**at != '"') return er_json_bad(d, *at, "a key is missing");
    if (!er_json_scan_text(d, at)) return false;
    *at = er_json_skip(*at);
    if (**at != ':') return er_json_bad(d, *at, "a colon is missing");
    *at = er_json_skip(*at + 1);
    return true;
}

// er_json_scan_members reads the object or array whose opening bracket is at *at. It, like the other functions that every value goes
// through, is kept small: the relay charges a function as a whole, whatever way runs through it.
static ER_NOINLINE bool er_json_scan_members(er_json *d, const char **at, uint32_t depth) {
    char close = **at == '{' ? '}' : ']';
    uint32_t self = d->count;
    if (depth > ER_JSON_DEPTH) return er_json_bad(d, *at, "nested too deep");
    er_json_add(d, *at);
    *at = er_json_skip(*at + 1);
    for (bool more = **at != close; more;) {
        if (close == '}' && !er_json_scan_key(d, at)) return false;
        if (!er_json_scan(d, at, depth)) return false;
        *at = er_json_skip(*at);
        more = **at == ',';
        if (!more && **at != close) return er_json_bad(d, *at, "a comma or a closing bracket is missing");
        if (more) *at = er_json_skip(*at + 1);
    }
    ++*at;
    d->nodes[self].end = (uint32_t)(*at - d->text);
    d->nodes[self].after = d->count;
    return true;
}

static ER_NOINLINE bool er_json_scan(er_json *d, const char **at, uint32_t depth) {
    switch (**at) {
    case '{': case '[': return er_json_scan_members(d, at, depth + 1);
    case '"': return er_json_scan_text(d, at);
    case 't': return er_json_scan_word(d, at, "true");
    case 'f': return er_json_scan_word(d, at, "false");
    case 'n': return er_json_scan_word(d, at, "null");
    }
    return er_json_scan_number(d, at);
}

// er_json_parse reads text, which must be followed by a zero byte, as er_input and er_config are. False: d->error says why not.
static ER_NOINLINE bool er_json_parse(er_json *d, er_str text) {
    *d = (er_json){.text = text.p};
    er_mark();
    d->nodes = er_extend(0);
    er_json_add(d, text.p);
    const char *p = er_json_skip(text.p);
    if (text.n > INT32_MAX) return er_json_bad(d, p, "too long");
    if (!er_json_scan(d, &p, 0)) return false;
    p = er_json_skip(p);
    if (p != text.p + text.n) return er_json_bad(d, p, "something follows the value");
    return true;
}

// er_json_kind is { [ " t f n, the first letter of the value; '0' for numbers; 0 for none.
static inline char er_json_kind(const er_json *d, er_val v) {
    if (!v) return 0;
    char c = d->text[d->nodes[v].start];
    return c == '-' || er_json_digit(c) ? '0' : c;
}

// er_json_raw is the value as it is written.
static inline er_str er_json_raw(const er_json *d, er_val v) {
    if (!v) return (er_str){0};
    return (er_str){d->text + d->nodes[v].start, d->nodes[v].end - d->nodes[v].start};
}

// er_json_first and er_json_next walk the elements of an array, or the keys of an object; 0 = no more.
static inline er_val er_json_first(const er_json *d, er_val parent) {
    char k = er_json_kind(d, parent);
    return (k == '{' || k == '[') && d->nodes[parent].after > parent + 1 ? parent + 1 : 0;
}

// er_json_value is the value of a key.
static inline er_val er_json_value(const er_json *d, er_val key) {
    (void)d;
    return key ? key + 1 : 0;
}

static inline er_val er_json_next(const er_json *d, er_val parent, er_val child) {
    er_val last = er_json_kind(d, parent) == '{' ? child + 1 : child;
    er_val next = d->nodes[last].after;
    return next < d->nodes[parent].after ? next : 0;
}

// er_utf8_put writes the character c to p and returns how many bytes that are.
static inline uint32_t er_utf8_put(char *p, uint32_t c) {
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    uint32_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i > 0; i--, c >>= 6) p[i] = (char)(0x80 | (c & 0x3f));
    p[0] = (char)(c | (0xf00u >> n & 0xf0));
    return n;
}

// er_json_unescape writes what the escape at *at stands for to out, moves on, and returns how many bytes that are, at most 4.
// Half a surrogate pair has no meaning and becomes U+FFFD.
static inline uint32_t er_json_unescape(const char **at, char *out) {
    const char *p = *at + 1;
    *at += 2;
    switch (*p) {
    case 'b': *out = '\b'; return 1;
    case 'f': *out = '\f'; return 1;
    case 'n': *out = '\n'; return 1;
    case 'r': *out = '\r'; return 1;
    case 't': *out = '\t'; return 1;
    default: *out = *p; return 1;
    case 'u': break;
    }
    uint32_t c = (uint32_t)er_json_hex(p + 1);
    *at += 4;
    if (c >= 0xd800 && c < 0xe000) {
        int32_t low = c < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u' ? er_json_hex(*at + 2) : -1;
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            *at += 6;
        } else {
            c = 0xfffd;
        }
    }
    return er_utf8_put(out, c);
}

// er_json_text is a text without its quotes and escapes. Any other value is given as it is written, but null and none are empty.
static ER_NOINLINE er_str er_json_text(const er_json *d, er_val v) {
    er_str raw = er_json_raw(d, v);
    char kind = er_json_kind(d, v);
    if (kind == 'n') return (er_str){0};
    if (kind != '"') return raw;
    raw = er_cut(raw, 1, raw.n - 1);
    if (!d->nodes[v].escaped) return raw;
    char *out = er_alloc(raw.n); // an escape is never shorter than what it stands for
    uint32_t n = 0;
    for (const char *p = raw.p, *end = raw.p + raw.n; p < end;) {
        if (*p == '\\') n += er_json_unescape(&p, out + n);
        else out[n++] = *p++;
    }
    return (er_str){out, n};
}

// er_json_is says whether a value is that text.
static inline bool er_json_is(const er_json *d, er_val v, er_str text) {
    if (er_json_kind(d, v) != '"') return false;
    if (!d->nodes[v].escaped) {
        er_str raw = er_json_raw(d, v);
        return raw.n == text.n + 2 && er_equal(er_cut(raw, 1, raw.n - 1), text);
    }
    uintptr_t mark = er_mark();
    bool same = er_equal(er_json_text(d, v), text);
    er_release(mark);
    return same;
}

// er_json_get is the value of a key. Of a key that is there twice it is the last, as everywhere.
static ER_NOINLINE er_val er_json_get(const er_json *d, er_val object, er_str key) {
    er_val found = 0;
    if (er_json_kind(d, object) != '{') return 0;
    for (er_val k = er_json_first(d, object); k; k = er_json_next(d, object, k))
        if (er_json_is(d, k, key)) found = er_json_value(d, k);
    return found;
}

// er_json_at is an element of an array, counted from 0.
static inline er_val er_json_at(const er_json *d, er_val array, uint32_t index) {
    if (er_json_kind(d, array) != '[') return 0;
    er_val v = er_json_first(d, array);
    while (v && index--) v = er_json_next(d, array, v);
    return v;
}

// ---- writing -----------------------------------------------------------------------------------------------------------------------

static uint8_t er_json_comma[ER_JSON_DEPTH + 64]; // per level: something was written, so a comma comes next
static uint32_t er_json_level;

static inline void er_json_begin_value(void) {
    if (er_json_comma[er_json_level]) er_put_char(',');
    er_json_comma[er_json_level] = 1;
}

// er_json_open begins an object or an array, with { or [; er_json_close ends it, with } or ].
static ER_NOINLINE void er_json_open(char bracket) {
    er_json_begin_value();
    er_put_char(bracket);
    if (++er_json_level == sizeof er_json_comma) __builtin_trap();
    er_json_comma[er_json_level] = 0;
}

static inline void er_json_close(char bracket) {
    er_json_level--;
    er_put_char(bracket);
}

static inline bool er_json_as_it_is(uint8_t c) { return c >= ' ' && c != '"' && c != '\\'; }

// er_json_quote puts s with quotes and escapes, and no comma.
static ER_NOINLINE void er_json_quote(er_str s) {
    static const char hex[] = "0123456789abcdef";
    er_put_char('"');
    uint32_t from = 0;
    for (uint32_t i = 0;; i++) {
        while (i < s.n && er_json_as_it_is((uint8_t)s.p[i])) i++;
        if (i >= s.n) break;
        uint8_t c = (uint8_t)s.p[i];
        er_put(er_cut(s, from, i));
        from = i + 1;
        er_put_char('\\');
        switch (c) {
        case '"': case '\\': er_put_char((char)c); break;
        case '\n': er_put_char('n'); break;
        case '\r': er_put_char('r'); break;
        case '\t': er_put_char('t'); break;
        default:
            er_put(ER_S("u00"));
            er_put_char(hex[c >> 4]);
            er_put_char(hex[c & 15]);
        }
    }
    er_put(er_cut(s, from, s.n));
    er_put_char('"');
}

// er_json_string writes a text. It must be UTF-8, as everything is that the reader gives.
static ER_NOINLINE void er_json_string(er_str s) {
    er_json_begin_value();
    er_json_quote(s);
}

// er_json_key writes a key; one value must follow.
static ER_NOINLINE void er_json_key(er_str key) {
    er_json_string(key);
    er_put_char(':');
    er_json_comma[er_json_level] = 0;
}

// er_json_write writes what is JSON already.
static ER_NOINLINE void er_json_write(er_str raw) {
    er_json_begin_value();
    er_put(raw);
}

// er_json_restart forgets the levels of a value that was not finished, for modules that keep state between events.
static inline void er_json_restart(void) {
    er_json_level = 0;
    er_json_comma[0] = 0;
}

#endif
