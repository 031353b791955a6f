/* SPDX-License-Identifier: GPL-2.0 */
/*
 * CAVLC of residual blocks (ITU-T H.264, 9.2, read backwards).
 */
#ifndef H264_CAVLC_H
#define H264_CAVLC_H

#include "h264-bits.h"

/* In place of nC: the four DC coefficients of one colour. */
#define H264_NC_CHROMA_DC (-1)

/*
 * Writes residual_block_cavlc() of `count` levels (16, or 4 of chroma DC) in
 * scan order. nC is 0, or 8 and more beside I_PCM: blocks without AC
 * coefficients give their neighbours no other.
 */
void h264_residual(struct h264_bits *bits, const s32 *level, int count, int nc);

#endif
