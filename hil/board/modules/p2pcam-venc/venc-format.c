// SPDX-License-Identifier: GPL-2.0
/*
 * Formats, crop, frame interval and commands of the virtual encoder.
 */
#include <linux/math.h>
#include <media/v4l2-event.h>
#include <media/v4l2-ioctl.h>

#include "venc.h"

/* As bcm2835-codec has them. */
#define MIN_SIZE 32
#define MAX_SIZE 1920
#define SIZE_STEP 2
#define DEFAULT_WIDTH 640
#define DEFAULT_HEIGHT 480
#define CAPTURE_BYTES_720P (512 * 1024)
#define CAPTURE_BYTES_ABOVE (768 * 1024)
/* More is a mistake of the program; the memory is the kernel's. */
#define CAPTURE_BYTES_MAX (16 * 1024 * 1024)
#define DEFAULT_RATE 30
/* Intervals outside of this are no camera's: bounds of VUI and arithmetic. */
#define LONGEST_SECONDS 10
#define HIGHEST_RATE 240
#define HIGHEST_TERM 1000000000

static const struct venc_format formats[] = {
	{ V4L2_PIX_FMT_YUV420, H264_I420, 64, 1, 3 },
	{ V4L2_PIX_FMT_NV12, H264_NV12, 32, 1, 3 },
	{ V4L2_PIX_FMT_YUYV, H264_YUYV, 64, 2, 2 },
};

static const struct venc_format *find_format(u32 fourcc)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].fourcc == fourcc)
			return formats + i;
	return NULL;
}

static u32 even_size(u32 size)
{
	return clamp(round_up(min_t(u32, size, MAX_SIZE), SIZE_STEP), MIN_SIZE, MAX_SIZE);
}

static u32 least_capture_bytes(u32 width, u32 height)
{
	u32 quirk = venc_quirk_capture_bytes();

	if (quirk)
		return min_t(u32, quirk, CAPTURE_BYTES_MAX);
	return width * height > 1280 * 720 ? CAPTURE_BYTES_ABOVE : CAPTURE_BYTES_720P;
}

static int querycap(struct file *file, void *priv, struct v4l2_capability *cap)
{
	venc_quirk_driver(cap->driver, sizeof(cap->driver));
	strscpy(cap->card, "virtual H.264 encoder", sizeof(cap->card));
	return 0;
}

static int enum_output(struct file *file, void *priv, struct v4l2_fmtdesc *f)
{
	if (f->index >= ARRAY_SIZE(formats))
		return -EINVAL;
	f->pixelformat = formats[f->index].fourcc;
	return 0;
}

static int enum_capture(struct file *file, void *priv, struct v4l2_fmtdesc *f)
{
	if (f->index)
		return -EINVAL;
	f->pixelformat = V4L2_PIX_FMT_H264;
	return 0;
}

static int enum_framesizes(struct file *file, void *priv, struct v4l2_frmsizeenum *f)
{
	if (f->index || (f->pixel_format != V4L2_PIX_FMT_H264 && !find_format(f->pixel_format)))
		return -EINVAL;
	f->type = V4L2_FRMSIZE_TYPE_STEPWISE;
	f->stepwise = (struct v4l2_frmsize_stepwise){
		MIN_SIZE, MAX_SIZE, SIZE_STEP, MIN_SIZE, MAX_SIZE, SIZE_STEP
	};
	return 0;
}

static void put_colours(const struct venc_context *ctx, struct v4l2_pix_format_mplane *pix)
{
	pix->colorspace = ctx->colorspace;
	pix->xfer_func = ctx->xfer_func;
	pix->ycbcr_enc = ctx->ycbcr_enc;
	pix->quantization = ctx->quantization;
}

static void put_plane(struct v4l2_pix_format_mplane *pix, u32 stride, u32 size)
{
	pix->field = V4L2_FIELD_NONE;
	pix->flags = 0;
	pix->num_planes = 1;
	memset(pix->reserved, 0, sizeof(pix->reserved));
	memset(&pix->plane_fmt[0], 0, sizeof(pix->plane_fmt[0]));
	pix->plane_fmt[0].bytesperline = stride;
	pix->plane_fmt[0].sizeimage = size;
}

static int g_output(struct file *file, void *priv, struct v4l2_format *f)
{
	const struct venc_context *ctx = venc_of_file(file);

	f->fmt.pix_mp.width = ctx->width;
	f->fmt.pix_mp.height = ctx->height;
	f->fmt.pix_mp.pixelformat = ctx->format->fourcc;
	put_plane(&f->fmt.pix_mp, ctx->stride, ctx->sizeimage);
	put_colours(ctx, &f->fmt.pix_mp);
	return 0;
}

static int try_output(struct file *file, void *priv, struct v4l2_format *f)
{
	struct v4l2_pix_format_mplane *pix = &f->fmt.pix_mp;
	const struct venc_format *format = find_format(pix->pixelformat);
	u32 stride;

	if (!format)
		format = &formats[0];
	pix->pixelformat = format->fourcc;
	pix->width = even_size(pix->width);
	pix->height = even_size(pix->height);
	stride = round_up(pix->width * format->bytes_per_pixel, format->align);
	put_plane(pix, stride, stride * pix->height * format->rows_x2 / 2);
	if (pix->colorspace == V4L2_COLORSPACE_DEFAULT)
		pix->colorspace = V4L2_COLORSPACE_SMPTE170M;
	return 0;
}

static int s_output(struct file *file, void *priv, struct v4l2_format *f)
{
	struct venc_context *ctx = venc_of_file(file);
	struct v4l2_pix_format_mplane *pix = &f->fmt.pix_mp;

	/* The coded size depends on it, so neither queue may have buffers. */
	if (vb2_is_busy(v4l2_m2m_get_vq(ctx->fh.m2m_ctx, f->type)))
		return -EBUSY;
	try_output(file, priv, f);
	if (vb2_is_busy(v4l2_m2m_get_vq(ctx->fh.m2m_ctx, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE)) &&
	    least_capture_bytes(pix->width, pix->height) > ctx->capture_sizeimage)
		return -EBUSY;
	ctx->format = find_format(pix->pixelformat);
	ctx->width = pix->width;
	ctx->height = pix->height;
	ctx->stride = pix->plane_fmt[0].bytesperline;
	ctx->sizeimage = pix->plane_fmt[0].sizeimage;
	ctx->crop = (struct v4l2_rect){ .width = pix->width, .height = pix->height };
	ctx->capture_sizeimage = max(ctx->capture_sizeimage,
				     least_capture_bytes(pix->width, pix->height));
	ctx->colorspace = pix->colorspace;
	ctx->xfer_func = pix->xfer_func;
	ctx->ycbcr_enc = pix->ycbcr_enc;
	ctx->quantization = pix->quantization;
	return 0;
}

static int g_capture(struct file *file, void *priv, struct v4l2_format *f)
{
	const struct venc_context *ctx = venc_of_file(file);

	f->fmt.pix_mp.width = ctx->crop.width;
	f->fmt.pix_mp.height = ctx->crop.height;
	f->fmt.pix_mp.pixelformat = V4L2_PIX_FMT_H264;
	put_plane(&f->fmt.pix_mp, 0, ctx->capture_sizeimage);
	put_colours(ctx, &f->fmt.pix_mp);
	return 0;
}

/* Only the size of buffers can be chosen, upwards. */
static int try_capture(struct file *file, void *priv, struct v4l2_format *f)
{
	const struct venc_context *ctx = venc_of_file(file);
	u32 wanted = f->fmt.pix_mp.num_planes ? f->fmt.pix_mp.plane_fmt[0].sizeimage : 0;

	g_capture(file, priv, f);
	f->fmt.pix_mp.plane_fmt[0].sizeimage =
		clamp(wanted, least_capture_bytes(ctx->width, ctx->height), (u32)CAPTURE_BYTES_MAX);
	return 0;
}

static int s_capture(struct file *file, void *priv, struct v4l2_format *f)
{
	struct venc_context *ctx = venc_of_file(file);

	if (vb2_is_busy(v4l2_m2m_get_vq(ctx->fh.m2m_ctx, f->type)))
		return -EBUSY;
	try_capture(file, priv, f);
	ctx->capture_sizeimage = f->fmt.pix_mp.plane_fmt[0].sizeimage;
	return 0;
}

static int g_selection(struct file *file, void *priv, struct v4l2_selection *s)
{
	const struct venc_context *ctx = venc_of_file(file);

	if (s->type != V4L2_BUF_TYPE_VIDEO_OUTPUT)
		return -EINVAL;
	switch (s->target) {
	case V4L2_SEL_TGT_CROP:
		s->r = ctx->crop;
		return 0;
	case V4L2_SEL_TGT_CROP_DEFAULT:
	case V4L2_SEL_TGT_CROP_BOUNDS:
		s->r = (struct v4l2_rect){ .width = ctx->width, .height = ctx->height };
		return 0;
	default:
		return -EINVAL;
	}
}

static int s_selection(struct file *file, void *priv, struct v4l2_selection *s)
{
	struct venc_context *ctx = venc_of_file(file);

	if (s->type != V4L2_BUF_TYPE_VIDEO_OUTPUT || s->target != V4L2_SEL_TGT_CROP)
		return -EINVAL;
	if (vb2_is_streaming(v4l2_m2m_get_vq(ctx->fh.m2m_ctx, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE)))
		return -EBUSY;
	s->r.left = 0;
	s->r.top = 0;
	s->r.width = min(even_size(s->r.width), ctx->width);
	s->r.height = min(even_size(s->r.height), ctx->height);
	ctx->crop = s->r;
	return 0;
}

static int g_parm(struct file *file, void *priv, struct v4l2_streamparm *p)
{
	const struct venc_context *ctx = venc_of_file(file);

	if (!V4L2_TYPE_IS_OUTPUT(p->type))
		return -EINVAL;
	p->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	p->parm.output.timeperframe = ctx->interval;
	return 0;
}

static bool is_sound(const struct v4l2_fract *interval)
{
	u64 num = interval->numerator, den = interval->denominator;

	return num && den && num <= HIGHEST_TERM && den <= HIGHEST_TERM &&
	       num <= den * LONGEST_SECONDS && den <= num * HIGHEST_RATE;
}

static int s_parm(struct file *file, void *priv, struct v4l2_streamparm *p)
{
	struct venc_context *ctx = venc_of_file(file);

	if (!V4L2_TYPE_IS_OUTPUT(p->type))
		return -EINVAL;
	if (is_sound(&p->parm.output.timeperframe))
		ctx->interval = p->parm.output.timeperframe;
	else
		ctx->interval = (struct v4l2_fract){ 1, DEFAULT_RATE };
	return g_parm(file, priv, p);
}

static int encoder_cmd(struct file *file, void *priv, struct v4l2_encoder_cmd *command)
{
	struct venc_context *ctx = venc_of_file(file);
	struct v4l2_m2m_ctx *m2m = ctx->fh.m2m_ctx;
	int ret = v4l2_m2m_ioctl_try_encoder_cmd(file, priv, command);

	/* Before both queues stream there is nothing to stop. */
	if (ret || !vb2_is_streaming(v4l2_m2m_get_src_vq(m2m)) ||
	    !vb2_is_streaming(v4l2_m2m_get_dst_vq(m2m)))
		return ret;
	ret = v4l2_m2m_ioctl_encoder_cmd(file, priv, command);
	if (ret)
		return ret;
	if (command->cmd == V4L2_ENC_CMD_STOP && v4l2_m2m_has_stopped(m2m))
		venc_queue_eos(ctx);
	if (command->cmd == V4L2_ENC_CMD_START) {
		vb2_clear_last_buffer_dequeued(v4l2_m2m_get_dst_vq(m2m));
		/* Pictures may have been queued since the end. */
		v4l2_m2m_try_schedule(m2m);
	}
	return 0;
}

static int subscribe_event(struct v4l2_fh *fh, const struct v4l2_event_subscription *sub)
{
	if (sub->type == V4L2_EVENT_EOS)
		return v4l2_event_subscribe(fh, sub, 0, NULL);
	return v4l2_ctrl_subscribe_event(fh, sub);
}

void venc_default_format(struct venc_context *ctx)
{
	ctx->format = &formats[0];
	ctx->width = DEFAULT_WIDTH;
	ctx->height = DEFAULT_HEIGHT;
	ctx->stride = round_up(DEFAULT_WIDTH, ctx->format->align);
	ctx->sizeimage = ctx->stride * DEFAULT_HEIGHT * ctx->format->rows_x2 / 2;
	ctx->crop = (struct v4l2_rect){ .width = DEFAULT_WIDTH, .height = DEFAULT_HEIGHT };
	ctx->capture_sizeimage = least_capture_bytes(DEFAULT_WIDTH, DEFAULT_HEIGHT);
	ctx->interval = (struct v4l2_fract){ 1, DEFAULT_RATE };
	ctx->colorspace = V4L2_COLORSPACE_SMPTE170M;
}

const struct v4l2_ioctl_ops venc_ioctl_ops = {
	.vidioc_querycap = querycap,
	.vidioc_enum_fmt_vid_cap = enum_capture,
	.vidioc_enum_fmt_vid_out = enum_output,
	.vidioc_enum_framesizes = enum_framesizes,
	.vidioc_g_fmt_vid_cap_mplane = g_capture,
	.vidioc_try_fmt_vid_cap_mplane = try_capture,
	.vidioc_s_fmt_vid_cap_mplane = s_capture,
	.vidioc_g_fmt_vid_out_mplane = g_output,
	.vidioc_try_fmt_vid_out_mplane = try_output,
	.vidioc_s_fmt_vid_out_mplane = s_output,
	.vidioc_g_selection = g_selection,
	.vidioc_s_selection = s_selection,
	.vidioc_g_parm = g_parm,
	.vidioc_s_parm = s_parm,
	.vidioc_reqbufs = v4l2_m2m_ioctl_reqbufs,
	.vidioc_querybuf = v4l2_m2m_ioctl_querybuf,
	.vidioc_qbuf = v4l2_m2m_ioctl_qbuf,
	.vidioc_dqbuf = v4l2_m2m_ioctl_dqbuf,
	.vidioc_prepare_buf = v4l2_m2m_ioctl_prepare_buf,
	.vidioc_create_bufs = v4l2_m2m_ioctl_create_bufs,
	.vidioc_remove_bufs = v4l2_m2m_ioctl_remove_bufs,
	.vidioc_expbuf = v4l2_m2m_ioctl_expbuf,
	.vidioc_streamon = v4l2_m2m_ioctl_streamon,
	.vidioc_streamoff = v4l2_m2m_ioctl_streamoff,
	.vidioc_try_encoder_cmd = v4l2_m2m_ioctl_try_encoder_cmd,
	.vidioc_encoder_cmd = encoder_cmd,
	.vidioc_subscribe_event = subscribe_event,
	.vidioc_unsubscribe_event = v4l2_event_unsubscribe,
};
