// SPDX-License-Identifier: GPL-2.0
/*
 * A picture: which macroblocks are written, at what cost; see h264.h.
 */
#include "h264-headers.h"
#include "h264-macroblock.h"
#include "h264-source.h"

/* Where the quantiser starts: about 1.4 of 255 of error in a 4x4 mean. */
#define START_QP 30
/* Bits of a mosaic macroblock before one was measured, times 16. */
#define START_MOSAIC_BITS (40 * 16)
/* Fewer macroblocks than this say nothing about the mean. */
#define MEASURED_FROM 16
/* An IDR may take this many pictures' bits; then it is tried more coarsely. */
#define IDR_PICTURES 6
#define IDR_QP_STEP 6
/* Each picture that a macroblock waits weighs as much as this change. */
#define AGE_WEIGHT 4
#define NO_WEIGHT 0

int h264_init(struct h264_encoder *enc, u32 width, u32 height)
{
	u32 count;

	memset(enc, 0, sizeof(*enc));
	enc->width = width;
	enc->height = height;
	enc->mb_width = DIV_ROUND_UP(width, 16);
	enc->mb_height = DIV_ROUND_UP(height, 16);
	enc->qp = START_QP;
	enc->mosaic_bits = START_MOSAIC_BITS;
	count = enc->mb_width * enc->mb_height;
	enc->mb = kvcalloc(count, sizeof(*enc->mb), GFP_KERNEL);
	enc->now = kvcalloc(count, sizeof(*enc->now), GFP_KERNEL);
	enc->weight = kvcalloc(count, 1, GFP_KERNEL);
	enc->exact = kvcalloc(count, 1, GFP_KERNEL);
	enc->rbsp = kvcalloc(count + 1, H264_MB_MAX_BYTES, GFP_KERNEL);
	if (enc->mb && enc->now && enc->weight && enc->exact && enc->rbsp)
		return 0;
	h264_release(enc);
	return -ENOMEM;
}

void h264_release(struct h264_encoder *enc)
{
	kvfree(enc->mb);
	kvfree(enc->now);
	kvfree(enc->weight);
	kvfree(enc->exact);
	kvfree(enc->rbsp);
	memset(enc, 0, sizeof(*enc));
}

/* A picture's share of the bit rate. */
static s64 picture_bits(const struct h264_params *params)
{
	return div64_s64((s64)params->bitrate * params->rate_den, params->rate_num);
}

/*
 * What this picture may take. Saved bits are spent at once; a debt, as an IDR
 * makes it, is paid back over a second, but never stops the picture.
 */
static s64 budget_of(const struct h264_encoder *enc, const struct h264_params *params)
{
	s64 share = picture_bits(params);
	u32 second = max_t(u32, params->rate_num / params->rate_den, 1);

	if (enc->balance >= 0)
		return share + enc->balance;
	return max_t(s64, share + div64_s64(enc->balance, second), share / 4);
}

static void settle(struct h264_encoder *enc, const struct h264_params *params, u32 bits)
{
	s64 share = picture_bits(params);
	u32 second = max_t(u32, params->rate_num / params->rate_den, 1);

	/* Saved up for more than one exact macroblock it would come in bursts. */
	enc->balance = clamp_t(s64, enc->balance + share - bits,
			       -2 * share * (s64)second,
			       max_t(s64, 4 * share, H264_EXACT_BITS));
}

/* Differences of 4x4 means up to this are the quantiser's own. */
static u32 noise_of(u32 qp)
{
	return 2 + (1U << (qp / 6)) / 8;
}

static void look_at(struct h264_encoder *enc, const struct h264_picture *picture,
		    u32 counts[256])
{
	u32 noise = noise_of(enc->qp);
	u32 x, y, index = 0;
	int i;

	memset(counts, 0, 256 * sizeof(counts[0]));
	for (y = 0; y < enc->mb_height; y++) {
		for (x = 0; x < enc->mb_width; x++, index++) {
			struct h264_mb *mb = enc->mb + index;
			u32 change = 0;

			h264_source_sums(picture, x, y, enc->now[index]);
			for (i = 0; i < H264_BLOCKS; i++) {
				s32 by = enc->now[index][i] - mb->sum[i];

				change = max_t(u32, change, by < 0 ? -by : by);
			}
			change /= 16;
			if (change <= noise) {
				mb->age = 0;
				enc->weight[index] = NO_WEIGHT;
			} else {
				enc->weight[index] = min_t(u32, change + AGE_WEIGHT * mb->age, 255);
			}
			counts[enc->weight[index]]++;
		}
	}
}

/* Leaves a weight to the `most` heaviest only; returns how many have one. */
static u32 keep_heaviest(struct h264_encoder *enc, const u32 counts[256], u32 most)
{
	u32 kept = 0, at_limit, i, limit = 255;

	while (limit > NO_WEIGHT && kept + counts[limit] <= most)
		kept += counts[limit--];
	/* Of those at the limit, the first ones; the others age. */
	at_limit = most - kept;
	if (limit == NO_WEIGHT)
		return kept;
	for (i = 0; i < enc->mb_width * enc->mb_height; i++) {
		struct h264_mb *mb = enc->mb + i;

		if (enc->weight[i] == NO_WEIGHT || enc->weight[i] > limit)
			continue;
		if (enc->weight[i] == limit && at_limit) {
			at_limit--;
			kept++;
			continue;
		}
		enc->weight[i] = NO_WEIGHT;
		mb->age = min_t(u32, mb->age + 1, 255 / AGE_WEIGHT);
	}
	return kept;
}

/* Finer as long as what changes takes less than half, coarser if it is too much. */
static void adapt_qp(struct h264_encoder *enc, const struct h264_params *params,
		     s64 demand, s64 budget)
{
	s32 qp = enc->qp;
	s32 low = max_t(s32, params->min_qp, H264_MIN_QP);
	s32 high = max_t(s32, min_t(s32, params->max_qp, H264_MAX_QP), low);

	if (demand > 2 * budget)
		qp += 3;
	else if (demand > budget)
		qp += 1;
	else if (demand < budget / 2)
		qp -= 1;
	enc->qp = (u8)clamp_t(s32, qp, low, high);
}

/* Marks those whose turn it is to be exact. */
static void choose_exact(struct h264_encoder *enc, s64 bits, u32 room)
{
	u32 count = enc->mb_width * enc->mb_height;
	/* Emulation prevention adds a half at worst. */
	s64 fitting = min_t(s64, bits, (s64)room * 8 * 2 / 3);
	u32 most = (u32)clamp_t(s64, div64_s64(fitting, H264_EXACT_BITS), 0, count);

	memset(enc->exact, 0, count);
	while (most--) {
		enc->exact[enc->turn] = 1;
		enc->turn = (enc->turn + 1) % count;
	}
}

/* The slice; returns its bits. `mosaics` gets what the mosaic ones took. */
static u32 write_slice(struct h264_encoder *enc, const struct h264_picture *picture,
		       bool idr, u32 qp, u32 *mosaic_bits)
{
	u32 x, y, index = 0, skipped = 0, exact_bits = 0, from;
	struct h264_bits bits;

	bits_init(&bits, enc->rbsp);
	h264_slice_header(&bits, enc, idr, qp);
	from = bits_written(&bits);
	for (y = 0; y < enc->mb_height; y++) {
		for (x = 0; x < enc->mb_width; x++, index++) {
			if (!idr && !enc->exact[index] && enc->weight[index] == NO_WEIGHT) {
				skipped++;
				continue;
			}
			if (!idr)
				bits_ue(&bits, skipped);
			skipped = 0;
			if (enc->exact[index]) {
				u32 before = bits_written(&bits);

				h264_write_exact(enc, &bits, picture, x, y, !idr);
				exact_bits += bits_written(&bits) - before;
			} else {
				h264_write_mosaic(enc, &bits, x, y, !idr, qp);
			}
		}
	}
	if (skipped)
		bits_ue(&bits, skipped);
	*mosaic_bits = bits_written(&bits) - from - exact_bits;
	bits_trailing(&bits);
	return bits_written(&bits);
}

struct h264_output h264_encode(struct h264_encoder *enc,
			       const struct h264_params *params,
			       const struct h264_picture *picture, bool idr,
			       u8 *buffer, u32 size)
{
	struct h264_sink sink = { .buffer = buffer, .size = size };
	u32 count = enc->mb_width * enc->mb_height;
	s64 budget = budget_of(enc, params), demand;
	u32 counts[256], mosaics, mosaic_bits, bits, qp;

	idr = idr || !enc->started;
	if (idr) {
		enc->frame_num = 0;
		enc->idr_pic_id ^= 1;
		if (!enc->started || params->repeat_headers)
			h264_put_parameter_sets(&sink, enc, params);
	}
	enc->started = true;

	look_at(enc, picture, counts);
	mosaics = idr ? count : count - counts[NO_WEIGHT];
	demand = (s64)mosaics * enc->mosaic_bits / 16;
	adapt_qp(enc, params, demand, budget);
	if (!idr) {
		u32 most = (u32)min_t(s64, div64_s64(budget * 16, enc->mosaic_bits), count);

		mosaics = keep_heaviest(enc, counts, most);
	}
	choose_exact(enc, budget - (s64)mosaics * enc->mosaic_bits / 16, size - sink.used);

	qp = enc->qp;
	bits = write_slice(enc, picture, idr, qp, &mosaic_bits);
	while (idr && bits > IDR_PICTURES * picture_bits(params) &&
	       qp + IDR_QP_STEP <= min_t(u32, params->max_qp, H264_MAX_QP)) {
		qp += IDR_QP_STEP;
		bits = write_slice(enc, picture, idr, qp, &mosaic_bits);
	}
	if (mosaics >= MEASURED_FROM)
		enc->mosaic_bits = max_t(u32, (3 * enc->mosaic_bits +
					       16 * mosaic_bits / mosaics) / 4, 16);
	h264_put_nal(&sink, idr ? H264_NAL_IDR : H264_NAL_P, enc->rbsp, bits / 8);
	enc->frame_num++;
	settle(enc, params, sink.used * 8);
	return (struct h264_output){
		.bytes = sink.used, .idr = idr, .overflow = sink.overflow,
	};
}
