# The reference image: a camera with a read-only root file system, in two slots if RAUC is there.

SUMMARY ?= "p2pcam camera, locked down"
DESCRIPTION = "No login, no open port but the camera's own, read-only root file system. With the layer meta-rauc and \
conf/distro/include/p2pcam.inc updates are installed into the other of two slots, which must prove itself."
LICENSE = "MIT"

inherit core-image

IMAGE_FEATURES = "read-only-rootfs"
IMAGE_LINGUAS = ""

IMAGE_INSTALL = " \
    kernel-image \
    kernel-modules \
    packagegroup-core-boot \
    packagegroup-p2pcam \
    ${P2PCAM_UPDATE_PACKAGES} \
    ${CORE_IMAGE_EXTRA_INSTALL} \
"
# Filled by conf/distro/include/p2pcam.inc.
P2PCAM_UPDATE_PACKAGES ?= ""
# It would mark a slot good because it booted; p2pcam-slot wants the camera to work.
BAD_RECOMMENDATIONS += "rauc-mark-good"

# Both slots have one size, in KiB, whatever is in the first image; a bundle must fit.
IMAGE_ROOTFS_SIZE = "524288"
IMAGE_OVERHEAD_FACTOR = "1.0"
