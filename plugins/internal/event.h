// event.h: the plugin's configuration and the event it works on. Our own plugins share it.
#ifndef EVENT_H
#define EVENT_H

#include "edgerelay_json.h"
#include "path.h"

static er_json config; // read once, by config_load
static er_json event;  // read for every event, by event_load
static uintptr_t event_memory; // where the memory of an event begins

// ---- configuration: its schema was checked when it was loaded, so whatever does not fit here is only taken for absent -----------------

static ER_NOINLINE bool config_load(void) {
    er_str text = er_config();
    if (text.n == 0) text = ER_S("{}");
    return er_json_parse(&config, text);
}

static ER_NOINLINE er_val config_get(const char *key) { return er_json_get(&config, ER_JSON_ROOT, er_s(key)); }

// text_of is the text of a configured value, or otherwise.
static ER_NOINLINE er_str text_of(er_val v, er_str otherwise) { return er_json_kind(&config, v) == '"' ? er_json_text(&config, v) : otherwise; }

static ER_NOINLINE er_str config_text(const char *key, er_str otherwise) { return text_of(config_get(key), otherwise); }

static bool bool_of(er_val v, bool otherwise) {
    char kind = er_json_kind(&config, v);
    return kind == 't' || (kind != 'f' && otherwise);
}

static bool config_bool(const char *key, bool otherwise) { return bool_of(config_get(key), otherwise); }

static uint32_t uint_of(er_val v, uint32_t otherwise) {
    int32_t n = er_json_kind(&config, v) == '0' ? number_of(er_json_raw(&config, v)) : -1;
    return n >= 0 ? (uint32_t)n : otherwise;
}

static uint32_t config_uint(const char *key, uint32_t otherwise) { return uint_of(config_get(key), otherwise); }

// config_is compares a configured text.
static bool config_is(const char *key, const char *text) { return er_json_is(&config, config_get(key), er_s(text)); }

// count_of is how many elements an array or how many members an object has.
static uint32_t count_of(const er_json *d, er_val parent) {
    uint32_t n = 0;
    for (er_val v = er_json_first(d, parent); v; v = er_json_next(d, parent, v)) n++;
    return n;
}

// ---- failing --------------------------------------------------------------------------------------------------------------------------

static void number_add(er_buf *b, uint32_t n) {
    char digits[10];
    uint32_t i = sizeof digits;
    do digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    er_buf_add(b, (er_str){digits + i, (uint32_t)sizeof digits - i});
}

// refuse_config is for init: the relay says this to whoever wrote the configuration. what is the place, such as text.
static int refuse_config(er_str what, const char *why) {
    er_buf b = {0};
    er_buf_add(&b, what);
    er_buf_add(&b, ER_S(": "));
    er_buf_add(&b, er_s(why));
    er_fail(er_buf_str(&b));
    return 1;
}

// ---- the event ------------------------------------------------------------------------------------------------------------------------

// event_load reads the event. When it is false the reason is set, and the transform ends with ER_FAIL.
static ER_NOINLINE bool event_load(void) {
    if (!event_memory) event_memory = er_mark();
    er_release(event_memory);
    er_forget();
    er_json_restart();
    if (er_json_parse(&event, er_input())) return true;
    er_buf b = {0};
    er_buf_add(&b, ER_S("the input is not JSON: "));
    er_buf_add(&b, er_s(event.error));
    er_buf_add(&b, ER_S(", at byte "));
    number_add(&b, event.error_at);
    er_fail(er_buf_str(&b));
    return false;
}

// event_text is the text that the path leads to. What the event itself does not have, of id, type, time, tenant, program, webhook and
// attempt, is what the relay knows.
static ER_NOINLINE er_str event_text(const path *p) {
    er_val v = path_find(p, &event, ER_JSON_ROOT);
    if (v || p->count != 1) return er_json_text(&event, v);
    static const char *const known[] = {"id", "type", "time", "tenant", "program", "webhook", "attempt"};
    for (uint32_t i = 0; i < sizeof known / sizeof *known; i++)
        if (er_equal(p->steps[0].name, er_s(known[i]))) return er_meta(p->steps[0].name);
    return (er_str){0};
}

// event_member is a member of the event itself; event_known is its text, or what the relay knows.
static er_val event_member(const char *name) { return er_json_get(&event, ER_JSON_ROOT, er_s(name)); }

static ER_NOINLINE er_str event_known(const char *name) {
    er_val v = event_member(name);
    return v ? er_json_text(&event, v) : er_meta(er_s(name));
}

#endif
