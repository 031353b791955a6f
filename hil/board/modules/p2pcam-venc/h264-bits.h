/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Writer of a raw byte sequence payload: bits, Exp-Golomb codes, samples.
 */
#ifndef H264_BITS_H
#define H264_BITS_H

#include "h264-port.h"

/* The owner sizes the buffer for the worst case; a write never checks. */
struct h264_bits {
	u8 *start;
	u8 *next;
	u64 pending;	/* the low `count` bits are not written yet */
	u32 count;
};

static inline void bits_init(struct h264_bits *b, u8 *buffer)
{
	b->start = buffer;
	b->next = buffer;
	b->pending = 0;
	b->count = 0;
}

/* The low `length` bits (0 to 32) of value; higher ones must be 0. */
static inline void bits_put(struct h264_bits *b, u32 value, u32 length)
{
	b->pending = b->pending << length | value;
	b->count += length;
	while (b->count >= 8) {
		b->count -= 8;
		*b->next++ = (u8)(b->pending >> b->count);
	}
}

/* ue(v): 9.1 */
static inline void bits_ue(struct h264_bits *b, u32 value)
{
	u32 length = fls(value + 1);

	bits_put(b, 0, length - 1);
	bits_put(b, value + 1, length);
}

/* se(v): 9.1.1 */
static inline void bits_se(struct h264_bits *b, s32 value)
{
	bits_ue(b, value > 0 ? 2 * (u32)value - 1 : 2 * (u32)-value);
}

static inline void bits_align_zero(struct h264_bits *b)
{
	if (b->count)
		bits_put(b, 0, 8 - b->count);
}

/* rbsp_trailing_bits(): 7.3.2.11 */
static inline void bits_trailing(struct h264_bits *b)
{
	bits_put(b, 1, 1);
	bits_align_zero(b);
}

/* Whole bytes; the writer must be aligned. */
static inline void bits_bytes(struct h264_bits *b, const u8 *bytes, u32 length)
{
	memcpy(b->next, bytes, length);
	b->next += length;
}

static inline u32 bits_written(const struct h264_bits *b)
{
	return (u32)(b->next - b->start) * 8 + b->count;
}

#endif
