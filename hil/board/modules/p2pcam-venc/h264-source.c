// SPDX-License-Identifier: GPL-2.0
/*
 * Samples of a macroblock out of a picture of any layout.
 *
 * Sums are taken of eight bytes at once: every second byte is masked into a
 * lane of 16 bits, where 64 samples have room.
 */
#include "h264-source.h"

#define EVEN_BYTES 0x00ff00ff00ff00ffULL

static inline u64 even(u64 bytes)
{
	return bytes & EVEN_BYTES;
}

static inline u64 odd(u64 bytes)
{
	return bytes >> 8 & EVEN_BYTES;
}

static inline u16 lane(u64 lanes, int i)
{
	return (u16)(lanes >> (16 * i));
}

static inline u16 all_lanes(u64 lanes)
{
	return lane(lanes, 0) + lane(lanes, 1) + lane(lanes, 2) + lane(lanes, 3);
}

/* Below the lowest row it goes on as it was: the decoder crops that. */
static inline u32 row_in(const struct h264_picture *p, u32 row)
{
	return min_t(u32, row, p->height - 1);
}

static inline const u8 *luma_row(const struct h264_picture *p, u32 row)
{
	return p->data + (size_t)row_in(p, row) * p->stride;
}

static inline u32 chroma_row_in(const struct h264_picture *p, u32 row)
{
	return min_t(u32, row, p->height / 2 - 1);
}

/* A row of Cb (0) or Cr (1) of I420. */
static inline const u8 *planar_row(const struct h264_picture *p, int c, u32 row)
{
	u32 stride = p->stride / 2;

	return p->data + (size_t)p->plane_rows * p->stride +
	       (size_t)c * (p->plane_rows / 2) * stride +
	       (size_t)chroma_row_in(p, row) * stride;
}

/* A row of Cb and Cr in turn of NV12. */
static inline const u8 *paired_row(const struct h264_picture *p, u32 row)
{
	return p->data + (size_t)(p->plane_rows + chroma_row_in(p, row)) * p->stride;
}

/* Two blocks side by side, four rows of eight samples each. */
static void planar_pair(const u8 *const row[4], u32 offset, u16 *sum)
{
	u64 lanes = 0;
	int i;

	for (i = 0; i < 4; i++) {
		u64 bytes = get_unaligned_le64(row[i] + offset);

		lanes += even(bytes) + odd(bytes);
	}
	sum[0] = lane(lanes, 0) + lane(lanes, 1);
	sum[1] = lane(lanes, 2) + lane(lanes, 3);
}

static void luma_sums(const struct h264_picture *p, u32 x, u32 y, u16 *sum)
{
	int band, i;

	for (band = 0; band < 4; band++) {
		const u8 *row[4];

		for (i = 0; i < 4; i++)
			row[i] = luma_row(p, y * 16 + band * 4 + i);
		planar_pair(row, x * 16, sum + band * 4);
		planar_pair(row, x * 16 + 8, sum + band * 4 + 2);
	}
}

static void planar_chroma_sums(const struct h264_picture *p, u32 x, u32 y,
			       u16 *sum)
{
	int c, band, i;

	for (c = 0; c < 2; c++) {
		for (band = 0; band < 2; band++) {
			const u8 *row[4];

			for (i = 0; i < 4; i++)
				row[i] = planar_row(p, c, y * 8 + band * 4 + i);
			planar_pair(row, x * 8, sum + c * 4 + band * 2);
		}
	}
}

static void paired_chroma_sums(const struct h264_picture *p, u32 x, u32 y,
			       u16 *sum)
{
	int band, half, i;

	for (band = 0; band < 2; band++) {
		for (half = 0; half < 2; half++) {
			u64 cb = 0, cr = 0;

			for (i = 0; i < 4; i++) {
				const u8 *row = paired_row(p, y * 8 + band * 4 + i);
				u64 bytes = get_unaligned_le64(row + x * 16 + half * 8);

				cb += even(bytes);
				cr += odd(bytes);
			}
			sum[band * 2 + half] = all_lanes(cb);
			sum[4 + band * 2 + half] = all_lanes(cr);
		}
	}
}

static void packed_sums(const struct h264_picture *p, u32 x, u32 y, u16 *sum)
{
	u32 chroma[8] = { 0 };
	int band, column, i;

	for (band = 0; band < 4; band++) {
		for (column = 0; column < 4; column++) {
			u64 luma = 0, colour = 0;
			int block = band / 2 * 2 + column / 2;

			for (i = 0; i < 4; i++) {
				const u8 *row = luma_row(p, y * 16 + band * 4 + i);
				u64 bytes = get_unaligned_le64(row + x * 32 + column * 8);

				luma += even(bytes);
				colour += odd(bytes);
			}
			sum[band * 4 + column] = all_lanes(luma);
			chroma[block] += lane(colour, 0) + lane(colour, 2);
			chroma[4 + block] += lane(colour, 1) + lane(colour, 3);
		}
	}
	/* 4:2:2 has twice as many samples of colour as 4:2:0. */
	for (i = 0; i < 8; i++)
		sum[H264_LUMA_BLOCKS + i] = chroma[i] / 2;
}

void h264_source_sums(const struct h264_picture *picture, u32 x, u32 y,
		      u16 sum[H264_BLOCKS])
{
	switch (picture->layout) {
	case H264_I420:
		luma_sums(picture, x, y, sum);
		planar_chroma_sums(picture, x, y, sum + H264_LUMA_BLOCKS);
		break;
	case H264_NV12:
		luma_sums(picture, x, y, sum);
		paired_chroma_sums(picture, x, y, sum + H264_LUMA_BLOCKS);
		break;
	case H264_YUYV:
		packed_sums(picture, x, y, sum);
		break;
	}
}

static void packed_samples(const struct h264_picture *p, u32 x, u32 y, u8 *sample)
{
	u8 *cb = sample + 256, *cr = sample + 320;
	int row, i;

	for (row = 0; row < 16; row++) {
		const u8 *from = luma_row(p, y * 16 + row) + x * 32;

		for (i = 0; i < 16; i++)
			*sample++ = from[i * 2];
	}
	for (row = 0; row < 8; row++) {
		const u8 *upper = luma_row(p, y * 16 + row * 2) + x * 32;
		const u8 *lower = luma_row(p, y * 16 + row * 2 + 1) + x * 32;

		for (i = 0; i < 8; i++) {
			*cb++ = (upper[i * 4 + 1] + lower[i * 4 + 1] + 1) / 2;
			*cr++ = (upper[i * 4 + 3] + lower[i * 4 + 3] + 1) / 2;
		}
	}
}

void h264_source_samples(const struct h264_picture *picture, u32 x, u32 y,
			 u8 sample[H264_PCM_BYTES])
{
	u8 *cb = sample + 256, *cr = sample + 320;
	int row, i;

	if (picture->layout == H264_YUYV) {
		packed_samples(picture, x, y, sample);
		return;
	}
	for (row = 0; row < 16; row++)
		memcpy(sample + row * 16, luma_row(picture, y * 16 + row) + x * 16, 16);
	for (row = 0; row < 8; row++) {
		if (picture->layout == H264_I420) {
			memcpy(cb + row * 8, planar_row(picture, 0, y * 8 + row) + x * 8, 8);
			memcpy(cr + row * 8, planar_row(picture, 1, y * 8 + row) + x * 8, 8);
		} else {
			const u8 *from = paired_row(picture, y * 8 + row) + x * 16;

			for (i = 0; i < 8; i++) {
				cb[row * 8 + i] = from[i * 2];
				cr[row * 8 + i] = from[i * 2 + 1];
			}
		}
	}
}
