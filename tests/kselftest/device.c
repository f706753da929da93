// SPDX-License-Identifier: GPL-2.0-only
#include "device.h"

#include <stdio.h>
#include <unistd.h>

#define NAME "itme-device"

int device_make(struct device *device, __u64 bytes, __u64 seed)
{
	int err;

	snprintf(device->path, sizeof(device->path), "/dev/mapper/" NAME);
	snprintf(device->file, sizeof(device->file), "%s/hanging", store_dir());
	device->loop[0] = '\0';
	device->mapped = false;
	device->bytes = bytes;
	/* A test that failed may have left its own. */
	run("dmsetup info " NAME " >/dev/null 2>&1 && dmsetup resume " NAME
	    " && dmsetup remove --retry " NAME " && losetup -n -O NAME -j %s | xargs -r losetup -d",
	    device->file);
	err = store_create(device->file, bytes, seed);
	if (!err)
		err = loop_add(device->loop, sizeof(device->loop), device->file,
			       "--direct-io=on"); /* else what it takes stays in the page cache */
	if (err)
		device->loop[0] = '\0';
	if (!err) {
		device->mapped = !run("echo 0 %llu linear %s 0 | dmsetup create " NAME, bytes / 512,
				      device->loop);
		err = device->mapped ? 0 : -EIO;
	}
	if (err)
		device_remove(device);
	return err;
}

int device_remove(struct device *device)
{
	int err = 0;

	if (device->mapped && (device_go_on(device) || run("dmsetup remove --retry " NAME)))
		err = -EIO;
	if (device->loop[0] && loop_remove(device->loop))
		err = -EIO;
	if (unlink(device->file))
		err = -EIO;
	return err;
}

int device_hang(struct device *device)
{
	return !device->mapped || run("dmsetup suspend --noflush --nolockfs " NAME) ? -EIO : 0;
}

int device_go_on(struct device *device)
{
	return device->mapped && run("dmsetup resume " NAME) ? -EIO : 0;
}

/* Another table; what is submitted meanwhile waits. */
static int load_table(struct device *device, const char *table)
{
	int err = device_hang(device);

	if (!err && run("echo 0 %llu %s | dmsetup load " NAME, device->bytes / 512, table))
		err = -EIO;
	return device_go_on(device) ?: err;
}

static int load(struct device *device, const char *target, const char *more)
{
	char table[512];

	snprintf(table, sizeof(table), "%s %s 0 %s", target, device->loop, more);
	return load_table(device, table);
}

int device_refuse_writes(struct device *device)
{
	return load(device, "flakey", "0 1 1 error_writes");
}

int device_take_writes(struct device *device)
{
	return load(device, "linear", "");
}

int device_lose(struct device *device)
{
	return load_table(device, "error");
}

int device_flake(struct device *device)
{
	return load(device, "flakey", "1 1 1 error_writes");
}

int device_delay_writes(struct device *device)
{
	char more[256];

	/* Reads, writes and flushes: device, offset, milliseconds. */
	snprintf(more, sizeof(more), "0 %s 0 500 %s 0 0", device->loop, device->loop);
	return load(device, "delay", more);
}

int device_protect(struct device *device, bool protect)
{
	return run("blockdev %s %s", protect ? "--setro" : "--setrw", device->path) ? -EIO : 0;
}
