#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The agent's telemetry against the loaded module: see tests/telemetry.
exec "$(dirname "$0")/../../build/tests/telemetry-tests" --gtest_filter="${ITME_TELEMETRY:--NoBtf.*:NoEvent.*}"
