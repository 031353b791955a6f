// SPDX-License-Identifier: GPL-2.0
/*
 * Buffer queues of the virtual encoder.
 */
#include <media/videobuf2-vmalloc.h>

#include "venc.h"

static struct vb2_v4l2_buffer *remove_any(struct venc_context *ctx, u32 type)
{
	return V4L2_TYPE_IS_OUTPUT(type) ? v4l2_m2m_src_buf_remove(ctx->fh.m2m_ctx) :
					   v4l2_m2m_dst_buf_remove(ctx->fh.m2m_ctx);
}

static void return_all(struct vb2_queue *queue, enum vb2_buffer_state state)
{
	struct venc_context *ctx = vb2_get_drv_priv(queue);
	struct vb2_v4l2_buffer *vbuf;

	while ((vbuf = remove_any(ctx, queue->type)))
		v4l2_m2m_buf_done(vbuf, state);
}

static u32 size_of(const struct venc_context *ctx, u32 type)
{
	return V4L2_TYPE_IS_OUTPUT(type) ? ctx->sizeimage : ctx->capture_sizeimage;
}

static int queue_setup(struct vb2_queue *queue, unsigned int *buffers, unsigned int *planes,
		       unsigned int sizes[], struct device *devices[])
{
	u32 size = size_of(vb2_get_drv_priv(queue), queue->type);

	if (*planes)
		return *planes != 1 || sizes[0] < size ? -EINVAL : 0;
	*planes = 1;
	sizes[0] = size;
	return 0;
}

/* Called whenever a buffer gets memory, also an imported one that came before. */
static int buf_init(struct vb2_buffer *vb)
{
	if (vb->memory == VB2_MEMORY_DMABUF && V4L2_TYPE_IS_OUTPUT(vb->type))
		venc_count(VENC_COUNT_IMPORTS);
	return 0;
}

static int buf_out_validate(struct vb2_buffer *vb)
{
	to_vb2_v4l2_buffer(vb)->field = V4L2_FIELD_NONE;
	return 0;
}

static int buf_prepare(struct vb2_buffer *vb)
{
	struct venc_context *ctx = vb2_get_drv_priv(vb->vb2_queue);

	if (V4L2_TYPE_IS_CAPTURE(vb->type))
		return vb2_plane_size(vb, 0) < ctx->capture_sizeimage ? -EINVAL : 0;
	if (vb2_plane_size(vb, 0) < ctx->sizeimage + vb->planes[0].data_offset)
		return -EINVAL;
	/* The firmware of the Pi gives no better reason either. */
	if (ctx->bitrate->cur.val < venc_quirk_min_bitrate())
		return -EINVAL;
	return 0;
}

static void buf_queue(struct vb2_buffer *vb)
{
	struct vb2_v4l2_buffer *vbuf = to_vb2_v4l2_buffer(vb);
	struct venc_context *ctx = vb2_get_drv_priv(vb->vb2_queue);

	if (V4L2_TYPE_IS_OUTPUT(vb->type)) {
		venc_buffer_of(vbuf)->key = xchg(&ctx->key_wanted, false);
	} else if (vb2_is_streaming(vb->vb2_queue) && v4l2_m2m_dst_buf_is_last(ctx->fh.m2m_ctx)) {
		/* Nothing is left to encode: this one carries the end. */
		vb2_set_plane_payload(vb, 0, 0);
		vbuf->field = V4L2_FIELD_NONE;
		vbuf->sequence = ctx->capture_sequence++;
		v4l2_m2m_last_buffer_done(ctx->fh.m2m_ctx, vbuf);
		venc_queue_eos(ctx);
		return;
	}
	v4l2_m2m_buf_queue(ctx->fh.m2m_ctx, vbuf);
}

static int start_streaming(struct vb2_queue *queue, unsigned int count)
{
	struct venc_context *ctx = vb2_get_drv_priv(queue);
	int ret;

	if (V4L2_TYPE_IS_OUTPUT(queue->type)) {
		ret = h264_init(&ctx->encoder, ctx->crop.width, ctx->crop.height);
		if (ret) {
			return_all(queue, VB2_BUF_STATE_QUEUED);
			return ret;
		}
		ctx->output_sequence = 0;
	} else {
		/* What comes is a stream of its own, with headers and an IDR. */
		ctx->encoder.started = false;
		ctx->capture_sequence = 0;
	}
	v4l2_m2m_update_start_streaming_state(ctx->fh.m2m_ctx, queue);
	return 0;
}

static void stop_streaming(struct vb2_queue *queue)
{
	struct venc_context *ctx = vb2_get_drv_priv(queue);

	return_all(queue, VB2_BUF_STATE_ERROR);
	v4l2_m2m_update_stop_streaming_state(ctx->fh.m2m_ctx, queue);
	if (V4L2_TYPE_IS_CAPTURE(queue->type))
		return;
	h264_release(&ctx->encoder);
	if (v4l2_m2m_has_stopped(ctx->fh.m2m_ctx))
		venc_queue_eos(ctx);
}

static const struct vb2_ops queue_ops = {
	.queue_setup = queue_setup,
	.buf_init = buf_init,
	.buf_out_validate = buf_out_validate,
	.buf_prepare = buf_prepare,
	.buf_queue = buf_queue,
	.start_streaming = start_streaming,
	.stop_streaming = stop_streaming,
	.wait_prepare = vb2_ops_wait_prepare,
	.wait_finish = vb2_ops_wait_finish,
};

int venc_queue_init(void *priv, struct vb2_queue *output, struct vb2_queue *capture)
{
	struct venc_context *ctx = priv;
	struct vb2_queue *queues[] = { output, capture };
	int ret = 0, i;

	output->type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
	capture->type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	for (i = 0; i < ARRAY_SIZE(queues) && !ret; i++) {
		struct vb2_queue *queue = queues[i];

		queue->io_modes = VB2_MMAP | VB2_DMABUF;
		queue->drv_priv = ctx;
		queue->buf_struct_size = sizeof(struct venc_buffer);
		queue->ops = &queue_ops;
		/* The CPU encodes: it takes any exporter that can map for it. */
		queue->mem_ops = &vb2_vmalloc_memops;
		queue->timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_COPY;
		queue->lock = &ctx->device->lock;
		queue->dev = ctx->device->v4l2.dev;
		ret = vb2_queue_init(queue);
	}
	return ret;
}
