/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks, as plain integers. Steps of logic take the time as an argument; only loops call
 * these. */
#ifndef SALLYPORT_BASE_CLOCK_H
#define SALLYPORT_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_real_ns(void); /* CLOCK_REALTIME since 1970 */
uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME */
uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC, for deadlines */
/* "2026-03-02T10:00:00Z" and with nanoseconds ".123456789Z"; out has room for CLOCK_TEXT bytes. */
#define CLOCK_TEXT 32
const char *clock_iso(char out[CLOCK_TEXT], uint64_t real_ns);
const char *clock_iso_seconds(char out[CLOCK_TEXT], uint64_t real_ns);

#endif
