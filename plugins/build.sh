#!/bin/sh
# Builds the modules of this directory: each NAME/NAME.c becomes NAME/NAME.wasm, byte for byte the same on every machine with this compiler.
#
#   plugins/build.sh [-o DIR] [NAME...]     no NAME: all; -o: into DIR instead of beside the sources
#
# It needs clang and lld 19 of Debian (12 or later):
#   apt-get install --no-install-recommends clang-19 lld-19
# The linker is called directly: clang would run wasm-opt in between when it finds one, and the bytes would depend on that.
set -eu
cd "$(dirname "$0")"
version=19.1.7

out=
if [ "${1:-}" = -o ]; then
	out=$2
	shift 2
fi
if ! clang-19 --version 2>/dev/null | grep -q "version $version"; then
	echo "clang-19 $version is not installed: apt-get install --no-install-recommends clang-19 lld-19" >&2
	exit 3
fi
if [ $# = 0 ]; then
	set -- slack discord teams pagerduty cloudevents splunk-hec redact pick flatten csv-line mask probe
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name; do
	case $name in
	probe) dir=internal/probe ;; # of the tests
	*) dir=$name ;;
	esac
	clang-19 --target=wasm32 -std=c11 -Os -mbulk-memory -Wall -Wextra -Werror -Wno-unused-function -ffreestanding -fno-ident \
		-Isdk/c -Iinternal -c -o "$work/$name.o" "$dir/$name.c"
	wasm-ld-19 --no-entry --strip-all --stack-first -z stack-size=32768 -o "${out:-$dir}/$name.wasm" "$work/$name.o"
	chmod 644 "${out:-$dir}/$name.wasm"
done
