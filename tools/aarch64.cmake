# Builds for 64-bit ARM on another machine; tests run in QEMU.  On Debian 12:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc-aarch64-linux-gnu qemu-user-static libc6:arm64 libjansson-dev:arm64 \
#     libpcre2-dev:arm64 libutf8proc-dev:arm64 libsqlite3-dev:arm64 libreadline-dev:arm64 \
#     libcmocka-dev:arm64 libflint-dev:arm64 libflint-arb-dev:arm64
#   cmake --preset aarch64 && cmake --build build-aarch64 && ctest --test-dir build-aarch64 -R unit_
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -cpu max)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
