// SPDX-License-Identifier: GPL-2.0
/*
 * Controls of the virtual encoder: those of bcm2835-codec, with its ranges
 * and defaults.
 */
#include "venc.h"

#define BITRATE_STEP 25000
#define BITRATE_MAX (25 * 1000 * 1000)
#define BITRATE_DEFAULT (10 * 1000 * 1000)
#define I_PERIOD_DEFAULT 60
#define MIN_QP_DEFAULT 20
/* A picture is encoded as soon as it is there. */
#define MIN_OUTPUT_BUFFERS 1

#define PROFILES (BIT(V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE) |             \
		  BIT(V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE) | \
		  BIT(V4L2_MPEG_VIDEO_H264_PROFILE_MAIN) |                 \
		  BIT(V4L2_MPEG_VIDEO_H264_PROFILE_HIGH))

static int set_control(struct v4l2_ctrl *control)
{
	struct venc_context *ctx = container_of(control->handler, struct venc_context, controls);

	/* All others are looked at picture by picture. */
	if (control->id == V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME)
		WRITE_ONCE(ctx->key_wanted, true);
	return 0;
}

static const struct v4l2_ctrl_ops control_ops = {
	.s_ctrl = set_control,
};

static struct v4l2_ctrl *add(struct venc_context *ctx, u32 id, s64 min, s64 max, u64 step,
			     s64 value)
{
	return v4l2_ctrl_new_std(&ctx->controls, &control_ops, id, min, max, step, value);
}

static struct v4l2_ctrl *add_menu(struct venc_context *ctx, u32 id, u8 max, u64 without, u8 value)
{
	return v4l2_ctrl_new_std_menu(&ctx->controls, &control_ops, id, max, without, value);
}

int venc_controls_init(struct venc_context *ctx)
{
	v4l2_ctrl_handler_init(&ctx->controls, 11);
	add_menu(ctx, V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR, 0,
		 V4L2_MPEG_VIDEO_BITRATE_MODE_VBR);
	ctx->bitrate = add(ctx, V4L2_CID_MPEG_VIDEO_BITRATE, BITRATE_STEP, BITRATE_MAX,
			   BITRATE_STEP, BITRATE_DEFAULT);
	add_menu(ctx, V4L2_CID_MPEG_VIDEO_HEADER_MODE,
		 V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
		 BIT(V4L2_MPEG_VIDEO_HEADER_MODE_SEPARATE),
		 V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME);
	ctx->repeat_headers = add(ctx, V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 0, 1, 1, 0);
	add(ctx, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 0, 0, 0, 0);
	ctx->i_period = add(ctx, V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, 0, 0x7fffffff, 1,
			    I_PERIOD_DEFAULT);
	/* 1b has a code of its own in each profile, and the Pi does not offer it. */
	ctx->level = add_menu(ctx, V4L2_CID_MPEG_VIDEO_H264_LEVEL, V4L2_MPEG_VIDEO_H264_LEVEL_5_1,
			      BIT(V4L2_MPEG_VIDEO_H264_LEVEL_1B), V4L2_MPEG_VIDEO_H264_LEVEL_4_0);
	ctx->profile = add_menu(ctx, V4L2_CID_MPEG_VIDEO_H264_PROFILE,
				V4L2_MPEG_VIDEO_H264_PROFILE_HIGH, ~PROFILES,
				V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
	ctx->min_qp = add(ctx, V4L2_CID_MPEG_VIDEO_H264_MIN_QP, 0, H264_MAX_QP, 1, MIN_QP_DEFAULT);
	ctx->max_qp = add(ctx, V4L2_CID_MPEG_VIDEO_H264_MAX_QP, 0, H264_MAX_QP, 1, H264_MAX_QP);
	add(ctx, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, MIN_OUTPUT_BUFFERS, MIN_OUTPUT_BUFFERS, 1,
	    MIN_OUTPUT_BUFFERS);
	if (ctx->controls.error)
		return ctx->controls.error;
	ctx->fh.ctrl_handler = &ctx->controls;
	return 0;
}

void venc_params(struct venc_context *ctx, struct h264_params *params)
{
	static const u8 level_idc[] = {
		10, 9, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51
	};

	/* constraint_set0 and 1 say that baseline and main decoders manage it too. */
	switch (ctx->profile->cur.val) {
	case V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE:
		params->profile_idc = 66;
		params->constraint_flags = 0x80;
		break;
	case V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE:
		params->profile_idc = 66;
		params->constraint_flags = 0xc0;
		break;
	case V4L2_MPEG_VIDEO_H264_PROFILE_MAIN:
		params->profile_idc = 77;
		params->constraint_flags = 0x40;
		break;
	default:
		params->profile_idc = 100;
		params->constraint_flags = 0;
		break;
	}
	params->level_idc = level_idc[ctx->level->cur.val];
	params->min_qp = ctx->min_qp->cur.val;
	params->max_qp = ctx->max_qp->cur.val;
	params->bitrate = ctx->bitrate->cur.val;
	params->rate_num = ctx->interval.denominator;
	params->rate_den = ctx->interval.numerator;
	params->repeat_headers = ctx->repeat_headers->cur.val;
}
