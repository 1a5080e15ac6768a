/* reflect.c: see reflect.h.  A phrase is found in lower case, at the edges of words; the longest
 * one at a place counts, and no letter counts twice. */
#include "recipe/reflect.h"

#include <stdlib.h>
#include <string.h>

#include "verify/language.h"

/* What a phrase is a sign of. */
enum { REFLECTS = 1, CHECKS = 2, REFUTES = 4, BEGINS = 8 };

/* Longer phrases stand before those that they begin with. */
static const struct {
    const char *text;
    int signs;
} phrases[] = {
    {"let me double-check", REFLECTS | CHECKS},
    {"let me double check", REFLECTS | CHECKS},
    {"let me check", REFLECTS | CHECKS},
    {"let me verify", REFLECTS | CHECKS},
    {"let me recheck", REFLECTS | CHECKS},
    {"let's check", REFLECTS | CHECKS},
    {"let's verify", REFLECTS | CHECKS},
    {"to verify", REFLECTS | CHECKS},
    {"double-check", REFLECTS | CHECKS},
    {"double check", REFLECTS | CHECKS},
    {"check again", REFLECTS | CHECKS},
    {"verify again", REFLECTS | CHECKS},
    {"go over the steps", REFLECTS | CHECKS},
    {"recheck", REFLECTS | CHECKS},
    {"re-check", REFLECTS | CHECKS},
    {"re-examine", REFLECTS | CHECKS},
    {"reexamine", REFLECTS | CHECKS},
    {"rethink", REFLECTS},
    {"reassess", REFLECTS},
    {"reevaluate", REFLECTS},
    {"re-evaluate", REFLECTS},
    {"reconsider", REFLECTS},
    {"reanalyze", REFLECTS},
    {"think again", REFLECTS},
    {"on second thought", REFLECTS | REFUTES},
    {"wait", REFLECTS | REFUTES},
    {"hmm", REFLECTS},
    {"actually", REFLECTS},
    {"however", REFLECTS},
    {"i made a mistake", REFLECTS | REFUTES},
    {"mistake", REFLECTS | REFUTES},
    {"that's not right", REFLECTS | REFUTES},
    {"that is not right", REFLECTS | REFUTES},
    {"that's wrong", REFLECTS | REFUTES},
    {"that is wrong", REFLECTS | REFUTES},
    {"not correct", REFUTES},
    {"incorrect", REFUTES},
    {"doesn't work", REFUTES},
    {"does not work", REFUTES},
    {"let me try again", REFLECTS | BEGINS},
    {"let's try again", REFLECTS | BEGINS},
    {"let me start over", REFLECTS | BEGINS},
    {"let's start over", REFLECTS | BEGINS},
    {"let me try", REFLECTS | BEGINS},
    {"let's try", BEGINS},
    {"try again", REFLECTS | BEGINS},
    {"start over", REFLECTS | BEGINS},
    {"try another", REFLECTS | BEGINS},
    {"another approach", REFLECTS | BEGINS},
    {"another way", REFLECTS | BEGINS},
    {"different approach", REFLECTS | BEGINS},
    {"alternatively", REFLECTS | BEGINS},
    {"instead", BEGINS},
};
enum { N_PHRASES = sizeof phrases / sizeof *phrases };

const char *r1_reflect_phrase(int i)
{
    return i >= 0 && i < N_PHRASES ? phrases[i].text : NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_letter(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* The length in the text of a phrase that begins at p, or 0.  A typographic apostrophe is one. */
static size_t found(const char *p, const char *end, const char *phrase)
{
    static const char apostrophe[] = "\xE2\x80\x99";
    const char *at = p;
    for (; *phrase; phrase++) {
        if (*phrase == '\'' && end - at >= 3 && memcmp(at, apostrophe, 3) == 0)
            at += 3;
        else if (at < end && lower(*at) == *phrase)
            at++;
        else
            return 0;
    }
    return at < end && is_letter(*at) ? 0 : (size_t)(at - p);
}

/* The thought, or all of the text when there is none. */
static void thought(const char **text, size_t *len)
{
    static const char open[] = "<think>", close[] = "</think>";
    const char *begin = *text, *end = begin + *len;
    const char *at = *len ? memmem(begin, *len, open, sizeof open - 1) : NULL;
    if (at)
        begin = at + sizeof open - 1;
    const char *last = NULL;
    for (at = begin;
         at < end && (at = memmem(at, (size_t)(end - at), close, sizeof close - 1)) != NULL;
         at++)
        last = at;
    *text = begin;
    *len = (size_t)((last ? last : end) - begin);
}

/* The main language is English when half of the words are, else the one with the most words. */
static void read_languages(const char *text, size_t len, r1_reflect_marks *out)
{
    r1_language_count c = {0};
    r1_language_measure("en", text, len, &c);
    int64_t most = c.wanted;
    out->words = c.words;
    for (int i = 0; 2 * most < c.words && r1_language_at(i); i++) {
        r1_language_count other = {0};
        if (r1_language_measure(r1_language_at(i), text, len, &other) && other.wanted > most)
            most = other.wanted;
    }
    out->foreign = c.words - most;
}

void r1_reflect_read(const char *text, size_t len, r1_reflect_marks *out)
{
    *out = (r1_reflect_marks){.attempts = 1};
    thought(&text, &len);
    const char *end = text + len;
    bool refuted = false, edge = true;
    for (const char *p = text; p < end;) {
        size_t n = 0;
        int i = 0;
        for (; edge && i < N_PHRASES && n == 0; i++)
            n = found(p, end, phrases[i].text);
        if (n == 0) {
            edge = !is_letter(*p++);
            continue;
        }
        const int signs = phrases[i - 1].signs;
        out->reflections += (signs & REFLECTS) != 0;
        out->checks += (signs & CHECKS) != 0;
        out->attempts += (signs & BEGINS) != 0;
        out->backtracks |= refuted && (signs & BEGINS);
        refuted |= (signs & REFUTES) != 0;
        p += n;
        edge = false;
    }
    read_languages(text, len, out);
}

/* ---- Repetition -------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double r1_reflect_repetition(const char *text, size_t len, int n)
{
    uint64_t h = 0;
    bool inside = false;
    r1_buf words; /* their hashes */
    r1_buf_init(&words, 0);
    for (size_t i = 0; i <= len; i++) {
        char c = i < len ? text[i] : ' ';
        bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
        if (!blank && !inside)
            h = 0xcbf29ce484222325;
        if (!blank) /* FNV-1a */
            h = (h ^ (unsigned char)lower(c)) * 0x100000001b3;
        else if (inside)
            r1_buf_append(&words, &h, sizeof h);
        inside = !blank;
    }
    int64_t count = (int64_t)(words.len / sizeof h) - n + 1, different = 0;
    if (count < 1 || words.full) {
        r1_buf_release(&words);
        return 0;
    }
    uint64_t *w = R1_NEW_N(uint64_t, (size_t)(count + n));
    memcpy(w, words.data, words.len);
    for (int64_t i = 0; i < count; i++) { /* a run's hash takes the place of its first word's */
        uint64_t run = 0;
        for (int k = 0; k < n; k++)
            run = (run ^ w[i + k]) * 0x9e3779b97f4a7c15 + (run >> 29);
        w[i] = run;
    }
    qsort(w, (size_t)count, sizeof *w, by_value);
    for (int64_t i = 0; i < count; i++)
        different += i == 0 || w[i] != w[i - 1];
    r1_mem_free(w);
    r1_buf_release(&words);
    return 1 - (double)different / (double)count;
}
