// slack: an event becomes a message for an incoming webhook of Slack, a text or Block Kit.

#include "chat.h"

// What Slack accepts, in characters.
enum { MOST_TEXT = 40000, MOST_SECTION = 3000, MOST_HEADER = 150, MOST_FIELD = 2000, FIELDS_PER_SECTION = 10 };

static template channel, username, icon_emoji, icon_url, message, title, footer;
static fields table;
static link target;
static json_template blocks;
static bool unfurl, layout; // layout: there is more than a text

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    channel = config_template("channel", ER_S(""));
    username = config_template("username", ER_S(""));
    icon_emoji = config_template("icon_emoji", ER_S(""));
    icon_url = config_template("icon_url", ER_S(""));
    layout = config_get("title") || config_get("fields") || config_get("link") || config_get("footer");
    bool shown = layout || config_get("blocks");
    message = config_template("text", shown ? ER_S("") : ER_S("*{{type}}*\n```{{data}}```"));
    title = config_template("title", ER_S(""));
    footer = config_template("footer", ER_S(""));
    table = config_fields();
    target = config_link();
    blocks = json_template_of(config_get("blocks"), "blocks");
    unfurl = config_bool("unfurl", false);
    return templates_ready();
}

// slack_escape is all that Slack asks for: nothing in angle brackets means that a value can neither link nor call anybody.
static er_str slack_escape(char c) {
    switch (c) {
    case '&': return ER_S("&amp;");
    case '<': return ER_S("&lt;");
    case '>': return ER_S("&gt;");
    }
    return (er_str){0};
}

static void text_object(const char *kind, er_str s) {
    er_json_open('{');
    json_member("type", er_s(kind));
    json_member("text", s);
    er_json_close('}');
}

static void section(er_str s) {
    er_json_open('{');
    json_member("type", ER_S("section"));
    er_json_key(ER_S("text"));
    text_object("mrkdwn", s);
    er_json_close('}');
}

static void close_fields(void) {
    er_json_close(']');
    er_json_close('}');
}

// write_fields writes sections of at most ten fields. A field without a value is left out.
static void write_fields(void) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < table.count; i++) {
        er_str name = template_render(&table.list[i].name, slack_escape, MOST_HEADER);
        er_str value = template_render(&table.list[i].value, slack_escape, MOST_FIELD - MOST_HEADER - 3);
        if (value.n == 0) continue;
        if (n % FIELDS_PER_SECTION == 0) {
            if (n) close_fields();
            er_json_open('{');
            json_member("type", ER_S("section"));
            er_json_key(ER_S("fields"));
            er_json_open('[');
        }
        n++;
        er_buf b = {0};
        if (name.n) {
            er_buf_char(&b, '*');
            er_buf_add(&b, name);
            er_buf_add(&b, ER_S("*\n"));
        }
        er_buf_add(&b, value);
        text_object("mrkdwn", er_buf_str(&b));
    }
    if (n) close_fields();
}

static void write_link(void) {
    er_str url = url_of(&target.url), label = template_render(&target.label, slack_escape, MOST_HEADER);
    if (url.n == 0) return;
    text b = {0};
    text_add(&b, ER_S("<"), NULL);
    text_add(&b, url, slack_escape);
    text_add(&b, ER_S("|"), NULL);
    text_add(&b, label.n ? label : ER_S("Open"), NULL);
    text_add(&b, ER_S(">"), NULL);
    section(er_buf_str(&b.b));
}

static void write_footer(void) {
    er_str s = template_render(&footer, slack_escape, MOST_FIELD);
    if (s.n == 0) return;
    er_json_open('{');
    json_member("type", ER_S("context"));
    er_json_key(ER_S("elements"));
    er_json_open('[');
    text_object("mrkdwn", s);
    er_json_close(']');
    er_json_close('}');
}

static void write_blocks(er_str heading, er_str body) {
    er_json_key(ER_S("blocks"));
    if (blocks.root) {
        json_template_write(&blocks, blocks.root, slack_escape, false);
        return;
    }
    er_json_open('[');
    if (heading.n) {
        er_json_open('{');
        json_member("type", ER_S("header"));
        er_json_key(ER_S("text"));
        text_object("plain_text", heading);
        er_json_close('}');
    }
    if (body.n) section(body);
    write_fields();
    write_link();
    write_footer();
    er_json_close(']');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    bool simple = !layout && !blocks.root;
    er_str body = template_render(&message, slack_escape, simple ? MOST_TEXT : MOST_SECTION);
    er_str heading = template_render(&title, NULL, MOST_HEADER);
    if (simple && body.n == 0) return empty_message();
    er_str fallback = body; // what notifications show
    if (fallback.n == 0) fallback = template_render(&title, slack_escape, MOST_HEADER);
    if (fallback.n == 0) fallback = event_known("type");
    er_json_open('{');
    json_member("channel", template_render(&channel, NULL, 0));
    json_member("username", template_render(&username, NULL, 80));
    json_member("icon_emoji", template_render(&icon_emoji, NULL, 0));
    json_member("icon_url", url_of(&icon_url));
    json_member("text", fallback);
    if (!simple) write_blocks(heading, body);
    if (!unfurl) {
        er_json_key(ER_S("unfurl_links"));
        er_json_write(ER_S("false"));
        er_json_key(ER_S("unfurl_media"));
        er_json_write(ER_S("false"));
    }
    er_json_close('}');
    er_set(ER_S("content-type"), ER_S("application/json"));
    return er_send();
}
