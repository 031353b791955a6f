// SPDX-License-Identifier: GPL-2.0
/*
 * Test of the virtual encoder's bitstream on the host: FFmpeg decodes what it
 * writes, and the pictures are compared with the input. Started by ../selftest.
 */
#include "rig.h"

/* From this rate on the strip is right in each picture, also beside an IDR. */
#define STRIP_FROM 300000

static void pictures_resemble_the_input(enum h264_layout layout, u32 width, u32 height, u8 profile)
{
	struct rig *r = rig_new(layout, width, height, 2000000);
	double worst = 0;
	u32 i;

	r->params.profile_idc = profile;
	for (i = 0; i < 40; i++) {
		double error;

		encode(r, i, i == 25);
		decode(r);
		CHECK(r->last.idr == (i == 0 || i == 25), "picture %u is of the wrong kind", i);
		CHECK(r->coded[4] == (i == 0 ? 0x67 : i == 25 ? 0x65 : 0x41),
		      "picture %u begins with NAL %02x", i, r->coded[4]);
		error = error_of(r);
		if (error > worst)
			worst = error;
		check_strip(r, i);
	}
	CHECK(psnr(worst) > 20, "only %.1f dB", psnr(worst));
	printf("%s %ux%u profile %u: worst picture %.1f dB\n", layout_name(layout), width, height,
	       profile, psnr(worst));
	rig_free(r);
}

static void sizes_follow_the_bitrate(u32 width, u32 height, u32 bitrate)
{
	struct rig *r = rig_new(H264_NV12, width, height, bitrate);
	u32 seconds = 4, i;
	double bits = 0, error = 0, share;

	for (i = 0; i < seconds * 30; i++) {
		encode(r, i, i % 60 == 0);
		decode(r);
		bits += r->last.bytes * 8.0;
		error += error_of(r);
		if (bitrate >= STRIP_FROM)
			check_strip(r, i);
	}
	share = bits / seconds / bitrate;
	printf("%ux%u at %8u bit/s: %5.1f %%, %.1f dB\n", width, height, bitrate, share * 100,
	       psnr(error / seconds / 30));
	CHECK(share > 0.9 && share < 1.1, "the sizes do not follow the bit rate");
	rig_free(r);
}

static void a_new_bitrate_is_met(void)
{
	struct rig *r = rig_new(H264_I420, 640, 480, 4000000);
	double bits = 0;
	u32 i;

	for (i = 0; i < 120; i++) {
		if (i == 30)
			r->params.bitrate = 500000;
		encode(r, i, false);
		decode(r);
		if (i >= 60)
			bits += r->last.bytes * 8.0;
	}
	CHECK(bits / 2 > 450000 && bits / 2 < 550000, "%.0f bit/s after the change", bits / 2);
	rig_free(r);
}

static void a_still_picture_becomes_exact(enum h264_layout layout)
{
	struct rig *r = rig_new(layout, 320, 240, 4000000);
	u32 i;

	for (i = 0; i < 60; i++) {
		encode(r, 7, false);
		decode(r);
	}
	CHECK(error_of(r) == 0, "%s is %.3f away from the input", layout_name(layout), error_of(r));
	rig_free(r);
}

static void headers_are_repeated_on_request(void)
{
	struct rig *r = rig_new(H264_I420, 320, 240, 500000);

	r->params.repeat_headers = true;
	encode(r, 0, false);
	encode(r, 1, false);
	CHECK(r->coded[4] == 0x41, "a P picture begins with NAL %02x", r->coded[4]);
	encode(r, 2, true);
	CHECK(r->coded[4] == 0x67, "an IDR begins with NAL %02x", r->coded[4]);
	rig_free(r);
}

static void black_and_zero_samples_survive(void)
{
	struct rig *r = rig_new(H264_I420, 64, 64, 8000000);
	struct h264_picture picture = {
		.layout = H264_I420, .data = r->raw, .stride = 64, .plane_rows = 64, .height = 64,
	};
	int i;

	/* 00 00 0x must not be taken for a start code. */
	for (i = 0; i < 5; i++) {
		memset(r->raw, 0, 64 * 96);
		r->raw[100 + i] = i;
		memcpy(r->plain, r->raw, 64 * 96);
		r->last = h264_encode(&r->encoder, &r->params, &picture, false, r->coded, OUTPUT_BYTES);
		decode(r);
		CHECK(error_of(r) == 0, "picture %d of zeros is not the same", i);
	}
	rig_free(r);
}

static void filler_is_skipped(void)
{
	struct rig *r = rig_new(H264_I420, 320, 240, 500000);
	u32 bytes;

	encode(r, 0, false);
	bytes = h264_filler(r->coded + r->last.bytes, OUTPUT_BYTES - r->last.bytes, 100000);
	CHECK(bytes == 100000, "%u bytes of filler", bytes);
	r->last.bytes += bytes;
	decode(r);
	check_strip(r, 0);
	CHECK(!h264_filler(r->coded, 100, 101) && !h264_filler(r->coded, 100, 5), "a filler out of bounds");
	rig_free(r);
}

static void a_small_buffer_cuts_and_says_so(void)
{
	struct rig *r = rig_new(H264_I420, 640, 480, 500000);
	struct h264_picture picture = {
		.layout = H264_I420, .data = r->raw, .stride = r->stride,
		.plane_rows = 480, .height = 480,
	};

	draw(r, 0);
	r->coded[1000] = 0xa5;
	r->last = h264_encode(&r->encoder, &r->params, &picture, false, r->coded, 1000);
	CHECK(r->last.overflow && r->last.bytes == 1000 && r->coded[1000] == 0xa5,
	      "%u bytes, overflow %d", r->last.bytes, r->last.overflow);
	rig_free(r);
}

int main(void)
{
	static const u32 bitrates[] = { 100000, 300000, 1000000, 2500000, 8000000, 25000000 };
	enum h264_layout layout;
	u32 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (layout = H264_I420; layout <= H264_YUYV; layout++) {
		pictures_resemble_the_input(layout, 640, 480, 66);
		pictures_resemble_the_input(layout, 1280, 720, 100);
		pictures_resemble_the_input(layout, 354, 290, 77);
		a_still_picture_becomes_exact(layout);
	}
	pictures_resemble_the_input(H264_NV12, 1920, 1080, 66);
	for (i = 0; i < ARRAY_SIZE(bitrates); i++)
		sizes_follow_the_bitrate(640, 480, bitrates[i]);
	sizes_follow_the_bitrate(1280, 720, 400000);
	sizes_follow_the_bitrate(1280, 720, 4000000);
	a_new_bitrate_is_met();
	headers_are_repeated_on_request();
	black_and_zero_samples_survive();
	filler_is_skipped();
	a_small_buffer_cuts_and_says_so();
	puts("The bitstream is right.");
	return 0;
}
