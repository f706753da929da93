#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module does not have one of the trace events: its types know it by another name.
# shellcheck source=/dev/null disable=SC2154 # of telemetry_module.sh
. "$(dirname "$(readlink -f "$0")")/telemetry_module.sh"

rename() {
	sed 's/btf_trace_evict/btf_trace_later/' "$ko" >"$work/itme.ko" && ! cmp -s "$ko" "$work/itme.ko"
}
with_module 'NoEvent.*' rename
