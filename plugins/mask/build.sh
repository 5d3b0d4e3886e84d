#!/bin/sh
# Rebuilds mask.wasm. It needs clang and lld with the wasm32 target (Debian: apt install clang lld).
set -eu
cd "$(dirname "$0")"
clang --target=wasm32 -Oz -Wall -Wextra -Werror -ffreestanding -nostdlib -fno-builtin \
	-Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=4096 \
	-o mask.wasm mask.c
ls -l mask.wasm
