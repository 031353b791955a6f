/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Samples of a macroblock out of a picture of any layout.
 */
#ifndef H264_SOURCE_H
#define H264_SOURCE_H

#include "h264.h"

/* Sums of the 4x4 blocks of macroblock (x, y). */
void h264_source_sums(const struct h264_picture *picture, u32 x, u32 y,
		      u16 sum[H264_BLOCKS]);

/* The samples in the order of I_PCM: 256 of luma, 64 of Cb, 64 of Cr. */
void h264_source_samples(const struct h264_picture *picture, u32 x, u32 y,
			 u8 sample[H264_PCM_BYTES]);

#endif
