// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stand-in for libllama: its step function, with llama.cpp's own signature. The
 * context is what a test wants to be done in a pass. With STEP set to another name
 * it is a library whose symbols were stripped.
 */
#include <stdint.h>

#ifndef STEP
#define STEP llama_decode
#endif

struct llama_batch {
	int32_t n_tokens;
	void *arrays[6];
};

int32_t STEP(int32_t (*pass)(int32_t), struct llama_batch batch);

__attribute__((noinline)) int32_t STEP(int32_t (*pass)(int32_t), struct llama_batch batch)
{
	return pass(batch.n_tokens);
}
