/* backend.c: the table of backends. */
#include "compute/backend.h"

#include <string.h>

static const struct {
    const char *name;
    r1_status (*open)(int threads, r1_backend **out, r1_err *err);
} backends[] = {
    {"cpu", r1_cpu_open},
};

r1_status r1_backend_open(const char *name, int threads, r1_backend **out, r1_err *err)
{
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (!strcmp(name, backends[i].name))
            return backends[i].open(threads, out, err);
    return r1_fail(err, R1_EUNSUPPORTED, "backend: '%s' is not known; there is: cpu", name);
}

void r1_backend_close(r1_backend *b)
{
    if (b)
        b->ops->close(b);
}

const char *r1_backend_isa(const r1_backend *b)
{
    return b->isa;
}
