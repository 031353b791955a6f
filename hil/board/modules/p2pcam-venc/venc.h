/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtual H.264 encoder: what its files share.
 *
 * A stateful memory-to-memory encoder after the kernel's "Memory-to-memory
 * Stateful Video Encoder Interface", multi-planar with one plane. Formats,
 * strides, limits and controls are those of the Raspberry Pi's
 * bcm2835-codec, so that a program which runs here meets what it will meet
 * there. What it makes of a picture: h264.h. Faults on request:
 * venc-faults.c.
 */
#ifndef VENC_H
#define VENC_H

#include <linux/videodev2.h>
#include <linux/workqueue.h>
#include <media/media-device.h>
#include <media/v4l2-ctrls.h>
#include <media/v4l2-device.h>
#include <media/v4l2-fh.h>
#include <media/v4l2-mem2mem.h>
#include <media/videobuf2-v4l2.h>

#include "h264.h"

#define VENC_NAME "p2pcam-venc"

/* An input format. Strides are multiples of `align` bytes. */
struct venc_format {
	u32 fourcc;
	enum h264_layout layout;
	u32 align;
	u32 bytes_per_pixel;	/* of a row of luma */
	u32 rows_x2;		/* rows in all, for each row of luma, times 2 */
};

struct venc_device {
	struct v4l2_device v4l2;
	struct media_device media;
	struct video_device video;
	struct v4l2_m2m_dev *m2m;
	struct workqueue_struct *queue;
	struct mutex lock;	/* of ioctls and of all queues */
};

/* What an open file has. */
struct venc_context {
	struct v4l2_fh fh;
	struct venc_device *device;
	struct work_struct work;

	/* The OUTPUT format; CAPTURE has the size of the crop. */
	const struct venc_format *format;
	u32 width;
	u32 height;
	u32 stride;
	u32 sizeimage;
	struct v4l2_rect crop;
	u32 capture_sizeimage;
	struct v4l2_fract interval;
	u32 colorspace, xfer_func, ycbcr_enc, quantization;

	struct v4l2_ctrl_handler controls;
	struct v4l2_ctrl *bitrate, *profile, *level, *i_period, *repeat_headers;
	struct v4l2_ctrl *min_qp, *max_qp;
	bool key_wanted;	/* for the next OUTPUT buffer that is queued */

	struct h264_encoder encoder;
	u32 since_idr;		/* pictures since the last one, itself included */
	u32 output_sequence;
	u32 capture_sequence;
	bool hung;		/* by a fault, until the file is closed */
};

struct venc_buffer {
	struct v4l2_m2m_buffer m2m;
	bool key;		/* of OUTPUT: is to become an IDR */
};

static inline struct venc_context *venc_of_file(struct file *file)
{
	return container_of(file->private_data, struct venc_context, fh);
}

static inline struct venc_buffer *venc_buffer_of(struct vb2_v4l2_buffer *vbuf)
{
	return container_of(vbuf, struct venc_buffer, m2m.vb);
}

/* venc-core.c */
void venc_queue_eos(struct venc_context *ctx);

/* venc-queue.c */
int venc_queue_init(void *priv, struct vb2_queue *output, struct vb2_queue *capture);

/* venc-format.c */
extern const struct v4l2_ioctl_ops venc_ioctl_ops;
void venc_default_format(struct venc_context *ctx);

/* venc-controls.c */
int venc_controls_init(struct venc_context *ctx);
void venc_params(struct venc_context *ctx, struct h264_params *params);

/* venc-faults.c */
enum venc_fault {
	VENC_FAULT_HANG,
	VENC_FAULT_ERROR,
	VENC_FAULT_SHORT,
	VENC_FAULT_ZERO_TIMESTAMP,
	VENC_FAULTS
};

/* Whether the fault is to happen now; a counted one is used up. */
bool venc_fault(enum venc_fault fault);
u32 venc_quirk_min_bitrate(void);
u32 venc_quirk_idr_bytes(void);
u32 venc_quirk_capture_bytes(void);
void venc_quirk_driver(char *name, size_t size);

enum venc_count {
	VENC_COUNT_PICTURES,
	VENC_COUNT_IDRS,
	VENC_COUNT_FROM_DMABUF,
	VENC_COUNT_IMPORTS,
	VENC_COUNTS
};

void venc_count(enum venc_count count);

#endif
