// pagerduty: an event becomes an alert of the PagerDuty Events API v2.

#include "sha256.h"
#include "template.h"

enum { MOST_SUMMARY = 1024, MOST_KEY = 255, MOST_DETAILS = 384 * 1024, MOST_MESSAGE = 512 * 1024 }; // PagerDuty accepts the last one

static template dedup_key, summary, source, severity, component, group, class_, client, client_url, link_text, link_url;
static json_template details;
static er_str routing_key, action;
static er_val resolve, acknowledge;

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    routing_key = config_text("routing_key", ER_S(""));
    if (routing_key.n == 0) return refuse_config(ER_S("routing_key"), "is missing");
    action = config_text("action", ER_S("trigger"));
    resolve = config_get("resolve");
    acknowledge = config_get("acknowledge");
    dedup_key = config_template("dedup_key", ER_S("{{id}}"));
    summary = config_template("summary", ER_S("{{type}}"));
    source = config_template("source", ER_S("edgerelay"));
    severity = config_template("severity", ER_S("error"));
    component = config_template("component", ER_S(""));
    group = config_template("group", ER_S(""));
    class_ = config_template("class", ER_S("{{type}}"));
    client = config_template("client", ER_S(""));
    client_url = config_template("client_url", ER_S(""));
    er_val link = config_get("link");
    link_text = template_of(er_json_get(&config, link, ER_S("text")), ER_S(""), "link.text");
    link_url = template_of(er_json_get(&config, link, ER_S("url")), ER_S(""), "link.url");
    details = json_template_of(config_get("custom_details"), "custom_details");
    return templates_ready();
}

// glob compares a type with a pattern in which * stands for any run of characters.
static bool glob(er_str pattern, er_str s) {
    uint32_t p = 0, i = 0, star = UINT32_MAX, after = 0;
    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            after = i;
        } else if (p < pattern.n && pattern.p[p] == s.p[i]) {
            p++;
            i++;
        } else if (star != UINT32_MAX) {
            p = star + 1;
            i = ++after;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*') p++;
    return p == pattern.n;
}

static bool listed(er_val list, er_str type) {
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v))
        if (glob(text_of(v, ER_S("")), type)) return true;
    return false;
}

static er_str action_of(er_str type) {
    if (listed(resolve, type)) return ER_S("resolve");
    return listed(acknowledge, type) ? ER_S("acknowledge") : action;
}

// short_key is the key, or when it is too long its beginning and its hash: cut off, two incidents could become one.
static er_str short_key(er_str key) {
    if (key.n <= MOST_KEY) return key;
    char digits[64];
    sha256 s = sha256_begin();
    sha256_add(&s, key);
    sha256_end(&s, digits);
    uint32_t n = MOST_KEY - 1 - sizeof digits;
    while (((uint8_t)key.p[n] & 0xc0) == 0x80) n--;
    er_buf b = {0};
    er_buf_add(&b, er_cut(key, 0, n));
    er_buf_char(&b, '-');
    er_buf_add(&b, (er_str){digits, sizeof digits});
    return er_buf_str(&b);
}

// severity_of is one of the four that PagerDuty has. Common names of others are understood, and whatever else it is, it is an error.
static er_str severity_of(er_str s) {
    static const struct { const char *name, *severity; } names[] = {
        {"critical", "critical"}, {"fatal", "critical"}, {"emergency", "critical"}, {"alert", "critical"}, {"panic", "critical"},
        {"warning", "warning"}, {"warn", "warning"}, {"info", "info"}, {"information", "info"}, {"notice", "info"}, {"debug", "info"},
    };
    char low[16];
    if (s.n > sizeof low) return ER_S("error");
    for (uint32_t i = 0; i < s.n; i++) low[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i];
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (er_equal((er_str){low, s.n}, er_s(names[i].name))) return er_s(names[i].severity);
    return ER_S("error");
}

static bool web_address(er_str s) { return starts(s, 0, "https://") || starts(s, 0, "http://"); }

// write_details writes what is configured, or the event's data; without it when it is too large for PagerDuty.
static void write_details(void) {
    er_json_key(ER_S("custom_details"));
    if (details.root) {
        json_template_write(&details, details.root, NULL, true);
        return;
    }
    er_val data = event_member("data");
    er_str raw = er_json_raw(&event, data);
    if (er_json_kind(&event, data) == '{' && raw.n <= MOST_DETAILS) {
        er_json_write(raw);
        return;
    }
    er_json_open('{');
    if (raw.n > MOST_DETAILS) {
        json_member("note", ER_S("the event's data is too large to be shown here"));
    } else {
        er_json_key(ER_S("data"));
        er_json_write(raw.n ? raw : ER_S("null"));
    }
    er_json_close('}');
}

static void write_payload(void) {
    er_str headline = template_render(&summary, NULL, MOST_SUMMARY), from = template_render(&source, NULL, MOST_SUMMARY);
    er_json_key(ER_S("payload"));
    er_json_open('{');
    json_member("summary", headline.n ? headline : event_known("type"));
    json_member("source", from.n ? from : ER_S("edgerelay"));
    json_member("severity", severity_of(template_render(&severity, NULL, 0)));
    json_member("timestamp", event_known("time"));
    json_member("component", template_render(&component, NULL, MOST_SUMMARY));
    json_member("group", template_render(&group, NULL, MOST_SUMMARY));
    json_member("class", template_render(&class_, NULL, MOST_SUMMARY));
    write_details();
    er_json_close('}');
}

static void write_link(void) {
    er_str url = template_render(&link_url, NULL, 0);
    if (!web_address(url)) return;
    er_json_key(ER_S("links"));
    er_json_open('[');
    er_json_open('{');
    json_member("href", url);
    json_member("text", template_render(&link_text, NULL, MOST_SUMMARY));
    er_json_close('}');
    er_json_close(']');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    er_str what = action_of(event_known("type")), key = short_key(template_render(&dedup_key, NULL, 0));
    bool trigger = er_equal(what, ER_S("trigger"));
    if (key.n == 0 && !trigger) return er_fail(ER_S("dedup_key is empty for this event, so PagerDuty would not know which incident is meant"));
    if (key.n == 0) key = event_known("id");
    er_json_open('{');
    json_member("routing_key", routing_key);
    json_member("event_action", what);
    json_member("dedup_key", key);
    if (trigger) {
        write_payload();
        write_link();
        json_member("client", template_render(&client, NULL, MOST_SUMMARY));
        er_str url = template_render(&client_url, NULL, 0);
        if (web_address(url)) json_member("client_url", url);
    }
    er_json_close('}');
    if (er_written() > MOST_MESSAGE) return er_fail(ER_S("the alert is larger than the 512 KB that PagerDuty accepts"));
    er_set(ER_S("content-type"), ER_S("application/json"));
    return er_send();
}
