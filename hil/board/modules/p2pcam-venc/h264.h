/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small H.264 encoder for testing: what the driver sees of it.
 *
 * It is made to be cheap (it runs inside an emulated CPU) and to meet a bit
 * rate, not to be good. A picture is built of three kinds of macroblocks:
 *
 *   mosaic  Intra_16x16, DC prediction, DC coefficients only: each 4x4 block
 *           has one luma value, each quarter of the macroblock one colour.
 *           About 10 to 60 bits. A picture of these resembles its input as
 *           seen through a coarse screen.
 *   exact   I_PCM, the input's own samples, 3072 bits and a few.
 *   skip    P_Skip: as in the picture before; less than a bit.
 *
 * An IDR is all mosaic. In a P picture macroblocks whose 4x4 means changed
 * become mosaic, those that changed most or longest ago first, as far as the
 * picture's budget goes; what is left of the budget makes macroblocks exact,
 * in turn, changed or not, so that also a still picture is refreshed and the
 * stream keeps its rate. The quantiser follows the demand.
 *
 * There is no motion, no deblocking and one slice a picture, so that the
 * encoder knows the decoder's samples without decoding: all it needs of a
 * macroblock are 24 values and the sums along two edges.
 */
#ifndef H264_H
#define H264_H

#include "h264-port.h"

/* Luma blocks of a macroblock, in raster order; then 4 of Cb, 4 of Cr. */
#define H264_LUMA_BLOCKS 16
#define H264_BLOCKS 24
#define H264_PCM_BYTES 384
/* QP 51 is the coarsest there is (7.4.2.2). */
#define H264_MAX_QP 51
/*
 * The finest that the encoder uses. Level codes stay below the escape that
 * only high profiles know, and finer is beyond what 4x4 means can show.
 */
#define H264_MIN_QP 16

enum h264_layout {
	H264_I420,	/* planes Y, Cb, Cr; chroma rows of half the stride */
	H264_NV12,	/* plane Y, plane of Cb and Cr in turn */
	H264_YUYV,	/* Y Cb Y Cr */
};

/* A picture to be encoded. Rows hold whole macroblocks, also if width does not. */
struct h264_picture {
	enum h264_layout layout;
	const u8 *data;
	u32 stride;		/* bytes of a row of luma */
	u32 plane_rows;		/* rows between the start of Y and of chroma */
	u32 height;		/* rows that are to be seen, even */
};

struct h264_params {
	u8 profile_idc;		/* 66, 77 or 100 */
	u8 constraint_flags;	/* constraint_set0_flag is the highest bit */
	u8 level_idc;		/* ten times the level, 9 for 1b above baseline */
	u8 min_qp;
	u8 max_qp;
	u32 bitrate;		/* bits in a second */
	u32 rate_num;		/* pictures in a second: rate_num / rate_den */
	u32 rate_den;
	bool repeat_headers;	/* SPS and PPS before each IDR, not only the first */
};

/* What the encoder remembers of a macroblock of the last decoded picture. */
struct h264_mb {
	u16 sum[H264_BLOCKS];	/* of the samples of each 4x4 block */
	u16 bottom_luma;	/* of the lowest row, of the rightmost column */
	u16 right_luma;
	u16 bottom_chroma[2][2];
	u16 right_chroma[2][2];
	u8 age;			/* pictures since it changed and was left out */
};

struct h264_encoder {
	u32 width;		/* to be seen, even */
	u32 height;
	u32 mb_width;
	u32 mb_height;
	struct h264_mb *mb;
	u16 (*now)[H264_BLOCKS];	/* sums of the picture at hand */
	u8 *weight;		/* how urgent each macroblock is, 0: not at all */
	u8 *exact;		/* coded as I_PCM in the picture at hand */
	u8 *rbsp;
	u32 turn;		/* macroblock whose turn it is to become exact */
	bool started;
	u8 frame_num;
	u16 idr_pic_id;
	u8 qp;
	u32 mosaic_bits;	/* mean bits of a mosaic macroblock, times 16 */
	s64 balance;		/* bits that were not used (or, below 0, overdrawn) */
};

struct h264_output {
	u32 bytes;
	bool idr;
	bool overflow;		/* the buffer was too small: the rest is cut off */
};

int h264_init(struct h264_encoder *enc, u32 width, u32 height);
void h264_release(struct h264_encoder *enc);

/* Encodes a picture, as an IDR if it is the first or if `idr`. */
struct h264_output h264_encode(struct h264_encoder *enc,
			       const struct h264_params *params,
			       const struct h264_picture *picture, bool idr,
			       u8 *buffer, u32 size);

/* Writes filler data (7.3.2.7) of exactly `bytes` bytes, or nothing if too few. */
u32 h264_filler(u8 *buffer, u32 size, u32 bytes);

#endif
