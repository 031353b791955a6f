// SPDX-License-Identifier: GPL-2.0
/*
 * NAL units, parameter sets and slice headers (ITU-T H.264, 7.3).
 */
#include "h264-headers.h"

/* log2_max_frame_num_minus4: frame_num is the encoder's u8. */
#define FRAME_NUM_BITS 8
/* pic_init_qp, to which slices give a difference. */
#define INIT_QP 26
/* Output order is decoding order: 8.2.1.3 */
#define POC_TYPE_DECODING_ORDER 2
#define SLICE_P 5	/* all slices of the picture are P, or I */
#define SLICE_I 7
#define PROFILE_HIGH 100

static void put_byte(struct h264_sink *sink, u8 byte)
{
	if (sink->used < sink->size)
		sink->buffer[sink->used++] = byte;
	else
		sink->overflow = true;
}

/* Bytes at the front of eight that need no look: none of the eight is 0. */
static bool no_zero_in_eight(const u8 *bytes)
{
	u64 v = get_unaligned_le64(bytes);

	return !((v - 0x0101010101010101ULL) & ~v & 0x8080808080808080ULL);
}

void h264_put_nal(struct h264_sink *sink, enum h264_nal nal, const u8 *rbsp, u32 bytes)
{
	static const u8 start_code[4] = { 0, 0, 0, 1 };
	u32 zeros = 0, i;

	for (i = 0; i < sizeof(start_code); i++)
		put_byte(sink, start_code[i]);
	put_byte(sink, nal);
	i = 0;
	while (i < bytes) {
		if (!zeros && bytes - i >= 8 && sink->size - sink->used >= 8 &&
		    no_zero_in_eight(rbsp + i)) {
			memcpy(sink->buffer + sink->used, rbsp + i, 8);
			sink->used += 8;
			i += 8;
			continue;
		}
		if (zeros == 2 && rbsp[i] <= 3) {
			put_byte(sink, 3);
			zeros = 0;
		}
		put_byte(sink, rbsp[i]);
		zeros = rbsp[i] ? 0 : zeros + 1;
		i++;
	}
}

/* E.1.1: the rate, and that pictures are shown as they come. */
static void put_vui(struct h264_bits *b, const struct h264_params *params)
{
	bits_put(b, 0, 4);	/* aspect_ratio, overscan, video_signal, chroma_loc */
	bits_put(b, 1, 1);	/* timing_info_present_flag */
	bits_put(b, params->rate_den, 32);
	bits_put(b, params->rate_num * 2, 32);	/* a tick is half a frame */
	bits_put(b, 0, 1);	/* fixed_frame_rate_flag */
	bits_put(b, 0, 3);	/* nal_hrd, vcl_hrd, pic_struct */
	bits_put(b, 1, 1);	/* bitstream_restriction_flag */
	bits_put(b, 1, 1);	/* motion_vectors_over_pic_boundaries_flag */
	bits_ue(b, 0);		/* max_bytes_per_pic_denom: no limit */
	bits_ue(b, 0);		/* max_bits_per_mb_denom: no limit */
	bits_ue(b, 0);		/* log2_max_mv_length_horizontal */
	bits_ue(b, 0);		/* log2_max_mv_length_vertical */
	bits_ue(b, 0);		/* max_num_reorder_frames */
	bits_ue(b, 1);		/* max_dec_frame_buffering */
}

static void put_sps(struct h264_sink *sink, const struct h264_encoder *enc,
		    const struct h264_params *params)
{
	u32 right = enc->mb_width * 16 - enc->width;
	u32 bottom = enc->mb_height * 16 - enc->height;
	u8 rbsp[H264_HEADER_MAX_BYTES];
	struct h264_bits b;

	bits_init(&b, rbsp);
	bits_put(&b, params->profile_idc, 8);
	bits_put(&b, params->constraint_flags, 8);
	bits_put(&b, params->level_idc, 8);
	bits_ue(&b, 0);		/* seq_parameter_set_id */
	if (params->profile_idc >= PROFILE_HIGH) {
		bits_ue(&b, 1);		/* chroma_format_idc: 4:2:0 */
		bits_ue(&b, 0);		/* bit_depth_luma_minus8 */
		bits_ue(&b, 0);		/* bit_depth_chroma_minus8 */
		bits_put(&b, 0, 2);	/* no lossless, no scaling matrices */
	}
	bits_ue(&b, FRAME_NUM_BITS - 4);
	bits_ue(&b, POC_TYPE_DECODING_ORDER);
	bits_ue(&b, 1);		/* max_num_ref_frames */
	bits_put(&b, 0, 1);	/* gaps_in_frame_num_value_allowed_flag */
	bits_ue(&b, enc->mb_width - 1);
	bits_ue(&b, enc->mb_height - 1);
	bits_put(&b, 1, 1);	/* frame_mbs_only_flag */
	bits_put(&b, 1, 1);	/* direct_8x8_inference_flag */
	bits_put(&b, right || bottom, 1);
	if (right || bottom) {	/* in units of two samples */
		bits_ue(&b, 0);
		bits_ue(&b, right / 2);
		bits_ue(&b, 0);
		bits_ue(&b, bottom / 2);
	}
	bits_put(&b, 1, 1);	/* vui_parameters_present_flag */
	put_vui(&b, params);
	bits_trailing(&b);
	h264_put_nal(sink, H264_NAL_SPS, rbsp, bits_written(&b) / 8);
}

static void put_pps(struct h264_sink *sink)
{
	u8 rbsp[H264_HEADER_MAX_BYTES];
	struct h264_bits b;

	bits_init(&b, rbsp);
	bits_ue(&b, 0);		/* pic_parameter_set_id */
	bits_ue(&b, 0);		/* seq_parameter_set_id */
	bits_put(&b, 0, 1);	/* entropy_coding_mode_flag: CAVLC */
	bits_put(&b, 0, 1);	/* bottom_field_pic_order_in_frame_present_flag */
	bits_ue(&b, 0);		/* num_slice_groups_minus1 */
	bits_ue(&b, 0);		/* num_ref_idx_l0_default_active_minus1 */
	bits_ue(&b, 0);		/* num_ref_idx_l1_default_active_minus1 */
	bits_put(&b, 0, 3);	/* weighted_pred_flag, weighted_bipred_idc */
	bits_se(&b, INIT_QP - 26);
	bits_se(&b, 0);		/* pic_init_qs_minus26 */
	bits_se(&b, 0);		/* chroma_qp_index_offset */
	bits_put(&b, 1, 1);	/* deblocking_filter_control_present_flag */
	bits_put(&b, 0, 2);	/* constrained_intra_pred, redundant_pic_cnt_present */
	bits_trailing(&b);
	h264_put_nal(sink, H264_NAL_PPS, rbsp, bits_written(&b) / 8);
}

void h264_put_parameter_sets(struct h264_sink *sink, const struct h264_encoder *enc,
			     const struct h264_params *params)
{
	put_sps(sink, enc, params);
	put_pps(sink);
}

void h264_slice_header(struct h264_bits *bits, const struct h264_encoder *enc,
		       bool idr, u32 qp)
{
	bits_ue(bits, 0);	/* first_mb_in_slice */
	bits_ue(bits, idr ? SLICE_I : SLICE_P);
	bits_ue(bits, 0);	/* pic_parameter_set_id */
	bits_put(bits, enc->frame_num, FRAME_NUM_BITS);
	if (idr) {
		bits_ue(bits, enc->idr_pic_id);
		bits_put(bits, 0, 2);	/* no_output_of_prior_pics, long_term_reference */
	} else {
		bits_put(bits, 0, 1);	/* num_ref_idx_active_override_flag */
		bits_put(bits, 0, 1);	/* ref_pic_list_modification_flag_l0 */
		bits_put(bits, 0, 1);	/* adaptive_ref_pic_marking_mode_flag */
	}
	bits_se(bits, (s32)qp - INIT_QP);
	bits_ue(bits, 1);	/* disable_deblocking_filter_idc */
}

u32 h264_filler(u8 *buffer, u32 size, u32 bytes)
{
	struct h264_sink sink = { .buffer = buffer, .size = size };

	/* Start code, header, one trailing byte. */
	if (bytes < 6 || bytes > size)
		return 0;
	h264_put_nal(&sink, H264_NAL_FILLER, NULL, 0);
	memset(buffer + sink.used, 0xff, bytes - 1 - sink.used);
	buffer[bytes - 1] = 0x80;
	return bytes;
}
