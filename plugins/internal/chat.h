// chat.h: what the messages of Slack, Discord and Teams have in common.
#ifndef CHAT_H
#define CHAT_H

#include "template.h"

// field is one line of a table of names and values.
typedef struct {
    template name, value;
    bool beside; // may stand beside another one
} field;

typedef struct {
    field *list;
    uint32_t count;
} fields;

static ER_NOINLINE fields config_fields(void) {
    er_val list = config_get("fields");
    fields f = {er_alloc(count_of(&config, list) * sizeof(field)), 0};
    for (er_val v = er_json_first(&config, list); v; v = er_json_next(&config, list, v)) {
        field *one = &f.list[f.count++];
        one->name = template_of(er_json_get(&config, v, ER_S("name")), ER_S(""), "fields[].name");
        one->value = template_of(er_json_get(&config, v, ER_S("value")), ER_S(""), "fields[].value");
        one->beside = bool_of(er_json_get(&config, v, ER_S("inline")), true);
    }
    return f;
}

// link leads from the message to a page.
typedef struct {
    template label, url;
} link;

static ER_NOINLINE link config_link(void) {
    er_val v = config_get("link");
    return (link){template_of(er_json_get(&config, v, ER_S("text")), ER_S("Open"), "link.text"),
                  template_of(er_json_get(&config, v, ER_S("url")), ER_S(""), "link.url")};
}

// url_escape replaces what cannot stand in an address; & and % do.
static er_str url_escape(char c) {
    switch (c) {
    case ' ': return ER_S("%20");
    case '"': return ER_S("%22");
    case '<': return ER_S("%3C");
    case '>': return ER_S("%3E");
    case '|': return ER_S("%7C");
    case '\\': return ER_S("%5C");
    case '`': return ER_S("%60");
    }
    return (er_str){0};
}

// url_of renders an address. Whatever is not one of the web is as if it were not there: the services refuse the message otherwise.
static ER_NOINLINE er_str url_of(const template *t) {
    er_str url = template_render(t, NULL, 0);
    if (url.n > 2000 || (!starts(url, 0, "https://") && !starts(url, 0, "http://"))) return (er_str){0};
    for (uint32_t i = 0; i < url.n; i++)
        if ((uint8_t)url.p[i] < ' ') return (er_str){0};
    text out = {0};
    text_add(&out, url, url_escape);
    return er_buf_str(&out.b);
}

// markdown_escape takes the meaning from what formats, links or quotes.
static er_str markdown_escape(char c) {
    switch (c) {
    case '\\': return ER_S("\\\\");
    case '*': return ER_S("\\*");
    case '_': return ER_S("\\_");
    case '~': return ER_S("\\~");
    case '`': return ER_S("\\`");
    case '|': return ER_S("\\|");
    case '[': return ER_S("\\[");
    case ']': return ER_S("\\]");
    case '<': return ER_S("\\<");
    case '>': return ER_S("\\>");
    case '#': return ER_S("\\#");
    }
    return (er_str){0};
}

static int empty_message(void) { return er_fail(ER_S("the message would be empty: none of its values is in the event")); }

#endif
