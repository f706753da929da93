#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module's type information is not there.
# shellcheck source=/dev/null disable=SC2154 # of telemetry_module.sh
. "$(dirname "$(readlink -f "$0")")/telemetry_module.sh"

with_module 'NoBtf.*' objcopy --remove-section=.BTF "$ko" "$work/itme.ko"
