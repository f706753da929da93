/* SPDX-License-Identifier: GPL-2.0-only */
/* A block device of known content that can be made to hang, to refuse, and to go on. */
#ifndef DEVICE_H
#define DEVICE_H

#include "util.h"

struct device {
	char path[64]; /* what to attach */
	char file[256], loop[64]; /* what it lies on */
	__u64 bytes;
	bool mapped; /* the device-mapper's device is there */
};

/* One at a time. 0 or a negative errno, with nothing left behind. */
int device_make(struct device *device, __u64 bytes, __u64 seed);
/* 0, or -EIO where something is left. What still reads it is waited for. */
int device_remove(struct device *device);
/* What is submitted to it waits until it goes on. Either twice does no harm. */
int device_hang(struct device *device);
int device_go_on(struct device *device);

/* It reads, and fails every write and flush, until it takes them again. */
int device_refuse_writes(struct device *device);
int device_take_writes(struct device *device);
/* It fails everything, as what was unplugged, until it takes writes again. */
int device_lose(struct device *device);
/* It refuses writes every other second, until it takes them again. */
int device_flake(struct device *device);
/* Each write takes half a second, reads and flushes nothing, until it takes writes again. */
int device_delay_writes(struct device *device);
/* It is marked read-only, or no more. */
int device_protect(struct device *device, bool protect);

#endif /* DEVICE_H */
