// path.h: where something is in an event, such as data.items[0].name. Our own plugins share it.
//
//     a.b           the member b of the member a
//     a[0]  a.0     the first element of an array (a.0 is also the member "0" of an object)
//     a["x.y"]      a member whose name has a dot, a bracket or a space in it
//     *  [*]        every member or element, one level (in patterns only)
//     **            any number of levels, also none (in patterns only)
#ifndef PATH_H
#define PATH_H

#include "edgerelay_json.h"

typedef enum { STEP_NAME, STEP_ANY, STEP_DEEP } step_kind;

typedef struct {
    step_kind kind;
    er_str name;
    int32_t index; // -1: the name is no number
} step;

typedef struct {
    step *steps;
    uint32_t count;
} path;

static bool path_space(char c) { return c == ' ' || c == '\t'; }

// number_of reads a name as an index; -1 when it is none.
static int32_t number_of(er_str s) {
    int32_t v = 0;
    if (s.n == 0 || s.n > 7 || (s.p[0] == '0' && s.n > 1)) return -1;
    for (uint32_t i = 0; i < s.n; i++) {
        if (!er_json_digit(s.p[i])) return -1;
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

static void path_add(path *out, step_kind kind, er_str name) {
    step *s = er_extend(sizeof *s);
    *s = (step){kind, name, number_of(name)};
    out->count++;
}

// path_bracket reads [0], [*] or ["name"] at *at.
static const char *path_bracket(path *out, er_str text, uint32_t *at) {
    uint32_t i = *at + 1, from = i;
    if (i < text.n && text.p[i] == '"') {
        from = ++i;
        while (i < text.n && text.p[i] != '"') i++;
        if (i + 1 >= text.n || text.p[i + 1] != ']') return "a path has [\" without \"]";
        path_add(out, STEP_NAME, er_cut(text, from, i));
        *at = i + 2;
        return NULL;
    }
    while (i < text.n && text.p[i] != ']') i++;
    if (i == text.n) return "a path has [ without ]";
    er_str inside = er_cut(text, from, i);
    if (er_equal(inside, ER_S("*"))) path_add(out, STEP_ANY, inside);
    else if (number_of(inside) >= 0) path_add(out, STEP_NAME, inside);
    else return "in the brackets of a path stands a number, a * or a \"name\"";
    *at = i + 1;
    return NULL;
}

// path_name reads the name at *at.
static const char *path_name(path *out, er_str text, uint32_t *at) {
    uint32_t from = *at, i = from;
    while (i < text.n && text.p[i] != '.' && text.p[i] != '[') i++;
    er_str name = er_cut(text, from, i);
    if (name.n == 0) return "a path has a name missing";
    if (er_equal(name, ER_S("*"))) path_add(out, STEP_ANY, name);
    else if (er_equal(name, ER_S("**"))) path_add(out, STEP_DEEP, name);
    else path_add(out, STEP_NAME, name);
    *at = i;
    return NULL;
}

// path_parse reads text, which must stay where it is. It returns why it is not a path, or NULL. Patterns may have * in them.
static ER_NOINLINE const char *path_parse(path *out, er_str text, bool pattern) {
    while (text.n && path_space(text.p[0])) text = er_cut(text, 1, text.n);
    while (text.n && path_space(text.p[text.n - 1])) text.n--;
    er_mark();
    *out = (path){er_extend(0), 0};
    if (text.n == 0) return "a path is empty";
    const char *bad = NULL;
    for (uint32_t i = 0; i < text.n && !bad;) {
        if (text.p[i] == '[') {
            bad = path_bracket(out, text, &i);
            continue;
        }
        if (i > 0 && text.p[i++] != '.') return "behind a ] of a path stands a dot or another [";
        bad = path_name(out, text, &i);
    }
    for (uint32_t i = 0; i < out->count && !bad; i++)
        if (!pattern && out->steps[i].kind != STEP_NAME) bad = "a * cannot stand here: the path must lead to one value";
    return bad;
}

// step_matches says whether the step leads to the key (of an object) or to the element number index (of an array, key is 0).
static bool step_matches(const step *s, const er_json *d, er_val key, int32_t index) {
    if (s->kind != STEP_NAME) return true;
    return key ? er_json_is(d, key, s->name) : s->index == index;
}

// path_find is the value that the path leads to from v; 0 = none.
static ER_NOINLINE er_val path_find(const path *p, const er_json *d, er_val v) {
    for (uint32_t i = 0; i < p->count && v; i++) {
        const step *s = &p->steps[i];
        if (er_json_kind(d, v) == '[') v = s->index >= 0 ? er_json_at(d, v, (uint32_t)s->index) : 0;
        else v = er_json_get(d, v, s->name);
    }
    return v;
}

#endif
