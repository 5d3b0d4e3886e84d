// discord: an event becomes a message for a webhook of Discord, a text or an embed.

#include "chat.h"

// What Discord accepts, in characters.
enum {
    MOST_CONTENT = 2000, MOST_TITLE = 256, MOST_DESCRIPTION = 4096, MOST_FIELDS = 25, MOST_NAME = 256, MOST_VALUE = 1024, MOST_FOOTER = 2048,
    MOST_EMBED = 6000, // all texts of an embed together
};

static template content, username, avatar_url, thread_name, title, description, footer, image, thumbnail;
static fields table;
static link target;
static json_template embeds;
static int32_t color;
static bool embed, timestamp;
static escaper content_escape;
static uint32_t left; // characters that the embed may still have

static int32_t color_of(er_val v) {
    if (er_json_kind(&config, v) == '0') {
        int32_t n = 0; // up to 16777215, which is longer than an index may be
        er_str s = er_json_raw(&config, v);
        for (uint32_t i = 0; i < s.n && i < 8; i++)
            if (er_json_digit(s.p[i])) n = n * 10 + (s.p[i] - '0');
        return n;
    }
    er_str s = text_of(v, ER_S(""));
    if (s.n != 7 || s.p[0] != '#') return -1;
    int32_t high = er_json_hex((char[]){'0', '0', s.p[1], s.p[2]}), low = er_json_hex(s.p + 3);
    return high < 0 || low < 0 ? -1 : high << 16 | low;
}

// code_escape keeps a value inside a block of code.
static er_str code_escape(char c) { return c == '`' ? ER_S("\xcb\x8b") : (er_str){0}; }

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    embed = config_get("title") || config_get("description") || config_get("fields") || config_get("footer") || config_get("image") ||
            config_get("thumbnail") || config_get("color") || config_get("link");
    bool shown = embed || config_get("embeds");
    content_escape = config_get("text") || shown ? markdown_escape : code_escape;
    content = config_template("text", shown ? ER_S("") : ER_S("**{{type}}**\n```json\n{{data}}\n```"));
    username = config_template("username", ER_S(""));
    avatar_url = config_template("avatar_url", ER_S(""));
    thread_name = config_template("thread_name", ER_S(""));
    title = config_template("title", ER_S(""));
    description = config_template("description", ER_S(""));
    footer = config_template("footer", ER_S(""));
    image = config_template("image", ER_S(""));
    thumbnail = config_template("thumbnail", ER_S(""));
    table = config_fields();
    target = config_link();
    embeds = json_template_of(config_get("embeds"), "embeds");
    color = color_of(config_get("color"));
    timestamp = config_bool("timestamp", true);
    return templates_ready();
}

// budgeted renders a text of the embed, within what is left for all of them.
static er_str budgeted(const template *t, escaper escape, uint32_t limit) {
    if (left == 0) return (er_str){0};
    er_str s = template_render(t, escape, limit < left ? limit : left);
    uint32_t units = 0;
    for (uint32_t i = 0; i < s.n; i++) units += ((uint8_t)s.p[i] & 0xc0) != 0x80 ? 1 + ((uint8_t)s.p[i] >= 0xf0) : 0;
    left -= units < left ? units : left;
    return s;
}

static void write_fields(void) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < table.count && n < MOST_FIELDS; i++) {
        uint32_t before = left;
        er_str name = budgeted(&table.list[i].name, markdown_escape, MOST_NAME);
        er_str value = budgeted(&table.list[i].value, markdown_escape, MOST_VALUE);
        if (name.n == 0 || value.n == 0) { // Discord refuses one without the other
            left = before;
            continue;
        }
        if (n++ == 0) {
            er_json_key(ER_S("fields"));
            er_json_open('[');
        }
        er_json_open('{');
        json_member("name", name);
        json_member("value", value);
        er_json_key(ER_S("inline"));
        er_json_write(table.list[i].beside ? ER_S("true") : ER_S("false"));
        er_json_close('}');
    }
    if (n) er_json_close(']');
}

// write_object writes {"key": value} as the member name, unless value is empty.
static void write_object(const char *name, const char *key, er_str value) {
    if (value.n == 0) return;
    er_json_key(er_s(name));
    er_json_open('{');
    json_member(key, value);
    er_json_close('}');
}

static void number_member(const char *key, uint32_t n) {
    er_buf b = {0};
    number_add(&b, n);
    er_json_key(er_s(key));
    er_json_write(er_buf_str(&b));
}

static void write_embeds(void) {
    er_json_key(ER_S("embeds"));
    if (embeds.root) {
        json_template_write(&embeds, embeds.root, markdown_escape, false);
        return;
    }
    left = MOST_EMBED;
    er_str heading = budgeted(&title, markdown_escape, MOST_TITLE);
    er_str url = url_of(&target.url);
    if (heading.n == 0 && url.n) heading = budgeted(&target.label, markdown_escape, MOST_TITLE); // a link needs something to click on
    er_json_open('[');
    er_json_open('{');
    json_member("title", heading);
    json_member("url", url);
    json_member("description", budgeted(&description, markdown_escape, MOST_DESCRIPTION));
    if (color >= 0) number_member("color", (uint32_t)color);
    er_str foot = budgeted(&footer, NULL, MOST_FOOTER);
    write_fields();
    write_object("footer", "text", foot);
    write_object("image", "url", url_of(&image));
    write_object("thumbnail", "url", url_of(&thumbnail));
    if (timestamp) json_member("timestamp", event_known("time"));
    er_json_close('}');
    er_json_close(']');
}

// write_mentions: nobody is called, unless the configuration says who may be.
static void write_mentions(void) {
    er_val list = config_get("mentions");
    er_json_key(ER_S("allowed_mentions"));
    er_json_open('{');
    er_json_key(ER_S("parse"));
    er_json_open('[');
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v)) er_json_write(er_json_raw(&config, v));
    er_json_close(']');
    er_json_close('}');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    bool simple = !embed && !embeds.root;
    er_str body = template_render(&content, content_escape, MOST_CONTENT);
    if (simple && body.n == 0) return empty_message();
    er_json_open('{');
    json_member("username", template_render(&username, NULL, 80));
    json_member("avatar_url", url_of(&avatar_url));
    json_member("thread_name", template_render(&thread_name, NULL, 100));
    json_member("content", body);
    if (!simple) write_embeds();
    write_mentions();
    er_json_close('}');
    er_set(ER_S("content-type"), ER_S("application/json"));
    return er_send();
}
