# Cameras and updates on Rockchip's boards with a mainline kernel.

FILESEXTRAPATHS:prepend:p2pcam-ab := "${P2PCAM_TREE}/image/kernel:"

SRC_URI:append:rockchip:p2pcam-ab = " \
    file://camera.cfg \
    file://rockchip.cfg \
    file://update.cfg \
"
