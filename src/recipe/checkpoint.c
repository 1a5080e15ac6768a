/* checkpoint.c: see checkpoint.h. */
#include "recipe/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "model/model.h"

typedef struct {
    int64_t run, step;
    char path[4200];
} place;

void r1_checkpoint_path(const char *dir, int64_t step, char *out, size_t size)
{
    snprintf(out, size, "%s/step-%08lld", dir, (long long)step);
}

static int newest_first(const void *a, const void *b)
{
    const place *x = a, *y = b;
    if (x->run != y->run)
        return x->run < y->run ? 1 : -1;
    return (x->step < y->step) - (x->step > y->step);
}

static bool read_place(const char *dir, const char *name, place *p)
{
    char state[4300];
    json_t *v;
    if (!r1_model_checkpoint(name, &p->step))
        return false;
    snprintf(p->path, sizeof p->path, "%s/%s", dir, name);
    snprintf(state, sizeof state, "%s/state.json", p->path);
    p->run = -1; /* what cannot be read is the last choice; who chooses it is told why */
    if (!r1_os_exists(state))
        return false;
    if (r1_json_load(state, 1 << 24, &v, NULL) != R1_OK)
        return true;
    r1_json_int_opt(v, state, "run", 0, INT64_MAX, &p->run, NULL);
    json_decref(v);
    return true;
}

/* All checkpoints of dir, r1_mem_free. */
static place *list(const char *dir, int *n)
{
    char **names;
    size_t n_names;
    *n = 0;
    if (r1_os_list_dir(dir, &names, &n_names, NULL) != R1_OK)
        return NULL;
    place *p = R1_NEW_N(place, n_names + 1);
    for (size_t i = 0; i < n_names; i++) {
        *n += read_place(dir, names[i], &p[*n]);
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    qsort(p, (size_t)*n, sizeof *p, newest_first);
    return p;
}

r1_status r1_checkpoint_newest(const char *dir, char *out, size_t size, r1_err *err)
{
    int n;
    place *p = list(dir, &n);
    if (n)
        snprintf(out, size, "%s", p[0].path);
    r1_mem_free(p);
    return n ? R1_OK : r1_fail(err, R1_EIO, "%s: there is no checkpoint to resume from", dir);
}

void r1_checkpoint_prune(const char *dir, int64_t run, int keep)
{
    int n, own = 0;
    place *p = list(dir, &n);
    for (int i = 0; i < n; i++)
        if (p[i].run != run || ++own > (keep > 1 ? keep : 1))
            (void)r1_os_dir_remove(p[i].path, NULL);
    r1_mem_free(p);
}
