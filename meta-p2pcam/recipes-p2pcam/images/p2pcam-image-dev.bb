# The reference image with a way in: for developers, never for the field.

SUMMARY = "p2pcam camera for developers: SSH, root without a password, tools"

require p2pcam-image.bb

IMAGE_FEATURES += "allow-empty-password empty-root-password ssh-server-dropbear"
IMAGE_INSTALL += "packagegroup-p2pcam-debug"
