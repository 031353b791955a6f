/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An encoder with pictures to encode and FFmpeg to decode what comes out.
 */
#ifndef RIG_H
#define RIG_H

#include <stdio.h>

#include <libavcodec/avcodec.h>

#include "../p2pcam-venc/h264.h"

/* Ends the test if a condition does not hold. */
#define CHECK(condition, ...)                                            \
	do {                                                             \
		if (!(condition)) {                                      \
			fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);  \
			fprintf(stderr, __VA_ARGS__);                    \
			fputc('\n', stderr);                             \
			exit(1);                                         \
		}                                                        \
	} while (0)

#define OUTPUT_BYTES (4 << 20)

struct rig {
	struct h264_encoder encoder;
	struct h264_params params;
	enum h264_layout layout;
	u32 width, height, stride;
	u8 *raw;	/* in the layout */
	u8 *plain;	/* the same as 4:2:0 planes without gaps */
	u8 *coded;
	struct h264_output last;
	AVCodecContext *decoder;
	AVPacket *packet;
	AVFrame *frame;
};

const char *layout_name(enum h264_layout layout);

/* Strides as bcm2835-codec asks for them; 30 pictures in a second. */
struct rig *rig_new(enum h264_layout layout, u32 width, u32 height, u32 bitrate);
void rig_free(struct rig *r);

/* Draws picture `number`: a strip of cells, and things that move. */
void draw(struct rig *r, u32 number);

/* Draws it and encodes it into r->coded, r->last. */
void encode(struct rig *r, u32 number, bool idr);

/* Decodes r->coded; the picture must come at once and be what the encoder thinks. */
void decode(struct rig *r);

/* Mean square error of the decoded picture against the drawn one, and as dB. */
double error_of(const struct rig *r);
double psnr(double error);

/* The strip of the decoded picture must be that of picture `number`. */
void check_strip(const struct rig *r, u32 number);

#endif
