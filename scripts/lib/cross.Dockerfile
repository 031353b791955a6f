# The image in which `cross` builds the agent: see Cross.toml. Debian's cross compiler, and the libraries of cross.conf.
FROM debian:bookworm

# From cross: Debian's word for the board's architecture.
ARG CROSS_DEB_ARCH
# From Cross.toml: GNU's word for it, and what C is compiled with.
ARG TRIPLE
ARG FLAGS

COPY scripts/lib/cross.conf /cross.conf
# libopus wants CMake, the bindings of libvpx libclang; build scripts run on this side.
RUN . /cross.conf \
    && dpkg --add-architecture "$CROSS_DEB_ARCH" \
    && apt-get update \
    && apt-get install --assume-yes --no-install-recommends \
        ca-certificates cmake g++ gcc git libc6-dev libclang-dev make pkg-config \
        "g++-$TRIPLE" "gcc-$TRIPLE" \
        $(for name in $CROSS_LIBRARIES; do echo "$name:$CROSS_DEB_ARCH"; done) \
    && rm -rf /var/lib/apt/lists/*

ENV PKG_CONFIG_ALLOW_CROSS=1 \
    PKG_CONFIG_PATH= \
    PKG_CONFIG_LIBDIR=/usr/lib/$TRIPLE/pkgconfig:/usr/share/pkgconfig \
    BINDGEN_EXTRA_CLANG_ARGS=-I/usr/include/$TRIPLE \
    TARGET_CC=$TRIPLE-gcc TARGET_CXX=$TRIPLE-g++ TARGET_AR=$TRIPLE-ar \
    TARGET_CFLAGS=$FLAGS TARGET_CXXFLAGS=$FLAGS \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
