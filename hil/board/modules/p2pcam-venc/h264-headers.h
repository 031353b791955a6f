/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NAL units, parameter sets and slice headers (ITU-T H.264, 7.3).
 */
#ifndef H264_HEADERS_H
#define H264_HEADERS_H

#include "h264-bits.h"
#include "h264.h"

/* nal_ref_idc and nal_unit_type as they stand in the first byte. */
enum h264_nal {
	H264_NAL_P = 0x41,
	H264_NAL_IDR = 0x65,
	H264_NAL_SPS = 0x67,
	H264_NAL_PPS = 0x68,
	H264_NAL_FILLER = 0x0c,
};

/* More than a parameter set or a slice header ever takes. */
#define H264_HEADER_MAX_BYTES 128

/* Where NAL units go: what does not fit is cut off. */
struct h264_sink {
	u8 *buffer;
	u32 size;
	u32 used;
	bool overflow;
};

/* A NAL unit with start code and emulation prevention (Annex B, 7.4.1). */
void h264_put_nal(struct h264_sink *sink, enum h264_nal nal, const u8 *rbsp, u32 bytes);

void h264_put_parameter_sets(struct h264_sink *sink, const struct h264_encoder *enc,
			     const struct h264_params *params);

void h264_slice_header(struct h264_bits *bits, const struct h264_encoder *enc,
		       bool idr, u32 qp);

#endif
