# An update: the reference image as a signed RAUC bundle.

SUMMARY = "Update of a p2pcam camera"
DESCRIPTION = "The reference image as a RAUC bundle of the format verity, signed with RAUC_KEY_FILE."
HOMEPAGE = "https://github.com/p2pcam/p2pcam"
LICENSE = "MIT"

# Images come from their recipes.
SRC_URI = ""

inherit bundle

RAUC_BUNDLE_COMPATIBLE = "p2pcam-${MACHINE}"
RAUC_BUNDLE_DESCRIPTION = "p2pcam camera"
RAUC_BUNDLE_VERSION ?= "${DISTRO_VERSION}"
RAUC_BUNDLE_FORMAT = "verity"

RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "p2pcam-image"
RAUC_SLOT_rootfs[fstype] = "ext4"
