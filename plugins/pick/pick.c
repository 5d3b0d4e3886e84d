// pick: lets through what stands at the configured paths, and nothing else.
//
// An object or array is opened when the first thing in it is written, so that what nobody picked leaves no empty shell behind.

#include "pattern.h"

// shell is an object or array on the way to the value that is looked at. It is written as late as possible.
typedef struct {
    er_val key; // of the event; 0 = an element of an array, or the event itself
    char bracket;
    bool any;
} shell;

static shell shells[ER_JSON_DEPTH + 1];
static uint32_t depth, opened;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    uint16_t n = 0;
    if (config_bool("envelope", true)) {
        pattern_add(ER_S("id"), n++);
        pattern_add(ER_S("type"), n++);
        pattern_add(ER_S("time"), n++);
    }
    er_val list = config_get("fields");
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v)) {
        const char *bad = pattern_add(text_of(v, ER_S("")), n++);
        if (bad) return refuse_config(text_of(v, ER_S("fields")), bad);
    }
    return 0;
}

// write_name puts what comes before a value in the shell at level: a comma, and the key.
static void write_name(uint32_t level, er_val key) {
    if (shells[level].any) er_put_char(',');
    shells[level].any = true;
    if (!key) return;
    er_put(er_json_raw(&event, key));
    er_put_char(':');
}

static void open_shells(void) {
    for (; opened < depth; opened++) {
        if (opened > 0) write_name(opened - 1, shells[opened].key);
        er_put_char(shells[opened].bracket);
    }
}

static void walk(er_val v, er_val key, const step_set *steps) {
    bool object = er_json_kind(&event, v) == '{', on;
    uintptr_t mark = er_mark();
    step_set *below = set_below();
    int32_t index = 0;
    shells[depth++] = (shell){.key = key, .bracket = object ? '{' : '['};
    for (er_val c = er_json_first(&event, v); c; c = er_json_next(&event, v, c), index++) {
        er_val name = object ? c : 0, value = object ? er_json_value(&event, c) : c;
        char kind = er_json_kind(&event, value);
        if (patterns_into(steps, below, name, index, &on) != NO_PATTERN) {
            open_shells();
            write_name(depth - 1, name);
            er_put(er_json_raw(&event, value));
        } else if (on && (kind == '{' || kind == '[')) {
            walk(value, name, below);
        }
    }
    if (opened == depth) {
        er_put_char(object ? '}' : ']');
        opened--;
    }
    depth--;
    er_release(mark);
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    char kind = er_json_kind(&event, ER_JSON_ROOT);
    depth = opened = 0;
    if (kind == '{' || kind == '[') walk(ER_JSON_ROOT, 0, &all.first);
    if (er_written() == 0) er_put(kind == '[' ? ER_S("[]") : ER_S("{}"));
    return er_send();
}
