// flatten: nested objects become one level of keys such as customer.address.city.

#include "event.h"

static er_str separator;
static bool keep_arrays;
static uint32_t most_depth;
static enum { ENVELOPE, DATA, ALL } output;

static er_buf name; // of the value that is looked at
static bool warned; // the log says only once that names were the same

// The names that were written, so that two values never get the same one: {"a.b":1,"a":{"b":2}}.
static struct {
    er_str *slot;
    uint32_t count, slots; // slots is a power of two
} seen;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    separator = config_text("separator", ER_S("."));
    keep_arrays = config_is("arrays", "keep");
    most_depth = config_uint("depth", ER_JSON_DEPTH);
    output = config_is("output", "data") ? DATA : config_is("output", "all") ? ALL : ENVELOPE;
    return 0;
}

// slot_of is the place of s in the table: empty, or s itself. The names are somebody else's, so the place depends on all of their bytes;
// what an evil event can reach by many names in one place is to use up its own fuel.
static uint32_t slot_of(er_str s) {
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < s.n; i++) h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    h ^= h >> 15;
    for (h &= seen.slots - 1; seen.slot[h].p && !er_equal(seen.slot[h], s); h = (h + 1) & (seen.slots - 1)) {
    }
    return h;
}

static er_str copy(er_str s) {
    char *p = er_alloc(s.n ? s.n : 1);
    __builtin_memcpy(p, s.p, s.n);
    return (er_str){p, s.n};
}

// is_new notes a name; false: it was there before.
static bool is_new(er_str s) {
    if (seen.count * 2 >= seen.slots) {
        er_str *old = seen.slot;
        uint32_t slots = seen.slots;
        seen.slots = slots ? slots * 4 : 64;
        seen.slot = er_alloc(seen.slots * sizeof *seen.slot);
        __builtin_memset(seen.slot, 0, seen.slots * sizeof *seen.slot);
        for (uint32_t i = 0; i < slots; i++)
            if (old[i].p) seen.slot[slot_of(old[i])] = old[i];
    }
    uint32_t at = slot_of(s);
    if (seen.slot[at].p) return false;
    seen.slot[at] = copy(s);
    seen.count++;
    return true;
}

// write_leaf writes a value under the name that was put together. When the name is taken the first value stays, and the log says so.
static void write_leaf(er_val v) {
    if (!is_new(er_buf_str(&name))) {
        if (!warned) er_log(ER_WARN, ER_S("two values would have the same flat name: the later one is left out"));
        warned = true;
        return;
    }
    er_json_key(er_buf_str(&name));
    er_json_write(er_json_raw(&event, v));
}

static void walk(er_val v, uint32_t depth) {
    char kind = er_json_kind(&event, v);
    bool inner = kind == '{' || (kind == '[' && !keep_arrays);
    if (!inner || !er_json_first(&event, v) || depth > most_depth) { // what is empty has no names in it, so it stays as {} or []
        write_leaf(v);
        return;
    }
    uint32_t length = name.n, index = 0;
    for (er_val c = er_json_first(&event, v); c; c = er_json_next(&event, v, c)) {
        if (depth > 0) er_buf_add(&name, separator);
        if (kind == '{') er_buf_add(&name, er_json_text(&event, c));
        else number_add(&name, index++);
        walk(kind == '{' ? er_json_value(&event, c) : c, depth + 1);
        name.n = length;
    }
}

// write_flat writes v, which is an object when there is anything to flatten.
static void write_flat(er_val v) {
    char kind = er_json_kind(&event, v);
    if (kind != '{' && (kind != '[' || keep_arrays)) {
        er_json_write(v ? er_json_raw(&event, v) : ER_S("null"));
        return;
    }
    er_json_open('{');
    if (er_json_first(&event, v)) walk(v, 0);
    er_json_close('}');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    name = (er_buf){0};
    warned = false;
    seen.slot = NULL;
    seen.count = seen.slots = 0;
    er_val data = event_member("data");
    if (output == DATA) {
        write_flat(data);
    } else if (output == ALL || er_json_kind(&event, ER_JSON_ROOT) != '{') {
        write_flat(ER_JSON_ROOT);
    } else {
        er_json_open('{');
        for (er_val k = er_json_first(&event, ER_JSON_ROOT); k; k = er_json_next(&event, ER_JSON_ROOT, k)) {
            er_val v = er_json_value(&event, k);
            er_json_key(er_json_text(&event, k));
            if (v == data) write_flat(v);
            else er_json_write(er_json_raw(&event, v));
        }
        er_json_close('}');
    }
    return er_send();
}
