// SPDX-License-Identifier: GPL-2.0
/*
 * Faults on request, quirks of real encoders, and counters, all as module
 * parameters: /sys/module/p2pcam_venc/parameters. ../README.md lists them.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "venc.h"

/* Times that a fault is still to happen; below 0: always. */
static atomic_t faults[VENC_FAULTS];
static atomic_t counts[VENC_COUNTS];

static int set_fault(const char *value, const struct kernel_param *param)
{
	int times, ret = kstrtoint(value, 0, &times);

	if (!ret)
		atomic_set((atomic_t *)param->arg, times);
	return ret;
}

static int get_atomic(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", atomic_read((atomic_t *)param->arg));
}

static const struct kernel_param_ops fault_ops = {
	.set = set_fault,
	.get = get_atomic,
};

static const struct kernel_param_ops count_ops = {
	.get = get_atomic,
};

module_param_cb(fault_hang, &fault_ops, &faults[VENC_FAULT_HANG], 0644);
MODULE_PARM_DESC(fault_hang, "Open files that stop giving anything back until they are closed (-1: all)");

module_param_cb(fault_error, &fault_ops, &faults[VENC_FAULT_ERROR], 0644);
MODULE_PARM_DESC(fault_error, "Pictures that get lost: their buffer is empty and has the flag ERROR (-1: all)");

module_param_cb(fault_short, &fault_ops, &faults[VENC_FAULT_SHORT], 0644);
MODULE_PARM_DESC(fault_short, "Access units that are cut in half, without a word (-1: all)");

module_param_cb(fault_zero_timestamp, &fault_ops, &faults[VENC_FAULT_ZERO_TIMESTAMP], 0644);
MODULE_PARM_DESC(fault_zero_timestamp, "Streams whose first picture has the timestamp 0 (-1: all)");

static uint quirk_min_bitrate;
module_param(quirk_min_bitrate, uint, 0644);
MODULE_PARM_DESC(quirk_min_bitrate, "Bit rate below which VIDIOC_QBUF of a picture fails (bit/s, 0: none)");

static uint quirk_idr_bytes;
module_param(quirk_idr_bytes, uint, 0644);
MODULE_PARM_DESC(quirk_idr_bytes, "Size that filler data gives each IDR at least (bytes, 0: none)");

static uint quirk_capture_bytes;
module_param(quirk_capture_bytes, uint, 0644);
MODULE_PARM_DESC(quirk_capture_bytes, "Least sizeimage of CAPTURE (bytes, 0: 512 KiB, above 1280x720 768 KiB)");

static char *quirk_driver = VENC_NAME;
module_param(quirk_driver, charp, 0644);
MODULE_PARM_DESC(quirk_driver, "What VIDIOC_QUERYCAP says in `driver`, for instance bcm2835-codec");

module_param_cb(count_pictures, &count_ops, &counts[VENC_COUNT_PICTURES], 0444);
MODULE_PARM_DESC(count_pictures, "Pictures encoded since the module was loaded");

module_param_cb(count_idrs, &count_ops, &counts[VENC_COUNT_IDRS], 0444);
MODULE_PARM_DESC(count_idrs, "IDRs among them");

module_param_cb(count_from_dmabuf, &count_ops, &counts[VENC_COUNT_FROM_DMABUF], 0444);
MODULE_PARM_DESC(count_from_dmabuf, "Pictures among them that came in an imported DMA buffer");

module_param_cb(count_imports, &count_ops, &counts[VENC_COUNT_IMPORTS], 0444);
MODULE_PARM_DESC(count_imports, "DMA buffers imported: as many as there are, if each keeps its index");

bool venc_fault(enum venc_fault fault)
{
	int times = atomic_read(&faults[fault]);

	do {
		if (times <= 0)
			return times < 0;
	} while (!atomic_try_cmpxchg(&faults[fault], &times, times - 1));
	return true;
}

void venc_count(enum venc_count count)
{
	atomic_inc(&counts[count]);
}

u32 venc_quirk_min_bitrate(void)
{
	return READ_ONCE(quirk_min_bitrate);
}

u32 venc_quirk_idr_bytes(void)
{
	return READ_ONCE(quirk_idr_bytes);
}

u32 venc_quirk_capture_bytes(void)
{
	return READ_ONCE(quirk_capture_bytes);
}

void venc_quirk_driver(char *name, size_t size)
{
	kernel_param_lock(THIS_MODULE);
	strscpy(name, quirk_driver, size);
	kernel_param_unlock(THIS_MODULE);
	/* `echo` adds one. */
	strim(name);
}
