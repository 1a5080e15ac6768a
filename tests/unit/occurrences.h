/* occurrences.h: how often a word stands in a text that a test looks at. */
#ifndef R1_OCCURRENCES_H
#define R1_OCCURRENCES_H

#include <string.h>

static inline int occurrences(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word))
        n++;
    return n;
}

#endif
