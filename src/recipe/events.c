/* events.c: the few messages of tensorflow/core/util/event.proto that scalars need; see events.h.
 *
 *     Event      1: double wall_time   2: int64 step   3: string file_version
 *                5: Summary summary    7: SessionLog session_log
 *     Summary    1: repeated Value     Value       1: string tag   2: float simple_value
 *     SessionLog 1: enum status, START = 1 */
#include "recipe/events.h"

#include <string.h>

enum { VARINT, DOUBLE, BYTES, FLOAT = 5 }; /* wire types */

/* ---- Protocol buffers -------------------------------------------------------------------- */

static void put_varint(r1_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        r1_buf_putc(b, (char)(v | 0x80));
    r1_buf_putc(b, (char)v);
}

static void put_key(r1_buf *b, int field, int wire)
{
    put_varint(b, (uint64_t)(field << 3 | wire));
}

static void put_little(r1_buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        r1_buf_putc(b, (char)(v >> 8 * i));
}

static void put_double(r1_buf *b, int field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_key(b, field, DOUBLE);
    put_little(b, bits, 8);
}

static void put_float(r1_buf *b, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_key(b, field, FLOAT);
    put_little(b, bits, 4);
}

static void put_bytes(r1_buf *b, int field, const void *p, size_t n)
{
    put_key(b, field, BYTES);
    put_varint(b, n);
    r1_buf_append(b, p, n);
}

/* ---- Frames ------------------------------------------------------------------------------ */

uint32_t r1_events_crc(const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* A sum over data that itself holds sums would be weak: the format rotates and adds. */
static uint32_t masked(const void *data, size_t n)
{
    uint32_t crc = r1_events_crc(data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

/* Take the event's bytes and append them as a record. */
static void frame(r1_buf *out, r1_buf *event)
{
    size_t at = out->len;
    put_little(out, event->len, 8);
    if (!out->full)
        put_little(out, masked(out->data + at, 8), 4);
    r1_buf_append(out, event->data, event->len);
    put_little(out, masked(event->data, event->len), 4);
    r1_buf_release(event);
}

static void open_event(r1_buf *event, double wall, int64_t step)
{
    r1_buf_init(event, 0);
    put_double(event, 1, wall);
    if (step == 0) /* a default is left out */
        return;
    put_key(event, 2, VARINT);
    put_varint(event, (uint64_t)step);
}

/* ---- Events ------------------------------------------------------------------------------ */

void r1_events_begin(r1_buf *out, double wall)
{
    static const char version[] = "brain.Event:2";
    r1_buf event;
    open_event(&event, wall, 0);
    put_bytes(&event, 3, version, sizeof version - 1);
    frame(out, &event);
}

void r1_events_resume(r1_buf *out, double wall, int64_t step)
{
    static const char start[] = {1 << 3 | VARINT, 1};
    r1_buf event;
    open_event(&event, wall, step);
    put_bytes(&event, 7, start, sizeof start);
    frame(out, &event);
}

void r1_events_step(r1_buf *out, double wall, int64_t step, const r1_metric *m, int n)
{
    r1_buf event, summary, value;
    open_event(&event, wall, step);
    r1_buf_init(&summary, 0);
    r1_buf_init(&value, 0);
    for (int i = 0; i < n; i++) {
        r1_buf_reset(&value);
        put_bytes(&value, 1, m[i].name, strlen(m[i].name));
        put_float(&value, 2, (float)m[i].value);
        put_bytes(&summary, 1, value.data, value.len);
    }
    put_bytes(&event, 5, summary.data, summary.len);
    r1_buf_release(&value);
    r1_buf_release(&summary);
    frame(out, &event);
}
