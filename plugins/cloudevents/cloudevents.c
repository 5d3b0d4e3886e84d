// cloudevents: an event becomes a CloudEvent 1.0 over HTTP, in structured or in binary mode.

#include "template.h"

typedef struct {
    er_str name;
    template value;
} attribute;

static attribute *extensions;
static uint32_t count;
static template source, type, subject;
static er_str dataschema;
static bool binary;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    source = config_template("source", ER_S("urn:edgerelay:{{tenant}}"));
    type = config_template("type", ER_S("{{type}}"));
    subject = config_template("subject", ER_S(""));
    dataschema = config_text("dataschema", ER_S(""));
    binary = config_is("mode", "binary");
    er_val list = config_get("extensions");
    extensions = er_alloc(count_of(&config, list) * sizeof *extensions);
    for (er_val k = er_json_first(&config, list); k; k = er_json_next(&config, list, k))
        extensions[count++] = (attribute){er_json_text(&config, k), template_of(er_json_value(&config, k), ER_S(""), "extensions")};
    return templates_ready();
}

// header_value escapes a value as the binding for HTTP says: all but visible ASCII, and " and %, as the %XX of their UTF-8.
static er_str header_value(er_str s) {
    static const char hex[] = "0123456789ABCDEF";
    er_buf b = {0};
    for (uint32_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if (c > ' ' && c < 0x7f && c != '"' && c != '%') {
            er_buf_char(&b, (char)c);
        } else {
            er_buf_char(&b, '%');
            er_buf_char(&b, hex[c >> 4]);
            er_buf_char(&b, hex[c & 15]);
        }
    }
    return er_buf_str(&b);
}

// put writes one attribute, as a header or as a member. False: the relay refuses it.
static bool put(er_str name, er_str value) {
    if (value.n == 0) return true;
    if (!binary) {
        er_json_key(name);
        er_json_string(value);
        return true;
    }
    er_buf b = {0};
    er_buf_add(&b, ER_S("ce-"));
    er_buf_add(&b, name);
    return er_header(er_buf_str(&b), header_value(value));
}

static bool put_attributes(er_str from, er_str what) {
    bool good = put(ER_S("specversion"), ER_S("1.0")) && put(ER_S("id"), event_known("id")) && put(ER_S("source"), from) &&
                put(ER_S("type"), what) && put(ER_S("time"), event_known("time")) &&
                put(ER_S("subject"), template_render(&subject, NULL, 0)) && put(ER_S("dataschema"), dataschema);
    for (uint32_t i = 0; i < count && good; i++) good = put(extensions[i].name, template_render(&extensions[i].value, NULL, 0));
    return good;
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    er_str from = template_render(&source, NULL, 0), what = template_render(&type, NULL, 0);
    if (from.n == 0 || what.n == 0) return er_fail(ER_S("a CloudEvent needs a source and a type, and one of them is empty for this event"));
    er_val data = event_member("data");
    if (!binary) er_json_open('{');
    if (!put_attributes(from, what)) return er_fail(ER_S("an attribute is too long for a header, or there are too many"));
    if (binary) {
        er_put(data ? er_json_raw(&event, data) : ER_S("null"));
        er_set(ER_S("content-type"), ER_S("application/json"));
        return er_send();
    }
    if (data && er_json_kind(&event, data) != 'n') {
        put(ER_S("datacontenttype"), ER_S("application/json"));
        er_json_key(ER_S("data"));
        er_json_write(er_json_raw(&event, data));
    }
    er_json_close('}');
    er_set(ER_S("content-type"), ER_S("application/cloudevents+json; charset=UTF-8"));
    return er_send();
}
