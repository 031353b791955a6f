// SPDX-License-Identifier: GPL-2.0
/*
 * CAVLC of residual blocks (ITU-T H.264, 9.2, read backwards).
 */
#include "h264-cavlc.h"
#include "h264-cavlc-tables.h"

/* Prefix 15 has a suffix of 12 bits, whatever the suffix length is. */
#define ESCAPE_PREFIX 15
#define ESCAPE_SUFFIX_BITS 12
#define MAX_SUFFIX_LENGTH 6

static void put_vlc(struct h264_bits *bits, struct h264_vlc vlc)
{
	bits_put(bits, vlc.code, vlc.length);
}

static void put_coeff_token(struct h264_bits *bits, int total, int ones, int nc)
{
	if (nc == H264_NC_CHROMA_DC)
		put_vlc(bits, coeff_token_chroma_dc[total][ones]);
	else if (nc < 2)
		put_vlc(bits, coeff_token_nc0[total][ones]);
	else if (total)		/* nC >= 8: six bits, Table 9-5 */
		bits_put(bits, (total - 1) << 2 | ones, 6);
	else
		bits_put(bits, 3, 6);
}

/* level_prefix and level_suffix: 9.2.2.1 */
static void put_level(struct h264_bits *bits, u32 code, u32 suffix_length)
{
	u32 prefix, suffix, suffix_bits = suffix_length;

	if (!suffix_length && code >= 14 && code < 30) {
		prefix = 14;
		suffix = code - 14;
		suffix_bits = 4;
	} else if (!suffix_length && code < 14) {
		prefix = code;
		suffix = 0;
	} else if (suffix_length && code < (u32)ESCAPE_PREFIX << suffix_length) {
		prefix = code >> suffix_length;
		suffix = code & ((1 << suffix_length) - 1);
	} else {
		prefix = ESCAPE_PREFIX;
		suffix = code - (suffix_length ? ESCAPE_PREFIX << suffix_length : 30);
		suffix_bits = ESCAPE_SUFFIX_BITS;
	}
	bits_put(bits, 1, prefix + 1);
	bits_put(bits, suffix, suffix_bits);
}

static u32 magnitude(s32 level)
{
	return level < 0 ? -level : level;
}

/* The levels behind the trailing ones, from the highest frequency down. */
static void put_levels(struct h264_bits *bits, const s32 *level, int total, int ones)
{
	u32 suffix_length = total > 10 && ones < 3;
	int i;

	for (i = ones; i < total; i++) {
		u32 code = level[i] > 0 ? 2 * level[i] - 2 : -2 * level[i] - 1;

		/* Were it a one, it would be a trailing one. */
		if (i == ones && ones < 3)
			code -= 2;
		put_level(bits, code, suffix_length);
		if (!suffix_length)
			suffix_length = 1;
		if (magnitude(level[i]) > 3U << (suffix_length - 1) &&
		    suffix_length < MAX_SUFFIX_LENGTH)
			suffix_length++;
	}
}

void h264_residual(struct h264_bits *bits, const s32 *level, int count, int nc)
{
	s32 found[16];
	int run[16];		/* zeros in front of each, as far as it is known */
	int total = 0, ones = 0, zeros = 0, left, i;

	for (i = count - 1; i >= 0; i--) {
		if (level[i]) {
			run[total] = 0;
			found[total++] = level[i];
		} else if (total) {
			run[total - 1]++;
			zeros++;
		}
	}
	while (ones < 3 && ones < total && magnitude(found[ones]) == 1)
		ones++;

	put_coeff_token(bits, total, ones, nc);
	if (!total)
		return;
	for (i = 0; i < ones; i++)
		bits_put(bits, found[i] < 0, 1);
	put_levels(bits, found, total, ones);
	if (total < count)
		put_vlc(bits, nc == H264_NC_CHROMA_DC ?
			total_zeros_chroma_dc[total - 1][zeros] :
			total_zeros_4x4[total - 1][zeros]);
	left = zeros;
	for (i = 0; i < total - 1 && left; i++) {
		put_vlc(bits, run_before_code[min_t(int, left, 7) - 1][run[i]]);
		left -= run[i];
	}
}
