// SPDX-License-Identifier: GPL-2.0-only
#include "sha256.h"

#include <linux/types.h>
#include <string.h>

#define BLOCK 64

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const __u32 k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline __u32 rotate(__u32 x, int n)
{
	return x >> n | x << (32 - n);
}

static inline __u32 big_endian(const unsigned char *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

static inline void do_round(__u32 s[8], int t, __u32 kw)
{
	__u32 a = s[-t & 7], b = s[(1 - t) & 7], c = s[(2 - t) & 7];
	__u32 e = s[(4 - t) & 7], f = s[(5 - t) & 7], g = s[(6 - t) & 7];
	__u32 t1 = s[(7 - t) & 7] + kw + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
		      ((e & f) ^ (~e & g));

	s[(3 - t) & 7] += t1;
	s[(7 - t) & 7] = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
			 ((a & b) ^ (a & c) ^ (b & c));
}

static void add_block(__u32 h[8], const unsigned char *block)
{
	__u32 w[64], s[8];
	int t;

	for (t = 0; t < 16; t++)
		w[t] = big_endian(block + 4 * t);
	for (; t < 64; t++) {
		__u32 a = w[t - 15], b = w[t - 2];

		w[t] = w[t - 16] + w[t - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) +
		       (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
	}
	memcpy(s, h, sizeof(s));
	/* The eight variables stay where they are; their names go round. */
	for (t = 0; t < 64; t += 8) {
		do_round(s, 0, k[t] + w[t]);
		do_round(s, 1, k[t + 1] + w[t + 1]);
		do_round(s, 2, k[t + 2] + w[t + 2]);
		do_round(s, 3, k[t + 3] + w[t + 3]);
		do_round(s, 4, k[t + 4] + w[t + 4]);
		do_round(s, 5, k[t + 5] + w[t + 5]);
		do_round(s, 6, k[t + 6] + w[t + 6]);
		do_round(s, 7, k[t + 7] + w[t + 7]);
	}
	for (t = 0; t < 8; t++)
		h[t] += s[t];
}

void sha256(const void *data, size_t bytes, unsigned char digest[SHA256_BYTES])
{
	__u32 h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	unsigned char last[2 * BLOCK] = {};
	const unsigned char *at = data;
	__u64 bits = (__u64)bytes * 8;
	size_t rest, end;
	int i;

	for (rest = bytes; rest >= BLOCK; rest -= BLOCK, at += BLOCK)
		add_block(h, at);
	memcpy(last, at, rest);
	last[rest] = 0x80;
	end = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
	for (i = 0; i < 8; i++)
		last[end - 1 - i] = bits >> (8 * i);
	add_block(h, last);
	if (end > BLOCK)
		add_block(h, last + BLOCK);
	for (i = 0; i < SHA256_BYTES; i++)
		digest[i] = h[i / 4] >> (24 - i % 4 * 8);
}
