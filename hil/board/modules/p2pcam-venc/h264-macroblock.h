/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two kinds of macroblocks that are written; see h264.h.
 */
#ifndef H264_MACROBLOCK_H
#define H264_MACROBLOCK_H

#include "h264-bits.h"
#include "h264.h"

/* Each macroblock takes at most this in the RBSP: I_PCM and its run of skips. */
#define H264_MB_MAX_BYTES (H264_PCM_BYTES + 16)
/* A macroblock of I_PCM with its type and alignment, for estimates. */
#define H264_EXACT_BITS (H264_PCM_BYTES * 8 + 20)

/*
 * Write mb_type and what follows it, and put what a decoder makes of it into
 * enc->mb. `inter`: in a P slice, where intra types have higher numbers.
 */
void h264_write_mosaic(struct h264_encoder *enc, struct h264_bits *bits,
		       u32 x, u32 y, bool inter, u32 qp);
void h264_write_exact(struct h264_encoder *enc, struct h264_bits *bits,
		      const struct h264_picture *picture, u32 x, u32 y, bool inter);

#endif
