// edgerelay.h: transforms for edgerelay in C, without a C library. One header, nothing to link.
//
//     #include "edgerelay.h"
//
//     ER_EXPORT(transform) int transform(void) {
//         er_put(ER_S("hello "));
//         er_put(er_meta(ER_S("type")));
//         er_set(ER_S("content-type"), ER_S("text/plain; charset=utf-8"));
//         return er_send();
//     }
//
// Build it with clang and lld (19 is what our own modules are built with; see plugins/build.sh):
//
//     clang-19 --target=wasm32 -O2 -mbulk-memory -ffreestanding -c -o hello.o hello.c
//     wasm-ld-19 --no-entry --stack-first -z stack-size=32768 -o hello.wasm hello.o
//
// A module exports transform() -> int, and if it likes init() -> int, which runs once, before the first event: the place to read the
// configuration and to build tables. What init leaves in memory is what every event finds; what an event leaves there is gone after it.
// There is no free(): memory is taken from one end (er_alloc) and the relay puts all of it back after the event.
//
// A trap (__builtin_trap, a bad pointer, out of memory) never hurts the relay: the delivery ends as the webhook's on_error says.
#ifndef EDGERELAY_H
#define EDGERELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ER_EXPORT(name) __attribute__((export_name(#name)))
#define ER_NOINLINE __attribute__((noinline, unused)) // where a copy at every call would only make the module larger
#define ER_IMPORT(name) __attribute__((import_module("edgerelay_v1"), import_name(#name)))

// What transform() returns.
enum {
    ER_SEND = 0,  // send what was written; when nothing was, the input goes on as it is
    ER_DROP = 1,  // do not send: a decision, not a failure
    ER_FAIL = 2,  // failed for good
    ER_RETRY = 3, // failed, try again later
};

enum { ER_DEBUG, ER_INFO, ER_WARN, ER_ERROR }; // levels of er_log

// The raw imports: all that there is. The functions below are more pleasant. Whoever has another host defines them, and ER_OWN_IMPORTS.
#ifndef ER_OWN_IMPORTS
ER_IMPORT(input_read) uint32_t er_import_input_read(void *ptr, uint32_t capacity);
ER_IMPORT(output_write) void er_import_output_write(const void *ptr, uint32_t len);
ER_IMPORT(meta_get) int32_t er_import_meta_get(const void *key, uint32_t key_len, void *ptr, uint32_t capacity);
ER_IMPORT(config_read) uint32_t er_import_config_read(void *ptr, uint32_t capacity);
ER_IMPORT(set) int32_t er_import_set(const void *key, uint32_t key_len, const void *value, uint32_t value_len);
ER_IMPORT(log) void er_import_log(uint32_t level, const void *ptr, uint32_t len);
ER_IMPORT(reason) void er_import_reason(const void *ptr, uint32_t len);
#endif

// ---- texts -------------------------------------------------------------------------------------------------------------------------

// er_str is a text: a view of bytes that somebody else holds, not ended by a zero.
typedef struct {
    const char *p;
    uint32_t n;
} er_str;

#define ER_S(literal) ((er_str){(literal), sizeof(literal) - 1})

// er_s is the text of a string that ends with a zero.
static inline er_str er_s(const char *z) {
    er_str s = {z, 0};
    while (z[s.n]) s.n++;
    return s;
}

static inline bool er_equal(er_str a, er_str b) {
    if (a.n != b.n) return false;
    for (uint32_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i]) return false;
    return true;
}

static inline er_str er_cut(er_str s, uint32_t from, uint32_t to) { return (er_str){s.p + from, to - from}; }

// ---- memory ------------------------------------------------------------------------------------------------------------------------

#define ER_PAGE 65536u

extern char __heap_base; // where the linker ends and free memory begins

static uintptr_t er_top; // the first free byte; 0 = nothing was taken yet

static uintptr_t er_end; // where the memory ends that is there

static ER_NOINLINE void er_grow(uint64_t end) {
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * ER_PAGE;
    if (end > have) {
        uint64_t pages = (end - have + ER_PAGE - 1) / ER_PAGE;
        if (pages > 65535 || __builtin_wasm_memory_grow(0, (uint32_t)pages) == (size_t)-1) __builtin_trap();
        have += pages * ER_PAGE;
    }
    er_end = (uintptr_t)(have - 1);
}

// er_need makes sure that memory reaches to end. There is no way back from too little of it: the module traps.
static inline void er_need(uint64_t end) {
    if (end > er_end) er_grow(end);
}

static inline uintptr_t er_aligned_top(void) { return ((er_top ? er_top : (uintptr_t)&__heap_base) + 7) & ~(uintptr_t)7; }

// er_alloc takes n bytes, aligned to 8. They are zero when nothing was released before.
static ER_NOINLINE void *er_alloc(uint32_t n) {
    uintptr_t at = er_aligned_top();
    er_need((uint64_t)at + n);
    er_top = at + n;
    return (void *)at;
}

// er_extend takes n bytes more, right behind what was taken last. The two stay together.
static ER_NOINLINE void *er_extend(uint32_t n) {
    uintptr_t at = er_top;
    er_need((uint64_t)at + n);
    er_top = at + n;
    return (void *)at;
}

// er_mark and er_release: all that was taken after the mark is free again.
static inline uintptr_t er_mark(void) { return er_top = er_aligned_top(); }
static inline void er_release(uintptr_t mark) { er_top = mark; }

// er_buf is a text that grows.
typedef struct {
    char *p;
    uint32_t n, capacity;
} er_buf;

static inline void er_buf_room(er_buf *b, uint32_t more) {
    if (more <= b->capacity - b->n) return;
    if (more > INT32_MAX - b->n) __builtin_trap();
    uint32_t want = b->n + more, twice = b->capacity * 2;
    if (want < twice) want = twice;
    if (want < 64) want = 64;
    if (b->p && (uintptr_t)b->p + b->capacity == er_top) { // the last one taken: it grows where it is
        er_extend(want - b->capacity);
    } else {
        char *p = er_alloc(want);
        __builtin_memcpy(p, b->p, b->n);
        b->p = p;
    }
    b->capacity = want;
}

static ER_NOINLINE void er_buf_add(er_buf *b, er_str s) {
    er_buf_room(b, s.n);
    __builtin_memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

static inline void er_buf_char(er_buf *b, char c) {
    er_buf_room(b, 1);
    b->p[b->n++] = c;
}

static inline er_str er_buf_str(const er_buf *b) { return (er_str){b->p, b->n}; }

// ---- what comes in -----------------------------------------------------------------------------------------------------------------

// er_fetch reads with one of the two imports of that shape: once when it fits into the memory that is there, else twice.
static inline er_str er_fetch(uint32_t (*read)(void *, uint32_t)) {
    uintptr_t at = er_aligned_top();
    er_need((uint64_t)at + 1);
    uint32_t room = (uint32_t)((uint64_t)__builtin_wasm_memory_size(0) * ER_PAGE - at - 1);
    uint32_t n = read((void *)at, room);
    er_need((uint64_t)at + n + 1);
    if (n > room) read((void *)at, n);
    er_top = at + n + 1;
    ((char *)at)[n] = 0;
    return (er_str){(char *)at, n};
}

// er_input is the event's envelope as JSON, or what the transform before this one wrote. A zero byte follows it, which is not counted.
static inline er_str er_input(void) { return er_fetch(er_import_input_read); }

// er_config is the plugin's configuration as JSON; empty when there is none. A zero byte follows it, which is not counted.
static inline er_str er_config(void) { return er_fetch(er_import_config_read); }

// er_meta is one of id, type, time, tenant, program, webhook, attempt, content-type (of the input); empty when there is none.
static ER_NOINLINE er_str er_meta(er_str key) {
    uint32_t room = 256;
    for (;;) {
        uintptr_t mark = er_mark();
        char *p = er_alloc(room);
        int32_t n = er_import_meta_get(key.p, key.n, p, room);
        if (n <= (int32_t)room) {
            er_top = mark + (n > 0 ? (uint32_t)n : 0);
            return (er_str){p, n > 0 ? (uint32_t)n : 0};
        }
        er_release(mark);
        room = (uint32_t)n;
    }
}

// ---- what goes out -----------------------------------------------------------------------------------------------------------------

static char er_out[4096]; // written to the relay when it is full
static uint32_t er_out_n;
static uint32_t er_out_flushed;

static ER_NOINLINE void er_flush(void) {
    if (er_out_n) er_import_output_write(er_out, er_out_n);
    er_out_flushed += er_out_n;
    er_out_n = 0;
}

// er_put appends to the body.
static ER_NOINLINE void er_put(er_str s) {
    if (s.n > sizeof er_out - er_out_n) {
        er_flush();
        if (s.n >= sizeof er_out) {
            er_import_output_write(s.p, s.n);
            er_out_flushed += s.n;
            return;
        }
    }
    __builtin_memcpy(er_out + er_out_n, s.p, s.n);
    er_out_n += s.n;
}

static inline void er_put_char(char c) {
    if (er_out_n == sizeof er_out) er_flush();
    er_out[er_out_n++] = c;
}

// er_written is the length of the body so far.
static inline uint32_t er_written(void) { return er_out_flushed + er_out_n; }

// er_set sets content-type, method, path, header:NAME or query:NAME. It is false when the relay refuses: a reserved header, a line break,
// another host, too many or too long.
static inline bool er_set(er_str key, er_str value) { return er_import_set(key.p, key.n, value.p, value.n) == 0; }

static inline bool er_header(er_str name, er_str value) {
    er_buf key = {0};
    er_buf_add(&key, ER_S("header:"));
    er_buf_add(&key, name);
    return er_set(er_buf_str(&key), value);
}

static inline void er_log(uint32_t level, er_str text) { er_import_log(level, text.p, text.n); }

// er_send ends a transform that worked: return er_send();
static inline int er_send(void) {
    er_flush();
    er_out_flushed = 0;
    return ER_SEND;
}

// er_forget drops the part of the body that the relay does not have yet.
static inline void er_forget(void) { er_out_n = er_out_flushed = 0; }

// er_drop and er_fail end one that does not send, and say why. People read the reason in the delivery's history: leave personal data out.
static inline int er_drop(er_str why) {
    er_forget();
    er_import_reason(why.p, why.n);
    return ER_DROP;
}

static inline int er_fail(er_str why) {
    er_forget();
    er_import_reason(why.p, why.n);
    return ER_FAIL;
}

#endif
