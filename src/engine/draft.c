/* draft.c: see draft.h. */
#include "engine/draft.h"

enum {
    AGREE_MOST = 8, /* tokens; places where more agree are equally good */
    SHORT = 4,      /* tokens of a draft while less than half are right */
    PROBE = 2,      /* tokens of a draft after a pause: a small stake */
    PAUSE_FIRST = 8,
    PAUSE_MOST = 256
};

/* Shares of drafted tokens that are right.  A row more costs a sixth of a step of one row where
 * memory is the limit: drafts lose below that. */
static const float at_first = 0.5f, good = 0.4f, bad = 0.15f;

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
    if (d->pause == 0)
        *d = (r1_draft){.right = at_first, .pause = PAUSE_FIRST};
    if (d->wait > 0) {
        d->wait--;
        return 0;
    }
    return d->right >= good ? R1_DRAFT_MOST : d->right >= bad ? SHORT : PROBE;
}

void r1_draft_learn(r1_draft *d, int drafted, int right)
{
    float share = (float)right / (float)drafted;
    bool probe = d->right < bad;
    d->right = probe ? share : d->right + 0.3f * (share - d->right);
    if (d->right >= bad) {
        d->pause = PAUSE_FIRST;
        return;
    }
    d->wait = d->pause;
    d->pause = 2 * d->pause < PAUSE_MOST ? 2 * d->pause : PAUSE_MOST;
}
