// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual encoder's device, its open files, and its work; see venc.h.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <media/v4l2-event.h>
#include <media/v4l2-ioctl.h>

#include "venc.h"

void venc_queue_eos(struct venc_context *ctx)
{
	static const struct v4l2_event eos = { .type = V4L2_EVENT_EOS };

	v4l2_event_queue_fh(&ctx->fh, &eos);
}

static bool idr_is_due(const struct venc_context *ctx, struct vb2_v4l2_buffer *input)
{
	u32 period = ctx->i_period->cur.val;

	return venc_buffer_of(input)->key || (period && ctx->since_idr >= period);
}

/* Encodes `input` into `output` and fills in what describes it. */
static enum vb2_buffer_state encode(struct venc_context *ctx, struct vb2_v4l2_buffer *input,
				    struct vb2_v4l2_buffer *output)
{
	u8 *buffer = vb2_plane_vaddr(&output->vb2_buf, 0);
	u32 size = vb2_plane_size(&output->vb2_buf, 0);
	const u8 *data = vb2_plane_vaddr(&input->vb2_buf, 0);
	bool first = !ctx->encoder.started;
	struct h264_picture picture = {
		.layout = ctx->format->layout,
		.stride = ctx->stride,
		.plane_rows = ctx->height,
		.height = ctx->crop.height,
	};
	struct h264_params params;
	struct h264_output done;

	v4l2_m2m_buf_copy_metadata(input, output, true);
	output->field = V4L2_FIELD_NONE;
	output->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME);
	vb2_set_plane_payload(&output->vb2_buf, 0, 0);
	if (!data || !buffer)
		return VB2_BUF_STATE_ERROR;
	picture.data = data + input->vb2_buf.planes[0].data_offset;

	venc_params(ctx, &params);
	done = h264_encode(&ctx->encoder, &params, &picture, idr_is_due(ctx, input), buffer, size);
	ctx->since_idr = done.idr ? 1 : ctx->since_idr + 1;
	output->flags |= done.idr ? V4L2_BUF_FLAG_KEYFRAME : V4L2_BUF_FLAG_PFRAME;
	venc_count(VENC_COUNT_PICTURES);
	if (done.idr)
		venc_count(VENC_COUNT_IDRS);
	if (input->vb2_buf.memory == VB2_MEMORY_DMABUF)
		venc_count(VENC_COUNT_FROM_DMABUF);

	if (done.idr && venc_quirk_idr_bytes() > done.bytes) {
		u32 filler = venc_quirk_idr_bytes() - done.bytes;

		done.overflow |= filler > size - done.bytes;
		done.bytes += h264_filler(buffer + done.bytes, size - done.bytes, filler);
	}
	if (first && venc_fault(VENC_FAULT_ZERO_TIMESTAMP))
		output->vb2_buf.timestamp = 0;
	if (venc_fault(VENC_FAULT_ERROR))
		return VB2_BUF_STATE_ERROR;
	if (venc_fault(VENC_FAULT_SHORT))
		done.bytes /= 2;
	vb2_set_plane_payload(&output->vb2_buf, 0, done.bytes);
	return done.overflow ? VB2_BUF_STATE_ERROR : VB2_BUF_STATE_DONE;
}

static void work(struct work_struct *work)
{
	struct venc_context *ctx = container_of(work, struct venc_context, work);
	struct v4l2_m2m_ctx *m2m = ctx->fh.m2m_ctx;
	struct vb2_v4l2_buffer *input = v4l2_m2m_next_src_buf(m2m);
	struct vb2_v4l2_buffer *output = v4l2_m2m_next_dst_buf(m2m);
	enum vb2_buffer_state state;

	if (venc_fault(VENC_FAULT_HANG)) {
		ctx->hung = true;
		v4l2_m2m_job_finish(ctx->device->m2m, m2m);
		return;
	}
	state = encode(ctx, input, output);
	input->sequence = ctx->output_sequence++;
	output->sequence = ctx->capture_sequence++;
	if (v4l2_m2m_is_last_draining_src_buf(m2m, input)) {
		output->flags |= V4L2_BUF_FLAG_LAST;
		v4l2_m2m_mark_stopped(m2m);
		venc_queue_eos(ctx);
	}
	v4l2_m2m_src_buf_remove(m2m);
	v4l2_m2m_dst_buf_remove(m2m);
	v4l2_m2m_buf_done(input, VB2_BUF_STATE_DONE);
	v4l2_m2m_buf_done(output, state);
	v4l2_m2m_job_finish(ctx->device->m2m, m2m);
}

/* Like hardware, it works while the program does something else. */
static void device_run(void *priv)
{
	struct venc_context *ctx = priv;

	queue_work(ctx->device->queue, &ctx->work);
}

static int job_ready(void *priv)
{
	struct venc_context *ctx = priv;

	return !ctx->hung;
}

static const struct v4l2_m2m_ops m2m_ops = {
	.device_run = device_run,
	.job_ready = job_ready,
};

static int venc_open(struct file *file)
{
	struct venc_device *device = video_drvdata(file);
	struct venc_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	int ret;

	if (!ctx)
		return -ENOMEM;
	ctx->device = device;
	INIT_WORK(&ctx->work, work);
	v4l2_fh_init(&ctx->fh, video_devdata(file));
	file->private_data = &ctx->fh;
	ret = venc_controls_init(ctx);
	if (ret)
		goto free_controls;
	venc_default_format(ctx);
	ctx->fh.m2m_ctx = v4l2_m2m_ctx_init(device->m2m, ctx, venc_queue_init);
	if (IS_ERR(ctx->fh.m2m_ctx)) {
		ret = PTR_ERR(ctx->fh.m2m_ctx);
		goto free_controls;
	}
	v4l2_fh_add(&ctx->fh);
	return 0;

free_controls:
	v4l2_ctrl_handler_free(&ctx->controls);
	v4l2_fh_exit(&ctx->fh);
	kfree(ctx);
	return ret;
}

static int venc_release(struct file *file)
{
	struct venc_context *ctx = venc_of_file(file);
	struct venc_device *device = ctx->device;

	v4l2_fh_del(&ctx->fh);
	mutex_lock(&device->lock);
	v4l2_m2m_ctx_release(ctx->fh.m2m_ctx);
	mutex_unlock(&device->lock);
	v4l2_ctrl_handler_free(&ctx->controls);
	v4l2_fh_exit(&ctx->fh);
	kfree(ctx);
	return 0;
}

static const struct v4l2_file_operations file_ops = {
	.owner = THIS_MODULE,
	.open = venc_open,
	.release = venc_release,
	.poll = v4l2_m2m_fop_poll,
	.unlocked_ioctl = video_ioctl2,
	.mmap = v4l2_m2m_fop_mmap,
};

/* The media controller says of the device that it is a video encoder. */
static int register_media(struct venc_device *device)
{
	int ret = v4l2_m2m_register_media_controller(device->m2m, &device->video,
						     MEDIA_ENT_F_PROC_VIDEO_ENCODER);

	if (ret)
		return ret;
	ret = media_device_register(&device->media);
	if (ret)
		v4l2_m2m_unregister_media_controller(device->m2m);
	return ret;
}

static int register_video(struct venc_device *device)
{
	struct video_device *video = &device->video;

	strscpy(video->name, "virtual H.264 encoder", sizeof(video->name));
	video->vfl_dir = VFL_DIR_M2M;
	video->fops = &file_ops;
	video->ioctl_ops = &venc_ioctl_ops;
	video->device_caps = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING;
	video->release = video_device_release_empty;
	video->lock = &device->lock;
	video->v4l2_dev = &device->v4l2;
	video_set_drvdata(video, device);
	return video_register_device(video, VFL_TYPE_VIDEO, -1);
}

static int venc_probe(struct platform_device *pdev)
{
	struct venc_device *device = devm_kzalloc(&pdev->dev, sizeof(*device), GFP_KERNEL);
	int ret;

	if (!device)
		return -ENOMEM;
	mutex_init(&device->lock);
	platform_set_drvdata(pdev, device);
	device->queue = alloc_workqueue(VENC_NAME, WQ_UNBOUND | WQ_HIGHPRI, 1);
	if (!device->queue)
		return -ENOMEM;
	device->media.dev = &pdev->dev;
	strscpy(device->media.model, VENC_NAME, sizeof(device->media.model));
	media_device_init(&device->media);
	device->v4l2.mdev = &device->media;
	ret = v4l2_device_register(&pdev->dev, &device->v4l2);
	if (ret)
		goto cleanup_media;
	device->m2m = v4l2_m2m_init(&m2m_ops);
	if (IS_ERR(device->m2m)) {
		ret = PTR_ERR(device->m2m);
		goto unregister_v4l2;
	}
	ret = register_video(device);
	if (ret)
		goto release_m2m;
	ret = register_media(device);
	if (ret)
		goto unregister_video;
	v4l2_info(&device->v4l2, "virtual H.264 encoder at /dev/video%d\n", device->video.num);
	return 0;

unregister_video:
	video_unregister_device(&device->video);
release_m2m:
	v4l2_m2m_release(device->m2m);
unregister_v4l2:
	v4l2_device_unregister(&device->v4l2);
cleanup_media:
	media_device_cleanup(&device->media);
	destroy_workqueue(device->queue);
	return ret;
}

static void venc_remove(struct platform_device *pdev)
{
	struct venc_device *device = platform_get_drvdata(pdev);

	media_device_unregister(&device->media);
	v4l2_m2m_unregister_media_controller(device->m2m);
	video_unregister_device(&device->video);
	v4l2_m2m_release(device->m2m);
	v4l2_device_unregister(&device->v4l2);
	media_device_cleanup(&device->media);
	destroy_workqueue(device->queue);
}

static struct platform_driver venc_driver = {
	.probe = venc_probe,
	.remove = venc_remove,
	.driver = {
		.name = VENC_NAME,
		/* Open files keep the module, not the device. */
		.suppress_bind_attrs = true,
	},
};

static struct platform_device *venc_platform_device;

static int __init venc_init(void)
{
	int ret = platform_driver_register(&venc_driver);

	if (ret)
		return ret;
	venc_platform_device = platform_device_register_simple(VENC_NAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(venc_platform_device)) {
		platform_driver_unregister(&venc_driver);
		return PTR_ERR(venc_platform_device);
	}
	return 0;
}

static void __exit venc_exit(void)
{
	platform_device_unregister(venc_platform_device);
	platform_driver_unregister(&venc_driver);
}

module_init(venc_init);
module_exit(venc_exit);

MODULE_DESCRIPTION("A virtual H.264 encoder");
MODULE_AUTHOR("p2pcam contributors");
MODULE_LICENSE("GPL");
