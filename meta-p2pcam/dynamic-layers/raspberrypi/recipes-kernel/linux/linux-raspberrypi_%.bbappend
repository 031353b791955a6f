# Cameras, encoder and updates, beside what the vendor's configuration has.

FILESEXTRAPATHS:prepend:p2pcam-ab := "${P2PCAM_TREE}/image/kernel:"

SRC_URI:append:p2pcam-ab = " \
    file://camera.cfg \
    file://raspberrypi.cfg \
    file://update.cfg \
"
SRC_URI:append:raspberrypi5:p2pcam-ab = " file://raspberrypi5.cfg"
