/* events.h: a run's metrics as TensorBoard reads them: records of protocol buffers, each framed by
 * its length and masked CRC-32C sums (the TFRecord format).  What is appended here is written to a
 * file whose name contains "tfevents". */
#ifndef R1_EVENTS_H
#define R1_EVENTS_H

#include "store/store.h"

/* The record that every file begins with.  wall: seconds since 1970. */
void r1_events_begin(r1_buf *out, double wall);
/* A session goes on at `step`: what older files of the directory have of it and later steps is
 * void. */
void r1_events_resume(r1_buf *out, double wall, int64_t step);
/* The values of one step, as scalars. */
void r1_events_step(r1_buf *out, double wall, int64_t step, const r1_metric *m, int n);

/* CRC-32C (Castagnoli), as the frames have it before masking. */
uint32_t r1_events_crc(const void *data, size_t n);

#endif
