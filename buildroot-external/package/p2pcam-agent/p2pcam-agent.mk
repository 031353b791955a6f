################################################################################
#
# p2pcam-agent
#
################################################################################

P2PCAM_AGENT_VERSION = 0.1.0
P2PCAM_AGENT_SOURCE = p2pcam-$(P2PCAM_AGENT_VERSION).tar.xz
P2PCAM_AGENT_SITE = https://github.com/p2pcam/p2pcam/releases/download/v$(P2PCAM_AGENT_VERSION)
P2PCAM_AGENT_LICENSE = MIT or Apache-2.0
P2PCAM_AGENT_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE

# The release holds its crates: a folder VENDOR, which keeps Buildroot from
# fetching them, and .cargo/config.toml.
P2PCAM_AGENT_SUBDIR = agent
P2PCAM_AGENT_DEPENDENCIES = \
	alsa-lib \
	host-clang \
	host-pkgconf \
	libvpx \
	$(BR2_CMAKE_HOST_DEPENDENCY)

# A checkout in place of a release (P2PCAM_AGENT_OVERRIDE_SRCDIR) has no VENDOR:
# its crates are fetched as Buildroot would at download time, once for all
# builds, and held to Cargo.lock. What a developer built or fetched there (.cache:
# gigabytes, some of it root's) stays there.
ifneq ($(P2PCAM_AGENT_OVERRIDE_SRCDIR),)
P2PCAM_AGENT_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude=/.cache \
	--exclude=/hil-report \
	--exclude=target
define P2PCAM_AGENT_FETCH_CRATES
	mkdir -p $(BR_CARGO_HOME)
	cd $(@D) && $(TARGET_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		flock $(BR_CARGO_HOME)/.br-lock cargo fetch --locked
endef
P2PCAM_AGENT_PRE_BUILD_HOOKS += P2PCAM_AGENT_FETCH_CRATES
endif

# bindgen reads the headers of libvpx and FFmpeg by libclang.
P2PCAM_AGENT_CARGO_ENV = \
	LIBCLANG_PATH=$(HOST_DIR)/lib \
	BINDGEN_EXTRA_CLANG_ARGS="--target=$(GNU_TARGET_NAME) --sysroot=$(STAGING_DIR)" \
	HOST_CC="$(HOSTCC)" \
	HOST_CXX="$(HOSTCXX)" \
	PKG_CONFIG_ALLOW_CROSS=1

P2PCAM_AGENT_CARGO_BUILD_OPTS = --no-default-features --features standard --bin p2pcam-agent

ifeq ($(BR2_PACKAGE_P2PCAM_AGENT_FFMPEG),y)
P2PCAM_AGENT_DEPENDENCIES += ffmpeg
P2PCAM_AGENT_CARGO_BUILD_OPTS += --features ffmpeg
endif

P2PCAM_AGENT_BOARD = $(call qstrip,$(BR2_PACKAGE_P2PCAM_AGENT_BOARD))
# A path is taken as it is, a name is a file of the source.
P2PCAM_AGENT_TOML = $(if $(findstring /,$(P2PCAM_AGENT_BOARD)),$(P2PCAM_AGENT_BOARD),$(@D)/image/boards/$(P2PCAM_AGENT_BOARD).toml)

define P2PCAM_AGENT_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/target/$(RUSTC_TARGET_NAME)/$(if $(BR2_ENABLE_DEBUG),debug,release)/p2pcam-agent \
		$(TARGET_DIR)/usr/bin/p2pcam-agent
	$(INSTALL) -D -m 0640 $(P2PCAM_AGENT_TOML) $(TARGET_DIR)/etc/p2pcam/agent.toml
	$(INSTALL) -D -m 0644 $(@D)/agent/systemd/p2pcam.rules \
		$(TARGET_DIR)/usr/lib/udev/rules.d/60-p2pcam.rules
endef

define P2PCAM_AGENT_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/agent/systemd/p2pcam-agent.service \
		$(TARGET_DIR)/usr/lib/systemd/system/p2pcam-agent.service
endef

define P2PCAM_AGENT_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(@D)/image/sysvinit/p2pcam-agent \
		$(TARGET_DIR)/etc/init.d/S80p2pcam-agent
endef

ifeq ($(BR2_PACKAGE_P2PCAM_AGENT_DEVICE),y)
define P2PCAM_AGENT_INSTALL_DEVICE
	$(INSTALL) -D -m 0755 $(@D)/image/device/p2pcam-device \
		$(TARGET_DIR)/usr/libexec/p2pcam/p2pcam-device
	$(INSTALL) -m 0644 $(@D)/image/device/*.service $(@D)/image/device/*.mount \
		$(TARGET_DIR)/usr/lib/systemd/system/
	$(INSTALL) -D -m 0644 $(@D)/image/device/60-p2pcam-ether.network \
		$(TARGET_DIR)/usr/lib/systemd/network/60-p2pcam-ether.network
	$(INSTALL) -D -m 0644 $(@D)/image/device/60-p2pcam-wlan.network \
		$(TARGET_DIR)/usr/lib/systemd/network/60-p2pcam-wlan.network
	$(INSTALL) -D -m 0644 $(@D)/image/device/60-p2pcam-watchdog.conf \
		$(TARGET_DIR)/usr/lib/systemd/system.conf.d/60-p2pcam-watchdog.conf
	$(INSTALL) -D -m 0644 $(@D)/image/device/p2pcam-agent.conf \
		$(TARGET_DIR)/usr/lib/systemd/system/p2pcam-agent.service.d/50-device.conf
	mkdir -p $(TARGET_DIR)/data
endef
P2PCAM_AGENT_POST_INSTALL_TARGET_HOOKS += P2PCAM_AGENT_INSTALL_DEVICE
endif

ifeq ($(BR2_PACKAGE_LIBCAMERA_V4L2),y)
define P2PCAM_AGENT_INSTALL_LIBCAMERA
	$(INSTALL) -D -m 0644 $(@D)/image/libcamera/60-libcamera.conf \
		$(TARGET_DIR)/usr/lib/systemd/system/p2pcam-agent.service.d/60-libcamera.conf
endef
P2PCAM_AGENT_POST_INSTALL_TARGET_HOOKS += P2PCAM_AGENT_INSTALL_LIBCAMERA
endif

ifeq ($(BR2_PACKAGE_P2PCAM_AGENT_SLOTS),y)
define P2PCAM_AGENT_INSTALL_SLOTS
	$(INSTALL) -D -m 0755 $(@D)/image/update/p2pcam-slot \
		$(TARGET_DIR)/usr/libexec/p2pcam/p2pcam-slot
	$(INSTALL) -D -m 0644 $(@D)/image/update/offer.jsonl \
		$(TARGET_DIR)/usr/share/p2pcam/offer.jsonl
	$(INSTALL) -m 0644 $(@D)/image/update/p2pcam-slot.service \
		$(@D)/image/update/p2pcam-slot-failed.service \
		$(TARGET_DIR)/usr/lib/systemd/system/
endef
P2PCAM_AGENT_POST_INSTALL_TARGET_HOOKS += P2PCAM_AGENT_INSTALL_SLOTS
endif

define P2PCAM_AGENT_USERS
	p2pcam -1 p2pcam -1 * /var/lib/p2pcam - video,audio,gpio,render p2pcam camera agent
endef

define P2PCAM_AGENT_PERMISSIONS
	/etc/p2pcam d 750 root p2pcam - - - - -
	/etc/p2pcam/agent.toml f 640 root p2pcam - - - - -
endef

$(eval $(cargo-package))
