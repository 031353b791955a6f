// SPDX-License-Identifier: GPL-2.0
/*
 * An encoder with pictures to encode and FFmpeg to decode what comes out.
 */
#include <math.h>

#include "rig.h"

#define CELLS 40	/* of a row of the strip that carries the picture's number */

const char *layout_name(enum h264_layout layout)
{
	return layout == H264_I420 ? "I420" : layout == H264_NV12 ? "NV12" : "YUYV";
}

struct rig *rig_new(enum h264_layout layout, u32 width, u32 height, u32 bitrate)
{
	struct rig *r = calloc(1, sizeof(*r));
	const AVCodec *codec = avcodec_find_decoder(AV_CODEC_ID_H264);
	u32 align = layout == H264_NV12 ? 32 : 64;

	CHECK(r && codec, "no memory, or this FFmpeg decodes no H.264");
	r->layout = layout;
	r->width = width;
	r->height = height;
	r->stride = width * (layout == H264_YUYV ? 2 : 1);
	r->stride = (r->stride + align - 1) / align * align;
	r->params = (struct h264_params){
		.profile_idc = 66, .constraint_flags = 0xc0, .level_idc = 40,
		.min_qp = 20, .max_qp = 51, .bitrate = bitrate,
		.rate_num = 30, .rate_den = 1,
	};
	r->raw = calloc(r->stride * height, 2);
	r->plain = calloc(width * height, 2);
	r->coded = calloc(OUTPUT_BYTES + AV_INPUT_BUFFER_PADDING_SIZE, 1);
	CHECK(r->raw && r->plain && r->coded && !h264_init(&r->encoder, width, height), "no memory");
	r->decoder = avcodec_alloc_context3(codec);
	r->decoder->thread_count = 1;
	r->decoder->flags |= AV_CODEC_FLAG_LOW_DELAY;
	r->decoder->err_recognition = AV_EF_EXPLODE | AV_EF_BITSTREAM | AV_EF_BUFFER;
	CHECK(!avcodec_open2(r->decoder, codec, NULL), "the decoder does not open");
	r->packet = av_packet_alloc();
	r->frame = av_frame_alloc();
	return r;
}

void rig_free(struct rig *r)
{
	h264_release(&r->encoder);
	avcodec_free_context(&r->decoder);
	av_packet_free(&r->packet);
	av_frame_free(&r->frame);
	free(r->raw);
	free(r->plain);
	free(r->coded);
	free(r);
}

/* The bit that a cell of the strip carries: a frame number of 16 bits, repeated. */
static int cell_bit(u32 number, u32 cell)
{
	return number >> (cell % 16) & 1;
}

/* A strip of cells above a drifting gradient, a moving box and some texture. */
static void paint(struct rig *r, u32 number)
{
	u32 cell = r->width / CELLS, x, y;
	u8 *luma = r->plain, *cb = luma + r->width * r->height;
	u8 *cr = cb + r->width * r->height / 4;
	u32 box_x = number * 5 % (r->width - 40), box_y = r->height / 2;

	for (y = 0; y < r->height; y++) {
		for (x = 0; x < r->width; x++) {
			u32 value = 40 + (x + y + number) % 180;

			if (y < cell && x < cell * CELLS)
				value = cell_bit(number, x / cell) ? 235 : 16;
			else if (x - box_x < 40 && y - box_y < 40)
				value = 220;
			else if (x > r->width * 3 / 4)
				value = (x * 31 + y * 17) % 97 + 60;
			luma[y * r->width + x] = value;
		}
	}
	for (y = 0; y < r->height / 2; y++) {
		for (x = 0; x < r->width / 2; x++) {
			cb[y * r->width / 2 + x] = 64 + x * 128 * 2 / r->width;
			cr[y * r->width / 2 + x] = 64 + (y + number) % 128;
		}
	}
}

/* What is not to be seen at the right of a row is made as ugly as can be. */
static void lay_out(struct rig *r)
{
	u32 w = r->width, h = r->height, x, y, c;
	const u8 *chroma[2] = { r->plain + w * h, r->plain + w * h * 5 / 4 };
	u8 *out;

	memset(r->raw, 0, (size_t)r->stride * h * 2);
	for (y = 0; y < h; y++) {
		out = r->raw + y * r->stride;
		if (r->layout != H264_YUYV) {
			memcpy(out, r->plain + y * w, w);
			continue;
		}
		for (x = 0; x < w; x++) {
			out[x * 2] = r->plain[y * w + x];
			out[x * 2 + 1] = chroma[x & 1][y / 2 * (w / 2) + x / 2];
		}
	}
	for (y = 0; y < h / 2 && r->layout != H264_YUYV; y++) {
		for (c = 0; c < 2; c++) {
			const u8 *from = chroma[c] + y * (w / 2);

			if (r->layout == H264_I420) {
				out = r->raw + r->stride * h + c * (r->stride / 2) * (h / 2);
				memcpy(out + y * (r->stride / 2), from, w / 2);
				continue;
			}
			out = r->raw + r->stride * (h + y) + c;
			for (x = 0; x < w / 2; x++)
				out[x * 2] = from[x];
		}
	}
}

void draw(struct rig *r, u32 number)
{
	paint(r, number);
	lay_out(r);
}

void encode(struct rig *r, u32 number, bool idr)
{
	struct h264_picture picture = {
		.layout = r->layout, .data = r->raw, .stride = r->stride,
		.plane_rows = r->height, .height = r->height,
	};

	draw(r, number);
	r->last = h264_encode(&r->encoder, &r->params, &picture, idr, r->coded, OUTPUT_BYTES);
	CHECK(!r->last.overflow && r->last.bytes, "picture %u overflowed", number);
}

/* The decoder's samples must be those that the encoder predicts from. */
static void check_drift(const struct rig *r)
{
	u32 mb_width = r->encoder.mb_width, x, y, i;

	for (y = 0; y < r->height / 4; y++) {
		for (x = 0; x < r->width / 4; x++) {
			const u8 *from = r->frame->data[0] + 4 * y * r->frame->linesize[0] + 4 * x;
			u32 mb = y / 4 * mb_width + x / 4, sum = 0;

			for (i = 0; i < 16; i++)
				sum += from[i / 4 * r->frame->linesize[0] + i % 4];
			CHECK(sum == r->encoder.mb[mb].sum[y % 4 * 4 + x % 4],
			      "block %u %u is not what the encoder thinks", x, y);
		}
	}
}

/* Each access unit must give its picture at once. */
void decode(struct rig *r)
{
	r->packet->data = r->coded;
	r->packet->size = r->last.bytes;
	CHECK(!avcodec_send_packet(r->decoder, r->packet), "FFmpeg refuses an access unit");
	CHECK(!avcodec_receive_frame(r->decoder, r->frame), "FFmpeg gives no picture");
	CHECK(!r->frame->decode_error_flags, "FFmpeg conceals errors");
	CHECK(r->frame->width == (int)r->width && r->frame->height == (int)r->height,
	      "the decoded picture is %dx%d", r->frame->width, r->frame->height);
	CHECK(r->frame->pict_type == (r->last.idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_P),
	      "the picture is of another type");
	check_drift(r);
}

/* Mean square error of the planes in 4:2:0, weighted by samples. */
double error_of(const struct rig *r)
{
	const u8 *plain = r->plain;
	double sum = 0;
	u32 plane, x, y;

	for (plane = 0; plane < 3; plane++) {
		u32 w = plane ? r->width / 2 : r->width, h = plane ? r->height / 2 : r->height;

		for (y = 0; y < h; y++) {
			const u8 *row = r->frame->data[plane] + y * r->frame->linesize[plane];

			for (x = 0; x < w; x++) {
				int by = row[x] - *plain++;

				sum += by * by;
			}
		}
	}
	return sum / (r->width * r->height * 1.5);
}

double psnr(double error)
{
	return error > 0 ? 10 * log10(255 * 255 / error) : 99;
}

/* The strip must be right in this very picture. */
void check_strip(const struct rig *r, u32 number)
{
	u32 size = r->width / CELLS, margin = size / 4, cell, x, y;

	for (cell = 0; cell < CELLS; cell++) {
		u32 sum = 0, count = 0;

		for (y = margin; y < size - margin; y++) {
			for (x = margin; x < size - margin; x++, count++)
				sum += r->frame->data[0][y * r->frame->linesize[0] + cell * size + x];
		}
		CHECK((sum / count >= 126) == cell_bit(number, cell),
		      "cell %u of picture %u is wrong", cell, number);
	}
}

