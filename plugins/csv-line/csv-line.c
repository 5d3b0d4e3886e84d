// csv-line: an event becomes one line of CSV (RFC 4180), a column for each configured path.

#include "template.h"

typedef struct {
    path where;
    er_str name, otherwise;
} column;

static column *columns;
static uint32_t count;
static er_str line_end;
static char delimiter;
static bool header, quote_all, escape_formulas;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    er_str d = config_text("delimiter", ER_S(","));
    delimiter = d.n == 1 ? d.p[0] : ',';
    line_end = config_is("line_end", "lf") ? ER_S("\n") : config_is("line_end", "none") ? ER_S("") : ER_S("\r\n");
    header = config_bool("header", false);
    quote_all = config_is("quote", "all");
    escape_formulas = config_bool("escape_formulas", false);
    er_val list = config_get("columns");
    columns = er_alloc(count_of(&config, list) * sizeof *columns);
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v)) {
        column *c = &columns[count++];
        er_val where = er_json_kind(&config, v) == '{' ? er_json_get(&config, v, ER_S("path")) : v;
        er_str place = text_of(where, ER_S(""));
        c->name = text_of(er_json_get(&config, v, ER_S("name")), place);
        c->otherwise = text_of(er_json_get(&config, v, ER_S("default")), ER_S(""));
        const char *bad = path_parse(&c->where, place, false);
        if (bad) return refuse_config(place.n ? place : ER_S("columns"), bad);
    }
    if (count == 0) return refuse_config(ER_S("columns"), "no column is given");
    return 0;
}

static bool needs_quotes(er_str s) {
    if (quote_all || s.n == 0) return quote_all;
    if (s.p[0] == ' ' || s.p[s.n - 1] == ' ') return true; // some readers would trim it
    for (uint32_t i = 0; i < s.n; i++)
        if (s.p[i] == '"' || s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == delimiter) return true;
    return false;
}

// write_cell writes a cell. formula: it is a text of somebody else's, which a spreadsheet must not take for a formula.
static void write_cell(er_str s, bool formula) {
    bool quotes = needs_quotes(s);
    if (quotes) er_put_char('"');
    if (formula && s.n && (s.p[0] == '=' || s.p[0] == '+' || s.p[0] == '-' || s.p[0] == '@' || s.p[0] == '\t' || s.p[0] == '\r')) er_put_char('\'');
    uint32_t from = 0;
    for (uint32_t i = 0; quotes && i < s.n; i++) {
        if (s.p[i] != '"') continue;
        er_put(er_cut(s, from, i + 1));
        from = i; // it comes once more
    }
    er_put(er_cut(s, from, s.n));
    if (quotes) er_put_char('"');
}

// is_number: a number of the event may begin with a minus.
static bool is_number(const column *c) { return er_json_kind(&event, path_find(&c->where, &event, ER_JSON_ROOT)) == '0'; }

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    for (uint32_t i = 0; header && i < count; i++) {
        if (i) er_put_char(delimiter);
        write_cell(columns[i].name, false);
    }
    if (header) er_put(line_end.n ? line_end : ER_S("\r\n"));
    for (uint32_t i = 0; i < count; i++) {
        uintptr_t mark = er_mark();
        er_str s = event_text(&columns[i].where);
        if (i) er_put_char(delimiter);
        write_cell(s.n ? s : columns[i].otherwise, escape_formulas && !is_number(&columns[i]));
        er_release(mark);
    }
    er_put(line_end);
    if (er_written() == 0) er_put(ER_S("\"\"")); // one column without a value: a body that is empty would be taken for none
    er_set(ER_S("content-type"), header ? ER_S("text/csv; charset=utf-8; header=present") : ER_S("text/csv; charset=utf-8; header=absent"));
    return er_send();
}
