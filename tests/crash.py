#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""In the guest: verify what was acknowledged before the last kill, then write on.

usage: crash.py FOLDER ROUND ROUNDS   (started by tests/crash)

FOLDER is the host's. FOLDER/acknowledged has four bytes a page: the version that was
acknowledged last.
"""

import array
import ctypes
import fcntl
import mmap
import os
import random
import struct
import subprocess
import sys
import time

PAGE = 4096
GRANULE = 2 << 20
GRANULES = 24
PAGES = GRANULES * GRANULE // PAGE
MOUNT, ITME, STORE = "/mnt/crash", "/mnt/itme-crash", "/mnt/crash/state"
ATTACH = 0xB781  # _IO(0xB7, 0x81)


def content(page, version):
    return struct.pack("<QQ", page, version) * (PAGE // 16)


def version_of(data, page):
    """The version of a page, or None where it is torn or another's."""
    there, version = struct.unpack("<QQ", data[:16])
    return version if there == page and data == content(page, version) else None


def read_acknowledged(folder):
    versions = array.array("I")
    with open(f"{folder}/acknowledged", "rb") as file:
        versions.frombytes(file.read())
    return versions


def acknowledge(folder, versions):
    with open(f"{folder}/acknowledged.new", "wb") as file:
        file.write(versions.tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{folder}/acknowledged.new", f"{folder}/acknowledged")


def attach():
    fd = os.open(STORE, os.O_RDWR)
    root = os.open(ITME, os.O_RDONLY)
    name = mmap.mmap(-1, PAGE)
    name.write(b"state")
    address = buffer_address(name)
    fcntl.ioctl(root, ATTACH, struct.pack("<IIiIQIIQ", 40, 2, fd, 0, address, 5, 0, 0))
    os.close(root)
    os.close(fd)


def buffer_address(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def mount_itme():
    os.makedirs(ITME, exist_ok=True)
    subprocess.run(["mount", "-t", "itme", "-o", "dram=16M", "none", ITME], check=True)


def verify(folder):
    """Returns the versions that are there."""
    versions = read_acknowledged(folder)
    lost = torn = newer = 0
    with open(STORE, "rb") as file:
        for page in range(PAGES):
            version = version_of(file.read(PAGE), page)
            if version is None:
                torn += 1
                print(f"lost: page {page} is torn, {versions[page]} was acknowledged")
            elif version < versions[page]:
                lost += 1
                print(f"lost: page {page} is of {version}, {versions[page]} was acknowledged")
            else:
                newer += version > versions[page]
                versions[page] = version
    print(f"verified {PAGES} pages: {lost} lost, {torn} torn, {newer} newer than acknowledged")
    return versions


def write_some(fd, memory, sync_fd, versions):
    """A burst of pages in a few granules, some of them synchronous."""
    start = random.randrange(PAGES)
    for _ in range(random.randrange(1, 150)):
        page = (start + random.randrange(1500)) % PAGES
        versions[page] += 1
        data = content(page, versions[page])
        if random.random() < 0.5:
            memory[page * PAGE : (page + 1) * PAGE] = data
        else:
            target = sync_fd if random.random() < 0.02 else fd
            os.pwrite(target, data, page * PAGE)


def write_until_killed(folder, versions, seconds):
    end = time.monotonic() + seconds
    acknowledged = 0
    print("writing", flush=True)
    while time.monotonic() < end:
        mount_itme()
        attach()
        fd = os.open(f"{ITME}/state", os.O_RDWR)
        sync_fd = os.open(f"{ITME}/state", os.O_RDWR | os.O_DSYNC)
        memory = mmap.mmap(fd, PAGES * PAGE)
        for _ in range(random.randrange(1, 8)):
            for _ in range(random.randrange(1, 4)):
                write_some(fd, memory, sync_fd, versions)
            if random.random() < 0.5:
                os.fsync(fd)
            else:
                memory.flush()
            acknowledge(folder, versions)
            acknowledged += 1
            print("acknowledged", acknowledged, flush=True)
        write_some(fd, memory, sync_fd, versions)
        memory.close()
        os.close(fd)
        os.close(sync_fd)
        if random.random() < 0.5:
            os.unlink(f"{ITME}/state")
            acknowledge(folder, versions)
        subprocess.run(["umount", ITME], check=True)
        acknowledge(folder, versions)


def main():
    folder, number, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    drive = os.environ["ITME_NVME"]
    release = os.uname().release
    random.seed()
    subprocess.run(["insmod", os.environ.get("KO") or f"build/kmod/{release}/itme.ko"], check=True)
    os.makedirs(MOUNT, exist_ok=True)
    if number == 0:
        subprocess.run(["mkfs.ext4", "-q", "-F", drive], check=True)
    subprocess.run(["mount", drive, MOUNT], check=True)
    if number == 0:
        with open(STORE, "wb") as file:
            for page in range(PAGES):
                file.write(content(page, 0))
            file.flush()
            os.fsync(file.fileno())
        acknowledge(folder, array.array("I", bytes(4 * PAGES)))
    versions = verify(folder)
    if number < rounds:
        write_until_killed(folder, versions, 120)


try:
    main()
except Exception as error:
    print("failed:", error)
    raise
