// pattern.h: several paths with * in them, followed through an event at the same time. redact and pick share it.
//
// Every step of every path has a bit. A set of bits says which steps are to be taken next; walking into a member gives the set for its
// value. That takes one look at every member, however many patterns there are, and memory for one set per level.
#ifndef PATTERN_H
#define PATTERN_H

#include "event.h"

enum { MOST_STEPS = 1024, SET_WORDS = MOST_STEPS / 32 };

typedef struct {
    uint32_t word[SET_WORDS];
} step_set;

typedef struct {
    const step *of[MOST_STEPS];    // by bit
    uint16_t pattern[MOST_STEPS];  // which pattern the step belongs to
    bool last[MOST_STEPS];         // it is the pattern's last
    uint32_t count;
    uint32_t words; // of the sets that are in use
    step_set first;
} patterns;

static patterns all;

// set_add adds a step; one that may stand for nothing (**) adds the step behind it too.
static void set_add(step_set *s, uint32_t bit) {
    for (;; bit++) {
        s->word[bit / 32] |= 1u << bit % 32;
        if (all.of[bit]->kind != STEP_DEEP) return;
    }
}

// pattern_add adds a path as the pattern of that number. It returns why it is none, or NULL.
static const char *pattern_add(er_str text, uint16_t number) {
    path p;
    const char *bad = path_parse(&p, text, true);
    if (bad) return bad;
    if (p.steps[p.count - 1].kind == STEP_DEEP) return "a path cannot end with **: name what is below, or write *";
    if (all.count + p.count > MOST_STEPS) return "all paths together have more than 1024 steps";
    uint32_t begin = all.count;
    for (uint32_t i = 0; i < p.count; i++, all.count++) {
        all.of[all.count] = &p.steps[i];
        all.pattern[all.count] = number;
        all.last[all.count] = i + 1 == p.count;
    }
    set_add(&all.first, begin);
    all.words = (all.count + 31) / 32;
    return NULL;
}

enum { NO_PATTERN = -1 };

// patterns_into takes the steps in from that lead to the member (key, or index of an array when key is 0). The steps after them are in to.
// It returns the pattern that ends there, the first one when there are several, and says whether any goes on.
static int32_t patterns_into(const step_set *from, step_set *to, er_val key, int32_t index, bool *on) {
    int32_t ends = NO_PATTERN;
    *on = false;
    for (uint32_t w = 0; w < all.words; w++) to->word[w] = 0;
    for (uint32_t w = 0; w < all.words; w++) {
        for (uint32_t bits = from->word[w]; bits; bits &= bits - 1) {
            uint32_t bit = w * 32 + (uint32_t)__builtin_ctz(bits);
            if (!step_matches(all.of[bit], &event, key, index)) continue;
            if (all.last[bit]) {
                if (ends == NO_PATTERN || all.pattern[bit] < ends) ends = all.pattern[bit];
                continue;
            }
            *on = true;
            set_add(to, all.of[bit]->kind == STEP_DEEP ? bit : bit + 1);
        }
    }
    return ends;
}

// set_below takes memory for the set of the next level; whoever takes it releases it.
static step_set *set_below(void) { return er_alloc(all.words * sizeof(uint32_t)); }

#endif
