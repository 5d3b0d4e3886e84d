// teams: an event becomes an Adaptive Card for a Workflows webhook of Microsoft Teams.

#include "chat.h"

// Teams refuses messages above 28 KB. All texts of a card together get MOST_CARD bytes of JSON, so that what is ours always fits.
enum { MOST_MESSAGE = 28 * 1024, MOST_TITLE = 300, MOST_TEXT = 8000, MOST_NAME = 200, MOST_VALUE = 2000, MOST_CARD = 22000 };

static template title, message, footer;
static fields table;
static link target;
static json_template body, actions;
static er_str style;
static bool full_width;
static uint32_t left; // bytes that the texts of the card may still have

ER_EXPORT(init) int init(void) {
    if (!config_load()) return refuse_config(ER_S("config"), config.error);
    bool shown = config_get("text") || config_get("fields") || config_get("body");
    title = config_template("title", ER_S("{{type}}"));
    message = config_template("text", shown ? ER_S("") : ER_S("{{data}}"));
    footer = config_template("footer", ER_S(""));
    table = config_fields();
    target = config_link();
    body = json_template_of(config_get("body"), "body");
    actions = json_template_of(config_get("actions"), "actions");
    style = config_text("style", ER_S(""));
    full_width = config_bool("full_width", false);
    return templates_ready();
}

// json_size is how long s is as JSON.
static uint32_t json_size(er_str s) {
    uint32_t n = s.n;
    for (uint32_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        n += c < ' ' ? 5 : c == '"' || c == '\\';
    }
    return n;
}

// budgeted renders a text of the card, within what is left for all of them.
static er_str budgeted(const template *t, uint32_t limit) {
    if (left == 0) return (er_str){0};
    er_str s = template_render(t, markdown_escape, limit < left ? limit : left);
    if (json_size(s) > left) s = left < 6 ? (er_str){0} : template_render(t, markdown_escape, left / 6); // no character takes more than 6
    left -= json_size(s) < left ? json_size(s) : left;
    return s;
}

static void flag(const char *key) {
    er_json_key(er_s(key));
    er_json_write(ER_S("true"));
}

static void text_block(er_str s, const char *size, bool strong, bool subtle) {
    if (s.n == 0) return;
    er_json_open('{');
    json_member("type", ER_S("TextBlock"));
    json_member("text", s);
    json_member("size", er_s(size));
    if (strong) json_member("weight", ER_S("Bolder"));
    if (subtle) flag("isSubtle");
    flag("wrap");
    er_json_close('}');
}

// write_title puts the title on a coloured ground when a style is configured.
static void write_title(void) {
    er_str s = budgeted(&title, MOST_TITLE);
    if (s.n == 0) return;
    if (style.n) {
        er_json_open('{');
        json_member("type", ER_S("Container"));
        json_member("style", style);
        flag("bleed");
        er_json_key(ER_S("items"));
        er_json_open('[');
    }
    text_block(s, "Large", true, false);
    if (style.n) {
        er_json_close(']');
        er_json_close('}');
    }
}

static void write_facts(void) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < table.count; i++) {
        er_str name = budgeted(&table.list[i].name, MOST_NAME), value = budgeted(&table.list[i].value, MOST_VALUE);
        if (value.n == 0) continue;
        if (n++ == 0) {
            er_json_open('{');
            json_member("type", ER_S("FactSet"));
            er_json_key(ER_S("facts"));
            er_json_open('[');
        }
        er_json_open('{');
        er_json_key(ER_S("title"));
        er_json_string(name);
        json_member("value", value);
        er_json_close('}');
    }
    if (n) {
        er_json_close(']');
        er_json_close('}');
    }
}

static void write_actions(void) {
    if (actions.root) {
        er_json_key(ER_S("actions"));
        json_template_write(&actions, actions.root, NULL, false);
        return;
    }
    er_str url = url_of(&target.url), label = template_render(&target.label, NULL, 100);
    if (url.n == 0) return;
    er_json_key(ER_S("actions"));
    er_json_open('[');
    er_json_open('{');
    json_member("type", ER_S("Action.OpenUrl"));
    json_member("title", label.n ? label : ER_S("Open"));
    json_member("url", url);
    er_json_close('}');
    er_json_close(']');
}

static void write_card(void) {
    er_json_open('{');
    json_member("$schema", ER_S("http://adaptivecards.io/schemas/adaptive-card.json"));
    json_member("type", ER_S("AdaptiveCard"));
    json_member("version", ER_S("1.4"));
    if (full_width) {
        er_json_key(ER_S("msteams"));
        er_json_open('{');
        json_member("width", ER_S("Full"));
        er_json_close('}');
    }
    er_json_key(ER_S("body"));
    if (body.root) {
        json_template_write(&body, body.root, markdown_escape, false);
    } else {
        left = MOST_CARD;
        er_json_open('[');
        write_title();
        text_block(budgeted(&message, MOST_TEXT), "Default", false, false);
        write_facts();
        text_block(budgeted(&footer, MOST_TITLE), "Small", false, true);
        er_json_close(']');
    }
    write_actions();
    er_json_close('}');
}

ER_EXPORT(transform) int transform(void) {
    if (!event_load()) return ER_FAIL;
    er_json_open('{');
    json_member("type", ER_S("message"));
    er_json_key(ER_S("attachments"));
    er_json_open('[');
    er_json_open('{');
    json_member("contentType", ER_S("application/vnd.microsoft.card.adaptive"));
    er_json_key(ER_S("contentUrl"));
    er_json_write(ER_S("null"));
    er_json_key(ER_S("content"));
    write_card();
    er_json_close('}');
    er_json_close(']');
    er_json_close('}');
    if (er_written() > MOST_MESSAGE) return er_fail(ER_S("the card is larger than the 28 KB that Teams accepts"));
    er_set(ER_S("content-type"), ER_S("application/json"));
    return er_send();
}
