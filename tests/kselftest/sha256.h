/* SPDX-License-Identifier: GPL-2.0-only */
/* SHA-256 (FIPS 180-4), so that the tests need no library. */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>

#define SHA256_BYTES 32

void sha256(const void *data, size_t bytes, unsigned char digest[SHA256_BYTES]);

#endif /* SHA256_H */
