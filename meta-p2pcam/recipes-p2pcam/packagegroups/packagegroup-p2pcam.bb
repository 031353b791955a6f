# Everything that makes an image a p2pcam camera.

SUMMARY = "p2pcam camera"
DESCRIPTION = "The camera agent, the identity of the unit, and what helps a technician at the board."
SUMMARY:${PN}-debug = "p2pcam camera: tools for a technician"

# The agent's configuration is the board's.
PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

PACKAGES = "${PN} ${PN}-debug"

# Identity and state on a data partition, for machines whose layout has one.
P2PCAM_DEVICE_PACKAGES ?= ""
# libcamera's way to CSI cameras, set by boards that need it.
P2PCAM_CSI_PACKAGES ?= ""

RDEPENDS:${PN} = " \
    ${P2PCAM_CSI_PACKAGES} \
    ${P2PCAM_DEVICE_PACKAGES} \
    p2pcam-agent \
"
RDEPENDS:${PN}-debug = " \
    alsa-utils-amixer \
    alsa-utils-aplay \
    v4l-utils \
"
