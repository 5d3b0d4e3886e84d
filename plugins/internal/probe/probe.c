// probe: for the tests of the reader and the writer. It reads the input as JSON and writes it again, every text unescaped and escaped;
// what is not JSON it fails.

#include "event.h"

static void rewrite(er_val v) {
    char kind = er_json_kind(&event, v);
    if (kind == '"') {
        er_json_string(er_json_text(&event, v));
        return;
    }
    if (kind != '{' && kind != '[') {
        er_json_write(er_json_raw(&event, v));
        return;
    }
    er_json_open(kind);
    for (er_val c = er_json_first(&event, v); c; c = er_json_next(&event, v, c)) {
        if (kind == '{') er_json_key(er_json_text(&event, c));
        rewrite(kind == '{' ? er_json_value(&event, c) : c);
    }
    er_json_close(kind == '{' ? '}' : ']');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    rewrite(ER_JSON_ROOT);
    return er_send();
}
