# Packages of the p2pcam tree.

include $(sort $(wildcard $(BR2_EXTERNAL_P2PCAM_PATH)/package/*/*.mk))
