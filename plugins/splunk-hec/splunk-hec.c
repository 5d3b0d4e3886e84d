// splunk-hec: an event becomes one for the HTTP Event Collector of Splunk.

#include "template.h"

typedef struct {
    er_str name;
    template value;
} indexed;

static template host, source, sourcetype, index_;
static indexed *indexed_fields;
static uint32_t count;
static json_template body;
static enum { DATA, ENVELOPE } what;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    host = config_template("host", ER_S(""));
    source = config_template("source", ER_S("edgerelay"));
    sourcetype = config_template("sourcetype", ER_S("_json"));
    index_ = config_template("index", ER_S(""));
    what = config_is("event", "envelope") ? ENVELOPE : DATA;
    body = json_template_of(config_get("body"), "body");
    er_val list = config_get("fields");
    indexed_fields = er_alloc(count_of(&config, list) * sizeof *indexed_fields);
    for (er_val k = er_json_first(&config, list); k; k = er_json_next(&config, list, k))
        indexed_fields[count++] = (indexed){er_json_text(&config, k), template_of(er_json_value(&config, k), ER_S(""), "fields")};
    return templates_ready();
}

// digits reads n digits at *at; -1 = they are not there.
static int32_t digits(er_str s, uint32_t *at, uint32_t n) {
    int32_t v = 0;
    for (uint32_t end = *at + n; *at < end; ++*at) {
        if (*at >= s.n || !er_json_digit(s.p[*at])) return -1;
        v = v * 10 + (s.p[*at] - '0');
    }
    return v;
}

// days_since is how many days after 1970-01-01 a date is (the calendar counted from March, 400 years have 146,097 days).
static int64_t days_since(int32_t year, int32_t month, int32_t day) {
    year -= month <= 2;
    int32_t era = (year >= 0 ? year : year - 399) / 400;
    int32_t of_era = year - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool char_at(er_str s, uint32_t *at, char c) { return *at < s.n && (s.p[(*at)++] | 32) == (c | 32); }

static void number64_add(er_buf *b, uint64_t n) {
    if (n >= 10) number64_add(b, n / 10);
    er_buf_char(b, (char)('0' + n % 10));
}

// epoch turns RFC 3339 into seconds since 1970, with the fraction that it has, digit by digit. Empty: it is no time, or before 1970.
static er_str epoch(er_str s) {
    uint32_t i = 0;
    int32_t year = digits(s, &i, 4), month, day, hour, minute, second;
    if (!char_at(s, &i, '-') || (month = digits(s, &i, 2)) < 1 || month > 12 || !char_at(s, &i, '-') || (day = digits(s, &i, 2)) < 1) return (er_str){0};
    if (!char_at(s, &i, 'T') || (hour = digits(s, &i, 2)) < 0 || !char_at(s, &i, ':') || (minute = digits(s, &i, 2)) < 0) return (er_str){0};
    if (!char_at(s, &i, ':') || (second = digits(s, &i, 2)) < 0 || year < 0) return (er_str){0};
    uint32_t from = i;
    if (i < s.n && s.p[i] == '.')
        for (i++; i < s.n && er_json_digit(s.p[i]);) i++;
    er_str fraction = er_cut(s, from, i);
    int64_t seconds = days_since(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) {
        int32_t sign = s.p[i++] == '+' ? 1 : -1, hours = digits(s, &i, 2);
        if (hours < 0 || !char_at(s, &i, ':') || (minute = digits(s, &i, 2)) < 0) return (er_str){0};
        seconds -= sign * (hours * 3600 + minute * 60);
    } else if (!char_at(s, &i, 'Z')) {
        return (er_str){0};
    }
    if (i != s.n || seconds < 0) return (er_str){0};
    er_buf b = {0};
    number64_add(&b, (uint64_t)seconds);
    if (fraction.n > 1) er_buf_add(&b, fraction);
    return er_buf_str(&b);
}

static void write_fields(void) {
    bool open = false;
    for (uint32_t i = 0; i < count; i++) {
        er_str value = template_render(&indexed_fields[i].value, NULL, 0);
        if (value.n == 0) continue;
        if (!open) {
            er_json_key(ER_S("fields"));
            er_json_open('{');
            open = true;
        }
        er_json_key(indexed_fields[i].name);
        er_json_string(value);
    }
    if (open) er_json_close('}');
}

// write_event writes what is indexed. Splunk refuses an event that is blank, so one without data is written whole.
static void write_event(void) {
    er_val data = event_member("data");
    char kind = er_json_kind(&event, data);
    bool blank = kind == 0 || kind == 'n' || er_json_is(&event, data, ER_S(""));
    er_json_key(ER_S("event"));
    if (body.root) json_template_write(&body, body.root, NULL, true);
    else er_json_write(er_json_raw(&event, what == ENVELOPE || blank ? ER_JSON_ROOT : data));
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    er_json_open('{');
    er_str time = epoch(event_known("time"));
    if (time.n) {
        er_json_key(ER_S("time"));
        er_json_write(time);
    }
    json_member("host", template_render(&host, NULL, 0));
    json_member("source", template_render(&source, NULL, 0));
    json_member("sourcetype", template_render(&sourcetype, NULL, 0));
    json_member("index", template_render(&index_, NULL, 0));
    write_fields();
    write_event();
    er_json_close('}');
    er_set(ER_S("content-type"), ER_S("application/json"));
    return er_send();
}
