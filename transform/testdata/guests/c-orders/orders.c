// A message from an order: what the same work costs with our own ABI and, with -DEXTISM, as an Extism plug-in.
#ifdef EXTISM
#include <stdint.h>

#define EX(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
EX(input_length) uint64_t ex_input_length(void);
EX(input_load_u64) uint64_t ex_input_load_u64(uint64_t at);
EX(input_load_u8) uint32_t ex_input_load_u8(uint64_t at);
EX(alloc) uint64_t ex_alloc(uint64_t n);
EX(store_u64) void ex_store_u64(uint64_t at, uint64_t value);
EX(store_u8) void ex_store_u8(uint64_t at, uint32_t value);
EX(output_set) void ex_output_set(uint64_t at, uint64_t n);

static uint32_t er_import_input_read(void *ptr, uint32_t capacity) {
    uint32_t n = (uint32_t)ex_input_length(), i = 0;
    uint8_t *to = ptr;
    if (n > capacity) return n;
    for (; i + 8 <= n; i += 8) {
        uint64_t v = ex_input_load_u64(i);
        __builtin_memcpy(to + i, &v, 8);
    }
    for (; i < n; i++) to[i] = (uint8_t)ex_input_load_u8(i);
    return n;
}

static void er_import_output_write(const void *ptr, uint32_t len) {
    const uint8_t *from = ptr;
    uint64_t at = ex_alloc(len);
    uint32_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t v;
        __builtin_memcpy(&v, from + i, 8);
        ex_store_u64(at + i, v);
    }
    for (; i < len; i++) ex_store_u8(at + i, from[i]);
    ex_output_set(at, len);
}

static int32_t er_import_meta_get(const void *key, uint32_t key_len, void *ptr, uint32_t capacity) {
    (void)key, (void)key_len, (void)ptr, (void)capacity;
    return -1;
}
static uint32_t er_import_config_read(void *ptr, uint32_t capacity) {
    (void)ptr, (void)capacity;
    return 0;
}
static int32_t er_import_set(const void *key, uint32_t key_len, const void *value, uint32_t value_len) {
    (void)key, (void)key_len, (void)value, (void)value_len;
    return 0;
}
static void er_import_log(uint32_t level, const void *ptr, uint32_t len) { (void)level, (void)ptr, (void)len; }
static void er_import_reason(const void *ptr, uint32_t len) { (void)ptr, (void)len; }
#define ER_OWN_IMPORTS
#endif

#include "edgerelay.h"
#include "edgerelay_json.h"

static er_json event;

static er_str field(er_val object, er_str name) { return er_json_text(&event, er_json_get(&event, object, name)); }

static void line(er_str name, er_str value) {
    er_json_open('{');
    er_json_key(ER_S("title"));
    er_json_string(name);
    er_json_key(ER_S("value"));
    er_json_string(value);
    er_json_close('}');
}

ER_EXPORT(transform) int transform(void) {
    if (!er_json_parse(&event, er_input())) return er_fail(er_s(event.error));
    er_val data = er_json_get(&event, ER_JSON_ROOT, ER_S("data"));
    er_json_open('{');
    er_json_key(ER_S("text"));
    er_json_string(field(data, ER_S("order")));
    er_json_key(ER_S("fields"));
    er_json_open('[');
    er_val items = er_json_get(&event, data, ER_S("items"));
    for (er_val i = er_json_first(&event, items); i; i = er_json_next(&event, items, i)) line(field(i, ER_S("name")), field(i, ER_S("price")));
    er_json_close(']');
    er_json_close('}');
    return er_send();
}
