/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ITME: internal types.
 *
 * States of a granule:
 *
 *	ABSENT   -> FILLING    a reader or a hint wants it; its owner is the fill
 *	FILLING  -> RESIDENT   the store's data is in the frame
 *	FILLING  -> ABSENT     the fill failed; ERR tells the waiters
 *	RESIDENT -> MOVING     a mover or an evictor owns it
 *	MOVING   -> RESIDENT   moved, or given up because the frame is held
 *	MOVING   -> ABSENT     dropped
 *
 * Lock order, outermost first:
 *
 *	i_rwsem
 *	  instance->resize_mutex
 *	    mmap_lock or a VMA lock
 *	      folio lock of a frame		map, revoke, copy, swap; never I/O
 *	        i_mmap_rwsem, page-table lock	taken by the core inside the above
 *	          granule lock			hashed, irqsave
 *	          instance->frame_lock		irqsave
 *
 * (resize_mutex is also taken, by trylock, where a region is evicted.)
 *
 * The granule lock and frame_lock are both innermost: neither is taken inside
 * the other, and nothing is allocated or waited for inside either.
 *
 * Owners of FILLING and MOVING never wait for another granule's state and
 * never take mmap_lock. A waiter for a state holds no lock of ours, and
 * mmap_lock only where the fault forbids a retry; its wait is killable and
 * ends after ITME_DEMAND_TIMEOUT. Dropping a clean granule needs no memory and
 * no I/O, so a frame appears as long as one is not held.
 *
 * A frame in use has folio->mapping and folio->index of its region set and is
 * on no LRU and in no page cache; folio->lru links it into one of the
 * instance's lists (see victim.c), or is empty while somebody owns the frame.
 * The mapping is cleared under the folio lock before the frame is pooled.
 */
#ifndef ITME_H
#define ITME_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/fs_parser.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "uapi/itme.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#define ITME_VERSION_MAJOR 0
#define ITME_VERSION_MINOR 1
#define ITME_TIERS 3 /* indexed by enum itme_tier; [ITME_TIER_STORE] is unused */

#define ITME_GRANULE_MIN SZ_64K
#define ITME_GRANULE_MAX SZ_2M
/* One instruction may touch two granules of data and two of code at once. */
#define ITME_MIN_FRAMES 4
#define ITME_WINDOW_DEFAULT_FRAMES 8
#define ITME_HINT_VECTOR_MAX 4096

/* A demand wait ends with an error after this; a stuck store is not for ever. */
#define ITME_DEMAND_TIMEOUT (120 * HZ)
/* A fill that finds every frame held gives up after this. */
#define ITME_FRAME_TIMEOUT (10 * HZ)
/* How often frames above a lowered budget are looked at again. */
#define ITME_TRIM_INTERVAL (HZ / 5)
/* A fill that meets a lock of its store, held all this time, gives up. */
#define ITME_STORE_LOCK_TIMEOUT (5 * HZ)
/* A granule filled for a waiter is no victim for so long, or until it is mapped. */
#define ITME_DEMAND_GRACE HZ
/* So long a failed fill answers those who have waited for it. */
#define ITME_FAILURE_MEMORY (2 * HZ)

/*
 * Counters of an instance and of each region: one list, from which the enum,
 * the sysfs files and struct itme_stat are filled.
 */
#define ITME_COUNTERS(X) \
	X(fault_count) \
	X(miss_count) \
	X(fill_count) \
	X(fill_bytes) \
	X(direct_bytes) \
	X(error_count) \
	X(demote_bytes) \
	X(promote_bytes) \
	X(evict_bytes) \
	X(held_count) \
	X(expired_count)

enum itme_counter {
#define ITME_COUNTER_ENUM(name) ITME_COUNTER_##name,
	ITME_COUNTERS(ITME_COUNTER_ENUM)
#undef ITME_COUNTER_ENUM
	ITME_COUNTER_NR
};

struct itme_counters {
	atomic64_t value[ITME_COUNTER_NR];
};

enum itme_state {
	ITME_ABSENT,
	ITME_FILLING,
	ITME_RESIDENT,
	ITME_MOVING,
};

#define ITME_GRANULE_DEMAND 0x01 /* a waiter has not mapped or read it yet */
#define ITME_GRANULE_ERR 0x02 /* the last fill failed, at @stamp */
#define ITME_GRANULE_HELD 0x04 /* the last move failed: page references */
#define ITME_GRANULE_EXPIRED 0x08 /* a demand wait for it has ended, at @stamp */

/* All fields are protected by the granule lock. 16 bytes: see region.c. */
struct itme_granule {
	struct folio *folio; /* the frame, RESIDENT or MOVING */
	u8 state; /* enum itme_state */
	u8 flags; /* ITME_GRANULE_* */
	u8 tier; /* enum itme_tier of @folio */
	u8 reserved;
	u32 stamp; /* jiffies when filled, or when the fill failed */
};

/* Frames of one tier. All fields but @nodes are protected by frame_lock. */
struct itme_pool {
	nodemask_t nodes; /* where frames come from; changes under resize_mutex */
	unsigned long target; /* budget in frames */
	unsigned long held; /* frames that exist, free or in use */
	struct list_head free;
	unsigned long nr_free;
	struct list_head settled; /* residents past the window, oldest first */
	unsigned long nr_settled;
};

struct itme_instance {
	struct super_block *sb;
	char name[sizeof_field(struct itme_info, instance)];
	int id; /* of the itmeN name, or -1 */
	unsigned int granule_shift;
	struct workqueue_struct *fill_wq;

	struct mutex resize_mutex; /* one budget change at a time, from check to end */
	struct delayed_work trim_work; /* frames above a budget that could not go yet */
	spinlock_t frame_lock; /* pools, window list, folio->lru and ->private */
	struct itme_pool pool[ITME_TIERS];
	struct list_head window; /* newest residents of the top tier, oldest first */
	unsigned long nr_window;
	unsigned long nr_inflight; /* frames taken for demand fills, not yet on @window */
	unsigned long window_frames; /* most frames on @window */
	wait_queue_head_t frame_wait; /* a frame may have become free */

	struct kobject *kobj; /* /sys/fs/itme/<name> */
	struct kobject *regions_kobj;
	struct itme_counters counters;
};

/* The inode of a region; the root directory's inode leaves all but the inode zero. */
struct itme_region {
	struct inode inode;
	struct itme_instance *inst;
	struct file *store;
	bool store_is_bdev;
	u64 bytes;
	u64 nr_granules;
	struct itme_granule **chunks; /* allocated lazily, see region.c */
	atomic_long_t nr_chunks;
	atomic_long_t resident[ITME_TIERS]; /* granules */
	atomic_t busy; /* fills and moves under way: eviction of the inode waits */
	struct list_head store_node; /* on the list of attached stores, store.c */
	struct kobject *kobj; /* under regions/, until unlinked */
	struct itme_counters counters;
};

/* The list that folio->lru links a frame into, kept in folio->private. */
enum itme_list {
	ITME_LIST_NONE, /* somebody owns the frame */
	ITME_LIST_FREE,
	ITME_LIST_WINDOW,
	ITME_LIST_SETTLED,
};

static inline struct itme_region *itme_region_of(const struct inode *inode)
{
	return container_of(inode, struct itme_region, inode);
}

static inline struct itme_instance *itme_instance_of(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline u64 itme_granule_bytes(const struct itme_instance *inst)
{
	return 1ULL << inst->granule_shift;
}

static inline unsigned int itme_granule_order(const struct itme_instance *inst)
{
	return inst->granule_shift - PAGE_SHIFT;
}

/* Bytes of a granule that lie inside the region: fewer in the last one. */
static inline u64 itme_granule_valid_bytes(const struct itme_region *region, u64 granule)
{
	u64 start = granule << region->inst->granule_shift;

	return min(itme_granule_bytes(region->inst), region->bytes - start);
}

static inline void itme_count(struct itme_region *region, enum itme_counter counter, u64 n)
{
	atomic64_add(n, &region->counters.value[counter]);
	atomic64_add(n, &region->inst->counters.value[counter]);
}

#define itme_count_one(region, name) itme_count(region, ITME_COUNTER_##name, 1)
#define itme_count_add(region, name, n) itme_count(region, ITME_COUNTER_##name, n)

/* fs.c */
extern struct file_system_type itme_fs_type;
int itme_fs_init(void);
void itme_fs_exit(void);

/* options.c */
struct fs_context;
struct fs_parameter;

struct itme_options {
	bool given[ITME_TIERS];
	u64 bytes[ITME_TIERS];
	nodemask_t nodes[ITME_TIERS];
	bool window_given;
	u64 window_bytes;
	bool granule_given;
	u64 granule_bytes;
	char name[sizeof_field(struct itme_info, instance)];
};
extern const struct fs_parameter_spec itme_parameters[];
int itme_options_parse(struct fs_context *fc, struct fs_parameter *param);
int itme_options_check(struct fs_context *fc, struct itme_options *opts);

/* instance.c */
struct itme_instance *itme_instance_create(struct fs_context *fc,
					   const struct itme_options *opts);
int itme_instance_reconfigure(struct fs_context *fc, struct itme_instance *inst,
			      const struct itme_options *opts);
void itme_instance_destroy(struct itme_instance *inst);
int itme_instance_set_budget(struct itme_instance *inst, enum itme_tier tier, u64 bytes);
int itme_instance_set_window(struct itme_instance *inst, u64 bytes);

/* attach.c */
int itme_attach(struct dentry *root, struct itme_attach *args);
extern const struct inode_operations itme_dir_inode_operations;

/* region.c */
extern const struct file_operations itme_region_file_operations;
extern const struct inode_operations itme_region_inode_operations;
extern const struct address_space_operations itme_region_aops;
int itme_region_init(struct itme_region *region, u64 bytes);
u64 itme_region_metadata_bytes(struct itme_region *region);
void itme_region_evict(struct itme_region *region);
struct itme_granule *itme_region_granule(struct itme_region *region, u64 granule);
struct itme_granule *itme_region_granule_alloc(struct itme_region *region, u64 granule);
void itme_region_busy_get(struct itme_region *region);
void itme_region_busy_put(struct itme_region *region);

/* granule.c */
#define ITME_GET_NOWAIT 0x01 /* -EAGAIN instead of a wait */
#define ITME_GET_NOFILL 0x02 /* -ENODATA where absent */
struct folio *itme_granule_get(struct itme_region *region, u64 granule, unsigned int flags,
			       bool *waited);
int itme_granule_wait(struct itme_region *region, struct itme_granule *g);
int itme_granule_claim(struct itme_granule *g, struct folio *folio, bool force);
void itme_granule_resident(struct itme_granule *g, struct folio *folio, enum itme_tier tier,
			   u8 flags);
void itme_granule_absent(struct itme_granule *g, u8 flags);
bool itme_granule_mapped(struct itme_granule *g, struct folio *folio);
bool itme_granule_start_fill(struct itme_granule *g, u8 flags);
bool itme_granule_failed(struct itme_granule *g);
struct folio *itme_granule_frame(struct itme_granule *g, enum itme_tier *tier);
u8 itme_granule_residency(struct itme_granule *g);
void itme_granule_init_locks(void);

/* fault.c */
extern const struct vm_operations_struct itme_vm_ops;

/* read.c */
ssize_t itme_read_iter(struct kiocb *iocb, struct iov_iter *to);

/* fill.c */
int itme_fill_init(void);
void itme_fill_exit(void);
int itme_fill_start(struct itme_region *region, u64 granule, struct itme_granule *g,
		    struct folio *folio, enum itme_tier tier);

/* frame.c */
int itme_frames_check(struct fs_context *fc, enum itme_tier tier, u64 bytes,
		      const nodemask_t *nodes);
int itme_frames_resize(struct itme_instance *inst, enum itme_tier tier, u64 bytes);
void itme_frames_trim(struct itme_instance *inst);
void itme_frames_refill(struct itme_instance *inst, enum itme_tier tier);
void itme_frames_free(struct itme_instance *inst);
struct folio *itme_frame_pop(struct itme_instance *inst, enum itme_tier tier);
void itme_frame_put(struct itme_instance *inst, enum itme_tier tier, struct folio *folio);
void itme_frame_lost(struct itme_instance *inst, enum itme_tier tier);
void itme_frame_bind(struct folio *folio, struct itme_region *region, u64 granule);
void itme_frame_unbind(struct folio *folio);

/* victim.c */
enum itme_tier itme_victim_top_tier(const struct itme_instance *inst);
struct folio *itme_victim_obtain(struct itme_instance *inst, enum itme_tier *tier);
void itme_victim_abandon(struct itme_instance *inst, struct folio *folio,
			 enum itme_tier tier);
void itme_victim_admit(struct itme_instance *inst, struct folio *folio,
		       enum itme_tier tier);
void itme_victim_settle_window(struct itme_instance *inst);
void itme_victim_settle(struct itme_instance *inst, struct folio *folio,
			enum itme_tier tier);
struct folio *itme_victim_take_granule(struct itme_instance *inst, struct itme_granule *g,
				       enum itme_tier *tier);
struct folio *itme_victim_reclaim(struct itme_instance *inst, enum itme_tier tier,
				  bool for_fill);

/* migrate.c */
int itme_migrate_drop(struct itme_region *region, u64 granule, struct folio *folio,
		      bool force);
int itme_migrate_move(struct itme_region *region, u64 granule, struct folio *from,
		      struct folio *to, enum itme_tier to_tier, bool force);

/* store.c */
int itme_store_open(struct itme_region *region, int fd);
void itme_store_close(struct itme_region *region);
ssize_t itme_store_submit(struct itme_region *region, struct kiocb *iocb,
			  struct iov_iter *to, loff_t pos, int flags);
bool itme_store_wait_unlocked(struct itme_region *region);
ssize_t itme_store_read_direct(struct itme_region *region, loff_t pos, struct iov_iter *to);

/* hint.c */
long itme_hint(struct itme_region *region, struct itme_hint_vec *vec);

/* ioctl.c */
long itme_root_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long itme_region_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* sysfs.c */
int itme_sysfs_init(void);
void itme_sysfs_exit(void);
int itme_sysfs_add_instance(struct itme_instance *inst);
void itme_sysfs_del_instance(struct itme_instance *inst);
int itme_sysfs_add_region(struct itme_region *region, const char *name);
void itme_sysfs_del_region(struct itme_region *region);

#endif /* ITME_H */
