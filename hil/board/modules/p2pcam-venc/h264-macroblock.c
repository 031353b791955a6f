// SPDX-License-Identifier: GPL-2.0
/*
 * The two kinds of macroblocks that are written; see h264.h.
 *
 * Numbers of clauses, tables and equations are those of ITU-T H.264.
 */
#include "h264-cavlc.h"
#include "h264-macroblock.h"
#include "h264-source.h"

/* Intra types in a P slice follow its own five (Table 7-13). */
#define INTER_TYPES 5
/* I_16x16_2_x_0 (Table 7-11): DC prediction, no AC; 4 more with chroma DC. */
#define TYPE_MOSAIC 3
#define TYPE_WITH_CHROMA 4
#define TYPE_I_PCM 25
/* What I_PCM counts as in the nC of its neighbours (9.2.1). */
#define PCM_COEFFICIENTS 16
#define NOTHING_NEAR 128	/* prediction without neighbours, 8 bits */

/* normAdjust of position (0, 0), equation 8-315, and its forward inverse. */
static const u8 dequantise[6] = { 10, 11, 13, 14, 16, 18 };
static const u16 quantise[6] = { 13107, 11916, 10082, 9362, 8192, 7282 };

/* Zig-zag scan of a 4x4 matrix (Table 8-13). */
static const u8 zigzag[16] = {
	0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15
};

/* QPc from QPy above 29 (Table 8-15). */
static const u8 chroma_qp_above_29[22] = {
	29, 30, 31, 32, 32, 33, 34, 34, 35, 35, 36,
	36, 37, 37, 37, 38, 38, 38, 39, 39, 39, 39
};

/* The neighbours that prediction looks at; NULL at the picture's edge. */
struct near {
	const struct h264_mb *left;
	const struct h264_mb *top;
};

static struct near near_of(const struct h264_encoder *enc, u32 x, u32 y)
{
	const struct h264_mb *mb = enc->mb + y * enc->mb_width + x;
	struct near near = {
		.left = x ? mb - 1 : NULL,
		.top = y ? mb - enc->mb_width : NULL,
	};

	return near;
}

/* nC of the luma DC block: 9.2.1 */
static int luma_nc(const struct h264_encoder *enc, u32 x, u32 y)
{
	const u8 *exact = enc->exact + y * enc->mb_width + x;
	int left = x && exact[-1] ? PCM_COEFFICIENTS : 0;
	int top = y && *(exact - enc->mb_width) ? PCM_COEFFICIENTS : 0;

	return x && y ? (left + top + 1) / 2 : left + top;
}

/* Intra_16x16_DC: 8.3.3.3 */
static s32 predict_luma(struct near near)
{
	if (near.left && near.top)
		return (near.left->right_luma + near.top->bottom_luma + 16) >> 5;
	if (near.left)
		return (near.left->right_luma + 8) >> 4;
	if (near.top)
		return (near.top->bottom_luma + 8) >> 4;
	return NOTHING_NEAR;
}

/* Intra chroma DC: 8.3.4.1 to 8.3.4.3. Blocks 0 1 / 2 3. */
static s32 predict_chroma(struct near near, int c, int block)
{
	int column = block & 1, row = block >> 1;
	s32 left = near.left ? near.left->right_chroma[c][row] : 0;
	s32 top = near.top ? near.top->bottom_chroma[c][column] : 0;

	if (near.left && near.top && column == row)
		return (left + top + 4) >> 3;
	/* Off the diagonal one side is preferred: block 1 the upper, 2 the left. */
	if (near.top && (!near.left || (column && !row)))
		return (top + 2) >> 2;
	if (near.left)
		return (left + 2) >> 2;
	return NOTHING_NEAR;
}

/* The transform of 4x4 DC coefficients, its own inverse but for a factor. */
static void hadamard_4x4(s32 m[16])
{
	int pass, i;

	for (pass = 0; pass < 2; pass++) {
		int step = pass ? 4 : 1, line = pass ? 1 : 4;

		for (i = 0; i < 4; i++) {
			s32 *v = m + i * line;
			s32 a = v[0] + v[step], b = v[0] - v[step];
			s32 c = v[2 * step] + v[3 * step], d = v[2 * step] - v[3 * step];

			v[0] = a + c;
			v[step] = a - c;
			v[2 * step] = b - d;
			v[3 * step] = b + d;
		}
	}
}

static void hadamard_2x2(s32 m[4])
{
	s32 a = m[0] + m[1], b = m[0] - m[1], c = m[2] + m[3], d = m[2] - m[3];

	m[0] = a + c;
	m[1] = b + d;
	m[2] = a - c;
	m[3] = b - d;
}

/* A DC coefficient's level, rounded down by a third as is usual for intra. */
static s32 level_of(s32 coefficient, u32 qp)
{
	u32 shift = 16 + qp / 6;
	u32 size = coefficient < 0 ? -coefficient : coefficient;
	s32 level = (s32)((size * quantise[qp % 6] + (1U << shift) / 3) >> shift);

	return coefficient < 0 ? -level : level;
}

static u8 clip(s32 sample)
{
	return (u8)clamp_t(s32, sample, 0, 255);
}

/* Levels in scan order; value[] becomes what a decoder shows of each block. */
static void code_luma(const u16 *sum, s32 predicted, u32 qp, s32 level[16], u8 value[16])
{
	s32 m[16];
	int i;

	for (i = 0; i < 16; i++)
		m[i] = sum[i] - 16 * predicted;
	hadamard_4x4(m);
	for (i = 0; i < 16; i++)
		m[i] = level_of(m[i] / 2, qp);
	for (i = 0; i < 16; i++)
		level[i] = m[zigzag[i]];

	/* 8.5.10; levelScale(0, 0) is 16 normAdjust. */
	hadamard_4x4(m);
	for (i = 0; i < 16; i++) {
		s32 dc = m[i] * 16 * dequantise[qp % 6];

		if (qp >= 36)
			dc *= 1 << (qp / 6 - 6);
		else
			dc = (dc + (1 << (5 - qp / 6))) >> (6 - qp / 6);
		value[i] = clip(predicted + ((dc + 32) >> 6));
	}
}

static void code_chroma(const u16 *sum, struct near near, int c, u32 qp,
			s32 level[4], u8 value[4])
{
	s32 m[4], predicted[4];
	int i;

	for (i = 0; i < 4; i++) {
		predicted[i] = predict_chroma(near, c, i);
		m[i] = sum[i] - 16 * predicted[i];
	}
	hadamard_2x2(m);
	for (i = 0; i < 4; i++)
		level[i] = m[i] = level_of(m[i], qp);

	/* 8.5.11 */
	hadamard_2x2(m);
	for (i = 0; i < 4; i++) {
		s32 dc = (m[i] * 16 * dequantise[qp % 6] * (1 << (qp / 6))) >> 5;

		value[i] = clip(predicted[i] + ((dc + 32) >> 6));
	}
}

static void keep_mosaic(struct h264_mb *mb, const u8 value[H264_BLOCKS])
{
	int c, i;

	for (i = 0; i < H264_BLOCKS; i++)
		mb->sum[i] = 16 * value[i];
	mb->bottom_luma = 4 * (value[12] + value[13] + value[14] + value[15]);
	mb->right_luma = 4 * (value[3] + value[7] + value[11] + value[15]);
	for (c = 0; c < 2; c++) {
		const u8 *v = value + H264_LUMA_BLOCKS + c * 4;

		mb->bottom_chroma[c][0] = 4 * v[2];
		mb->bottom_chroma[c][1] = 4 * v[3];
		mb->right_chroma[c][0] = 4 * v[1];
		mb->right_chroma[c][1] = 4 * v[3];
	}
	mb->age = 0;
}

static bool any(const s32 *level, int count)
{
	while (count--)
		if (level[count])
			return true;
	return false;
}

void h264_write_mosaic(struct h264_encoder *enc, struct h264_bits *bits,
		       u32 x, u32 y, bool inter, u32 qp)
{
	u32 index = y * enc->mb_width + x;
	u32 chroma_qp = qp < 30 ? qp : chroma_qp_above_29[qp - 30];
	struct near near = near_of(enc, x, y);
	const u16 *sum = enc->now[index];
	s32 luma[16], chroma[8];
	u8 value[H264_BLOCKS];
	bool coloured;
	int c;

	code_luma(sum, predict_luma(near), qp, luma, value);
	for (c = 0; c < 2; c++)
		code_chroma(sum + H264_LUMA_BLOCKS + 4 * c, near, c, chroma_qp,
			    chroma + 4 * c, value + H264_LUMA_BLOCKS + 4 * c);
	coloured = any(chroma, 8);

	bits_ue(bits, TYPE_MOSAIC + (coloured ? TYPE_WITH_CHROMA : 0) +
		(inter ? INTER_TYPES : 0));
	bits_ue(bits, 0);	/* intra_chroma_pred_mode: DC */
	bits_se(bits, 0);	/* mb_qp_delta */
	h264_residual(bits, luma, 16, luma_nc(enc, x, y));
	if (coloured) {
		h264_residual(bits, chroma, 4, H264_NC_CHROMA_DC);
		h264_residual(bits, chroma + 4, 4, H264_NC_CHROMA_DC);
	}
	keep_mosaic(enc->mb + index, value);
}

/* Sums of blocks and edges of a plane of `size` x `size` samples. */
static void keep_plane(const u8 *sample, int size, u16 *sum, u16 *bottom, u16 *right)
{
	int blocks = size / 4, x, y;

	for (y = 0; y < size; y++)
		for (x = 0; x < size; x++)
			sum[y / 4 * blocks + x / 4] += sample[y * size + x];
	for (x = 0; x < size; x++) {
		bottom[x / 4] += sample[(size - 1) * size + x];
		right[x / 4] += sample[x * size + size - 1];
	}
}

static void keep_exact(struct h264_mb *mb, const u8 sample[H264_PCM_BYTES])
{
	u16 bottom[4] = { 0 }, right[4] = { 0 };
	int c;

	memset(mb, 0, sizeof(*mb));
	keep_plane(sample, 16, mb->sum, bottom, right);
	mb->bottom_luma = bottom[0] + bottom[1] + bottom[2] + bottom[3];
	mb->right_luma = right[0] + right[1] + right[2] + right[3];
	for (c = 0; c < 2; c++)
		keep_plane(sample + 256 + 64 * c, 8, mb->sum + H264_LUMA_BLOCKS + 4 * c,
			   mb->bottom_chroma[c], mb->right_chroma[c]);
}

void h264_write_exact(struct h264_encoder *enc, struct h264_bits *bits,
		      const struct h264_picture *picture, u32 x, u32 y, bool inter)
{
	u8 sample[H264_PCM_BYTES];

	h264_source_samples(picture, x, y, sample);
	bits_ue(bits, TYPE_I_PCM + (inter ? INTER_TYPES : 0));
	bits_align_zero(bits);
	bits_bytes(bits, sample, sizeof(sample));
	keep_exact(enc->mb + y * enc->mb_width + x, sample);
}
