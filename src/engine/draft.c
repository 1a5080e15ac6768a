/* draft.c: see draft.h. */
#include "engine/draft.h"

enum {
    AGREE_MOST = 8,  /* tokens; places where more agree are equally good */
    FIRST = 2,       /* tokens of a first draft: a small stake */
    PAUSE_FIRST = 8, /* tokens without drafts after a failure */
    PAUSE_MOST = 256
};

int r1_draft_find(int32_t *ids, int n, int most)
{
    int best = 0, at = 0;
    for (int end = n - 1; end >= 2 && best < AGREE_MOST; end--) {
        /* ids[end-1] and ids[end-2] against the last two. */
        if (ids[end - 1] != ids[n - 1] || ids[end - 2] != ids[n - 2])
            continue;
        int agree = 2;
        while (agree < AGREE_MOST && agree < end && ids[end - 1 - agree] == ids[n - 1 - agree])
            agree++;
        if (agree > best) {
            best = agree;
            at = end;
        }
    }
    if (best == 0)
        return 0;
    for (int i = 0; i < most; i++) /* may run into the draft itself: a repeated piece goes on */
        ids[n + i] = ids[at + i];
    return best;
}

int r1_draft_plan(r1_draft *d)
{
    if (d->len == 0)
        *d = (r1_draft){.len = FIRST, .pause = PAUSE_FIRST};
    if (d->wait > 0) {
        d->wait--;
        return 0;
    }
    return d->len;
}

void r1_draft_learn(r1_draft *d, int drafted, int right)
{
    if (right == drafted) {
        d->len = 2 * d->len < R1_DRAFT_MOST ? 2 * d->len : R1_DRAFT_MOST;
        d->pause = PAUSE_FIRST;
    } else if (2 * right >= drafted) {
        d->len = right + 1;
    } else {
        d->len = FIRST;
        d->wait = d->pause;
        d->pause = 2 * d->pause < PAUSE_MOST ? 2 * d->pause : PAUSE_MOST;
    }
}
