// redact: replaces, hashes or removes what stands at the configured paths. Everything else stays byte for byte as it is.

#include "pattern.h"
#include "sha256.h"
#include "template.h"

typedef enum { MASK, HASH, REMOVE } mode;

typedef struct {
    mode mode;
    er_str mask;
    uint32_t keep_last; // characters that stay readable
} rule;

static rule *rules;
static er_str salt;

static mode mode_of(er_val v, mode otherwise) {
    if (er_json_is(&config, v, ER_S("mask"))) return MASK;
    if (er_json_is(&config, v, ER_S("hash"))) return HASH;
    return er_json_is(&config, v, ER_S("remove")) ? REMOVE : otherwise;
}

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    er_val list = config_get("fields");
    rule common = {mode_of(config_get("mode"), MASK), config_text("mask", ER_S("***")), config_uint("keep_last", 0)};
    bool hashes = false;
    salt = config_text("salt", ER_S(""));
    rules = er_alloc(count_of(&config, list) * sizeof *rules);
    uint16_t n = 0;
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v), n++) {
        er_val where = er_json_kind(&config, v) == '{' ? er_json_get(&config, v, ER_S("path")) : v;
        rules[n] = (rule){mode_of(er_json_get(&config, v, ER_S("mode")), common.mode), text_of(er_json_get(&config, v, ER_S("mask")), common.mask),
                          uint_of(er_json_get(&config, v, ER_S("keep_last")), common.keep_last)};
        hashes = hashes || rules[n].mode == HASH;
        const char *bad = pattern_add(text_of(where, ER_S("")), n);
        if (bad) return refuse_config(text_of(where, ER_S("fields")), bad);
    }
    if (n == 0) return refuse_config(ER_S("fields"), "no path is given: nothing would be redacted");
    // Without a salt a hash can be looked up: there are not that many addresses and numbers.
    if (hashes && salt.n == 0) return refuse_config(ER_S("salt"), "is missing: mode hash needs one, at least 16 characters that nobody can guess");
    return 0;
}

static void write_hash(er_val v) {
    char digits[64];
    sha256 s = sha256_begin();
    sha256_add(&s, salt);
    sha256_add(&s, er_json_text(&event, v));
    sha256_end(&s, digits);
    er_json_quote((er_str){digits, sizeof digits});
}

// write_mask puts the mask, and the last characters when the text has at least twice as many.
static void write_mask(const rule *r, er_val v) {
    er_buf b = {0};
    er_buf_add(&b, r->mask);
    char kind = er_json_kind(&event, v);
    if (r->keep_last && (kind == '"' || kind == '0')) {
        er_str s = er_json_text(&event, v);
        uint32_t characters = 0, kept = 0, at = s.n;
        for (uint32_t i = 0; i < s.n; i++) characters += ((uint8_t)s.p[i] & 0xc0) != 0x80;
        while (characters >= 2 * r->keep_last && kept < r->keep_last)
            if (((uint8_t)s.p[--at] & 0xc0) != 0x80) kept++;
        er_buf_add(&b, er_cut(s, at, s.n));
    }
    er_json_quote(er_buf_str(&b));
}

static void write_redacted(const rule *r, er_val v) {
    uintptr_t mark = er_mark();
    if (er_json_kind(&event, v) == 'n') er_put(ER_S("null")); // there is nothing to hide
    else if (r->mode == HASH) write_hash(v);
    else write_mask(r, v);
    er_release(mark);
}

static void write_members(er_val v, const step_set *steps);

// write_value writes a value below which some path goes on (on), or none does.
static void write_value(er_val v, const step_set *steps, bool on) {
    char kind = er_json_kind(&event, v);
    if (on && (kind == '{' || kind == '[')) write_members(v, steps);
    else er_put(er_json_raw(&event, v));
}

static void write_members(er_val v, const step_set *steps) {
    bool object = er_json_kind(&event, v) == '{', any = false, on;
    uintptr_t mark = er_mark();
    step_set *below = set_below();
    int32_t index = 0;
    er_put_char(object ? '{' : '[');
    for (er_val c = er_json_first(&event, v); c; c = er_json_next(&event, v, c), index++) {
        er_val value = object ? er_json_value(&event, c) : c;
        int32_t hit = patterns_into(steps, below, object ? c : 0, index, &on);
        if (hit != NO_PATTERN && rules[hit].mode == REMOVE) continue;
        if (any) er_put_char(',');
        any = true;
        if (object) {
            er_put(er_json_raw(&event, c));
            er_put_char(':');
        }
        if (hit == NO_PATTERN) write_value(value, below, on);
        else write_redacted(&rules[hit], value);
    }
    er_put_char(object ? '}' : ']');
    er_release(mark);
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    write_value(ER_JSON_ROOT, &all.first, true);
    return er_send();
}
