// template.h: texts of a configuration with {{ }} in them. Our own plugins share it.
//
//     {{ data.order }}              the value at that path, escaped for the service so that it cannot format the message or call people
//     {{{ data.link }}}             the same as it is
//     {{ data.name | somebody }}    somebody, when there is no value or an empty one
//     \{{                           the characters {{
//
// A text that has no value for any of its {{ }} is as if it were not there: no empty field is shown. Objects and arrays are shown as JSON.
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "event.h"

typedef struct {
    er_str literal; // when path is empty
    path where;
    er_str otherwise;
    bool raw;
} part;

typedef struct {
    part *parts;
    uint32_t count;
    uint32_t values; // how many of them are {{ }}
} template;

static er_str trim(er_str s) {
    while (s.n && path_space(s.p[0])) s = er_cut(s, 1, s.n);
    while (s.n && path_space(s.p[s.n - 1])) s.n--;
    return s;
}

// template_expression reads what stands between the braces.
static const char *template_expression(part *p, er_str inside) {
    uint32_t bar = 0;
    bool quoted = false;
    for (; bar < inside.n && (quoted || inside.p[bar] != '|'); bar++)
        if (inside.p[bar] == '"') quoted = !quoted;
    if (bar < inside.n) p->otherwise = trim(er_cut(inside, bar + 1, inside.n));
    return path_parse(&p->where, er_cut(inside, 0, bar), false);
}

// starts says whether s goes on with what at position i.
static bool starts(er_str s, uint32_t i, const char *what) {
    for (; *what; i++, what++)
        if (i >= s.n || s.p[i] != *what) return false;
    return true;
}

// template_next reads the part at *at.
static const char *template_next(part *p, er_str text, uint32_t *at) {
    uint32_t i = *at, from = i;
    if (starts(text, i, "\\{{")) {
        p->literal = er_cut(text, i + 1, i + 3);
        *at = i + 3;
        return NULL;
    }
    if (!starts(text, i, "{{")) {
        while (i < text.n && !starts(text, i, "{{") && !starts(text, i, "\\{{")) i++;
        p->literal = er_cut(text, from, i);
        *at = i;
        return NULL;
    }
    p->raw = starts(text, i, "{{{");
    const char *end = p->raw ? "}}}" : "}}";
    uint32_t braces = p->raw ? 3 : 2;
    for (from = i += braces; !starts(text, i, end); i++)
        if (i >= text.n) return "{{ without a closing }}";
    *at = i + braces;
    return template_expression(p, er_cut(text, from, i));
}

// template_parse reads text, which must stay where it is. It returns why it cannot, or NULL.
static const char *template_parse(template *out, er_str text) {
    uint32_t most = 1; // parts: one between any two braces at most
    for (uint32_t i = 0; i < text.n; i++) most += text.p[i] == '{' || text.p[i] == '}';
    *out = (template){er_alloc(most * sizeof(part)), 0, 0};
    for (uint32_t i = 0; i < text.n;) {
        part *p = &out->parts[out->count++];
        *p = (part){0};
        const char *bad = template_next(p, text, &i);
        if (bad) return bad;
        out->values += p->where.count > 0;
    }
    return NULL;
}

// ---- building a text ------------------------------------------------------------------------------------------------------------------

// escaper gives what to put in place of a character, or an empty text: the character itself.
typedef er_str (*escaper)(char c);

// text is what is built. Services count characters, some of them in UTF-16, so a character above U+FFFF counts as two.
typedef struct {
    er_buf b;
    uint32_t units, limit; // limit 0 = none
    uint32_t cut;          // the length at which there is still room for an ellipsis
    bool full;
} text;

// plain says that no escaper knows c, so that most characters need not ask one.
static inline bool plain(uint8_t c) {
    uint8_t low = c | 32;
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == ' ' || c >= 0x80;
}

static ER_NOINLINE void text_add(text *t, er_str s, escaper escape) {
    if (t->full) return;
    if (!t->limit && !escape) {
        er_buf_add(&t->b, s);
        return;
    }
    uint32_t from = 0; // of what is not in the buffer yet
    for (uint32_t i = 0; i < s.n;) {
        uint8_t c = (uint8_t)s.p[i];
        uint32_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (n > s.n - i) n = s.n - i;
        er_str e = escape && !plain(c) ? escape((char)c) : (er_str){0};
        uint32_t units = e.n ? e.n : n == 4 ? 2 : 1;
        if (t->limit && t->units + units > t->limit) {
            er_buf_add(&t->b, er_cut(s, from, i));
            t->b.n = t->cut;
            er_buf_add(&t->b, ER_S("\xe2\x80\xa6"));
            t->full = true;
            return;
        }
        if (e.n) {
            er_buf_add(&t->b, er_cut(s, from, i));
            er_buf_add(&t->b, e);
            from = i + n;
        }
        i += n;
        t->units += units;
        if (t->units < t->limit) t->cut = t->b.n + (i - from);
    }
    er_buf_add(&t->b, er_cut(s, from, s.n));
}

// template_render fills in the values, at most limit characters (0 = any number). Empty: none of the values was there.
static ER_NOINLINE er_str template_render(const template *t, escaper escape, uint32_t limit) {
    text out = {.limit = limit};
    bool any = t->values == 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const part *p = &t->parts[i];
        if (!p->where.count) {
            text_add(&out, p->literal, NULL);
            continue;
        }
        er_str value = event_text(&p->where);
        if (value.n == 0) value = p->otherwise;
        any = any || value.n > 0;
        text_add(&out, value, p->raw ? NULL : escape);
    }
    return any ? er_buf_str(&out.b) : (er_str){0};
}

// ---- templates of a configuration ------------------------------------------------------------------------------------------------------

static const char *template_error; // the first mistake, and where
static er_str template_error_at;

// template_of reads the template that is at v of the configuration, or otherwise. where is its name, for messages.
static ER_NOINLINE template template_of(er_val v, er_str otherwise, const char *where) {
    template t;
    const char *bad = template_parse(&t, text_of(v, otherwise));
    if (bad && !template_error) {
        template_error = bad;
        template_error_at = er_s(where);
    }
    return t;
}

static ER_NOINLINE template config_template(const char *key, er_str otherwise) { return template_of(config_get(key), otherwise, key); }

// templates_ready ends init: 0, or 1 with the reason set.
static int templates_ready(void) { return template_error ? refuse_config(template_error_at, template_error) : 0; }

// json_template is a piece of the configuration, any JSON, whose texts are templates.
typedef struct {
    er_val root;
    template **of; // by node of the configuration
} json_template;

static ER_NOINLINE json_template json_template_of(er_val v, const char *where) {
    json_template t = {v, NULL};
    if (!v) return t;
    t.of = er_alloc(config.count * sizeof *t.of);
    for (er_val n = v; n < config.nodes[v].after; n++) {
        t.of[n] = NULL;
        if (er_json_kind(&config, n) != '"') continue;
        t.of[n] = er_alloc(sizeof(template));
        *t.of[n] = template_of(n, ER_S(""), where);
    }
    return t;
}

// lone says whether the template is nothing but one {{ }}: then the value may keep its type. With keep false it does so only for {{{ }}}.
static bool lone(const template *t, bool keep) {
    return t->count == 1 && t->values == 1 && t->parts[0].otherwise.n == 0 && (keep || t->parts[0].raw);
}

// json_template_write writes the value v of the template with its texts filled in. keep: a text that is one {{ }} keeps the value's type.
static ER_NOINLINE void json_template_write(const json_template *t, er_val v, escaper escape, bool keep) {
    char kind = er_json_kind(&config, v);
    if (kind == '{' || kind == '[') {
        er_json_open(kind);
        for (er_val c = er_json_first(&config, v); c; c = er_json_next(&config, v, c)) {
            er_val value = c;
            if (kind == '{') {
                er_json_key(er_json_text(&config, c));
                value = er_json_value(&config, c);
            }
            json_template_write(t, value, escape, keep);
        }
        er_json_close(kind == '{' ? '}' : ']');
        return;
    }
    if (kind != '"') {
        er_json_write(er_json_raw(&config, v));
        return;
    }
    const template *text = t->of[v];
    if (lone(text, keep)) {
        er_val found = path_find(&text->parts[0].where, &event, ER_JSON_ROOT);
        er_str known = found ? (er_str){0} : event_text(&text->parts[0].where);
        if (known.n) er_json_string(known);
        else er_json_write(found ? er_json_raw(&event, found) : ER_S("null"));
        return;
    }
    uintptr_t mark = er_mark();
    er_json_string(template_render(text, escape, 0));
    er_release(mark);
}

// json_member writes a member of an object, unless its text is empty.
static ER_NOINLINE void json_member(const char *key, er_str value) {
    if (value.n == 0) return;
    er_json_key(er_s(key));
    er_json_string(value);
}

#endif
