/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ITME: internal types.
 *
 * States of a granule:
 *
 *	ABSENT   -> FILLING    a reader or the queue wants it; its owner is the fill
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
 *	      opened->mutex			submission of hints; trylock in a fault
 *	        instance->pin_mutex
 *	          folio lock of a frame		map, revoke, copy, swap; never I/O
 *	            i_mmap_rwsem, page-table lock	taken by the core inside the above
 *	            instance->queue_lock	process context only
 *	              granule lock		hashed, irqsave
 *	              instance->frame_lock	irqsave
 *
 * (resize_mutex is also taken, by trylock, where a region is evicted. What is
 * copied from and to user memory is copied with none of these held.)
 *
 * The granule lock and frame_lock are both innermost: neither is taken inside
 * the other, and nothing is allocated or waited for inside either.
 *
 * DIRTY and WRITING are flags beside the state, of regions that can be written to.
 * DIRTY: the store may not have all of it; the truth about a frame is PG_dirty, which
 * is set, with the flag, under the folio lock before anybody may write to the frame,
 * and cleared only after folio_mkclean(). WRITING: the frame is on its way to the
 * store; nobody moves or drops it, nor begins to write to it, until that has ended.
 *
 * QUEUED is a flag beside the state: a hint wants the granule, and a frame of its
 * tier is promised to it (see queue.c). Whoever begins a fill or a move of the
 * granule takes the flag and the promise away.
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
#include <linux/notifier.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
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
/* Entries of HINTs that an open file may have outstanding, and cookies remembered. */
#define ITME_QUEUE_MAX 8192
#define ITME_COOKIE_MAX 1024
/* Frames of the fastest tier beyond the window that no pin may take. */
#define ITME_PIN_RESERVE_FRAMES 2

/* A demand wait ends with an error after this; a stuck store is not for ever. */
#define ITME_DEMAND_TIMEOUT (120 * HZ)
/* A fill that finds every frame held gives up after this. */
#define ITME_FRAME_TIMEOUT (10 * HZ)
/* So long a release waits for whoever moves the granule, or has just filled it. */
#define ITME_OWNER_TIMEOUT HZ
/* How often frames above a lowered budget are looked at again. */
#define ITME_TRIM_INTERVAL (HZ / 5)
/*
 * Frames that the host was given under pressure come back when it has asked for none
 * for so long, some at a time.
 */
#define ITME_RETURN_INTERVAL (2 * HZ)
#define ITME_RETURN_FRAMES 32
/* So long the background writer leaves a region whose store has refused a write. */
#define ITME_RETRY_INTERVAL HZ
#define ITME_WRITEBACK_DELAY_MS 5000
/* A fill that meets a lock of its store, held all this time, gives up. */
#define ITME_STORE_LOCK_TIMEOUT (5 * HZ)
/*
 * Stamps of granules: 2^14 ns a tick, which wraps after 19 hours. What is asked
 * of them is about seconds.
 */
#define ITME_TICK_SHIFT 14
#define ITME_TICKS(seconds) ((u32)(((seconds) * NSEC_PER_SEC) >> ITME_TICK_SHIFT))
/* A granule filled for a waiter is no victim for so long, or until it is mapped. */
#define ITME_DEMAND_GRACE ITME_TICKS(1)
/* So long a failed fill answers those who have waited for it. */
#define ITME_FAILURE_MEMORY ITME_TICKS(2)
/* Read ahead and not touched for so long: other hints may have the frame. */
#define ITME_AHEAD_GRACE ITME_TICKS(30)

static inline u32 itme_ticks(void)
{
	return ktime_get_mono_fast_ns() >> ITME_TICK_SHIFT;
}

/*
 * Counters of an instance and of each region: one list, from which the enum,
 * the sysfs files and struct itme_stat are filled.
 */
#define ITME_COUNTERS(X) \
	X(fault_count) \
	X(miss_count) \
	X(late_count) \
	X(touch_count) \
	X(fill_count) \
	X(fill_bytes) \
	X(prefetch_bytes) \
	X(useful_bytes) \
	X(wasted_bytes) \
	X(direct_bytes) \
	X(error_count) \
	X(demote_bytes) \
	X(promote_bytes) \
	X(evict_bytes) \
	X(held_count) \
	X(timeout_count) \
	X(accepted_bytes) \
	X(clipped_bytes) \
	X(refused_bytes) \
	X(expired_bytes) \
	X(cancelled_bytes) \
	X(degraded_bytes) \
	X(retired_bytes) \
	X(dirtied_bytes) \
	X(writeback_count) \
	X(writeback_bytes) \
	X(writeback_error_count) \
	X(throttle_count) \
	X(lost_bytes)

enum itme_counter {
#define ITME_COUNTER_ENUM(name) ITME_COUNTER_##name,
	ITME_COUNTERS(ITME_COUNTER_ENUM)
#undef ITME_COUNTER_ENUM
	ITME_COUNTER_NR
};

struct itme_counters {
	atomic64_t value[ITME_COUNTER_NR];
};

/* Why a thread had to wait, and what it found: also the fault event's cause. */
#define ITME_CAUSE_MISS 0x01 /* it waited for the store: nothing was hinted */
#define ITME_CAUSE_LATE 0x02 /* it waited for the store: hinted, and not there yet */
#define ITME_CAUSE_AHEAD 0x04 /* the first touch of what a hint had fetched */
#define ITME_CAUSE_READ 0x08 /* by read(2) and its like, not by a page fault */
#define ITME_CAUSE_MOVE 0x10 /* it waited for a move or a drop to end */

enum itme_state {
	ITME_ABSENT,
	ITME_FILLING,
	ITME_RESIDENT,
	ITME_MOVING,
};

/*
 * Flags of a granule. Those of ITME_GRANULE_LASTING stay when its state changes;
 * the others belong to the state.
 */
#define ITME_GRANULE_DEMAND 0x001 /* a waiter has not mapped or read it yet */
#define ITME_GRANULE_ERR 0x002 /* the last fill failed, at @stamp */
#define ITME_GRANULE_HELD 0x004 /* the last move failed: page references */
#define ITME_GRANULE_TIMEOUT 0x008 /* a demand wait for it has ended, at @stamp */
#define ITME_GRANULE_HINTED 0x010 /* FILLING, for a hint */
#define ITME_GRANULE_AHEAD 0x020 /* fetched for a hint at @stamp, not touched yet */
#define ITME_GRANULE_QUEUED 0x040 /* a hint wants it, and has a frame promised */
#define ITME_GRANULE_QUEUED_CXL 0x080 /* in the CXL tier, not DRAM */
#define ITME_GRANULE_PINNED 0x100 /* in region->pins */
#define ITME_GRANULE_WATCHED 0x200 /* the next access is a touch event */
#define ITME_GRANULE_NOREUSE 0x400 /* not worth keeping after it was used */

#define ITME_GRANULE_DIRTY 0x800 /* the store may not have all of it */
#define ITME_GRANULE_WRITING 0x1000 /* RESIDENT, on its way to the store */

#define ITME_GRANULE_LASTING                                                        \
	(ITME_GRANULE_QUEUED | ITME_GRANULE_QUEUED_CXL | ITME_GRANULE_PINNED |      \
	 ITME_GRANULE_WATCHED | ITME_GRANULE_NOREUSE | ITME_GRANULE_DIRTY)

/* All fields are protected by the granule lock. 16 bytes: see region.c. */
struct itme_granule {
	struct folio *folio; /* the frame, RESIDENT or MOVING */
	u32 stamp; /* itme_ticks() when it came to its state, or became dirty */
	u16 flags; /* ITME_GRANULE_* */
	u8 state; /* enum itme_state */
	u8 tier; /* enum itme_tier of @folio */
};

/* Frames of one tier. All fields but @nodes are protected by frame_lock. */
struct itme_pool {
	nodemask_t nodes; /* where frames come from; changes under resize_mutex */
	unsigned long target; /* budget in frames */
	unsigned long held; /* frames that exist, free or in use */
	unsigned long lent; /* of @target, given to the host under pressure */
	struct list_head free;
	unsigned long nr_free;
	struct list_head settled; /* residents past the window, oldest first */
	unsigned long nr_settled;
	struct list_head ahead; /* fetched for a hint and not touched yet, oldest first */
	unsigned long nr_ahead;
	struct list_head pinned;
	unsigned long promised; /* frames that queued granules will take */
	unsigned long nr_pinned; /* granules pinned here, in memory or not; under pin_mutex */
};

struct itme_instance {
	struct super_block *sb;
	char name[sizeof_field(struct itme_info, instance)];
	int id; /* of the itmeN name, or -1 */
	unsigned int granule_shift;
	struct workqueue_struct *fill_wq;
	struct workqueue_struct *store_wq; /* fills that may wait for a lock of the store */

	struct mutex resize_mutex; /* one budget change at a time, from check to end */
	struct delayed_work trim_work; /* frames above a budget that could not go yet */
	spinlock_t frame_lock; /* pools, window list, folio->lru and ->private */
	struct itme_pool pool[ITME_TIERS];
	struct list_head window; /* newest residents of the top tier, oldest first */
	unsigned long nr_window;
	unsigned long nr_inflight; /* frames taken for demand fills, not yet on @window */
	unsigned long window_frames; /* most frames on @window */
	wait_queue_head_t frame_wait; /* a frame may have become free */

	struct shrinker *shrinker;
	struct notifier_block oom_notifier;
	unsigned long floor_frames; /* of DRAM, that pressure leaves in any case */
	unsigned long lent_at; /* jiffies when the host was given the last */
	atomic_long_t nr_returned; /* frames that it was given, ever */

	/* The queue of hints, see queue.c. */
	spinlock_t queue_lock; /* requests and cookies of every open file */
	struct rb_root_cached queue; /* requests with granules to begin, best first */
	struct rb_root_cached expiries; /* those of them with a deadline, earliest first */
	struct delayed_work expiry_work;
	struct list_head finishing; /* requests with all begun and some not ended */
	unsigned long nr_finishing;
	atomic_long_t nr_requests; /* in both */
	u64 request_seq;
	struct work_struct queue_work;
	atomic_long_t nr_hinted; /* fills and moves under way for hints */
	atomic_long_t nr_demand; /* demand fills that the store does not have yet */
	unsigned long inflight_frames; /* most nr_hinted; 0: by the window */

	struct mutex pin_mutex; /* pins of every open file, and the three fields below */
	struct list_head pin_users;
	u64 pin_limit_frames; /* U64_MAX: as much as the budgets allow */
	unsigned long nr_pinned; /* granules */

	/* Dirty data and its way to the store, see dirty.c and writeback.c. */
	atomic_long_t nr_dirty; /* granules with ITME_GRANULE_DIRTY, of tiered regions */
	atomic_long_t nr_writing; /* those of them with ITME_GRANULE_WRITING */
	atomic_long_t nr_dirty_pinnable; /* the same as nr_dirty, of pinnable regions */
	atomic_long_t nr_reserved; /* granules of those; they grow under resize_mutex */
	wait_queue_head_t dirty_wait; /* a write to the store has ended */
	struct workqueue_struct *write_wq;
	struct delayed_work writer_work; /* the background writer */
	atomic_t nr_runs; /* that it has under way */
	atomic_t writer_wanted; /* somebody waits for a frame, and all are dirty */
	atomic_long_t nr_reads; /* of stores, under way, but those that a write waits for */
	unsigned long read_at; /* jiffies when one of them ended last */
	wait_queue_head_t read_wait; /* all of them have ended */
	struct mutex writable_mutex;
	struct list_head writable; /* regions that can be written to */
	u64 dirty_limit_frames; /* most nr_dirty; 0: the default */
	u64 dirty_background_frames; /* beyond these the writer begins at once; 0: default */
	unsigned int writeback_delay_ms;

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
	bool writable;
	bool pinnable; /* and DMA may hold all of it: see dirty.c and reserve.c */
	bool sealed; /* once writable, and no more; under i_rwsem */
	u64 bytes;
	u64 nr_granules;
	struct itme_granule **chunks; /* allocated lazily, see region.c */
	atomic_long_t nr_chunks;
	atomic_long_t resident[ITME_TIERS]; /* granules */
	atomic_long_t nr_queued; /* granules with ITME_GRANULE_QUEUED */
	struct xarray watches; /* granule -> struct itme_opened that watches it */
	struct xarray pins; /* granule -> who pins it, see pin.c; under pin_mutex */
	atomic_long_t nr_pinned; /* granules in @pins */
	atomic_long_t nr_dirty; /* granules with ITME_GRANULE_DIRTY */
	int write_error; /* of the last write to the store, 0 where it succeeded */
	unsigned long refused_at; /* jiffies; with write_error: since when it is not 0 */
	unsigned long retry_at; /* jiffies; with write_error: the writer leaves it till then */
	u32 gave_up_at; /* itme_ticks() when a wait to write ended by its time-out; 0: never */
	struct list_head writable_node;
	atomic_t busy; /* fills and moves under way: eviction of the inode waits */
	struct list_head store_node; /* on the list of attached stores, store.c */
	struct kobject *kobj; /* under regions/, until unlinked */
	struct itme_counters counters;
};

/*
 * An open file of a region: what hints belong to. All that is outstanding ends
 * with it.
 */
struct itme_opened {
	struct itme_region *region;
	kuid_t uid; /* who has opened it, for the sharing of pins */
	struct mutex mutex; /* one submission at a time */
	struct list_head requests; /* under queue_lock */
	unsigned long nr_requests; /* under queue_lock */
	struct rb_root cookies; /* struct itme_cookie by number; under queue_lock */
	struct list_head completed; /* cookies to be told by WAIT, oldest first */
	unsigned long nr_completed;
	wait_queue_head_t wait; /* a cookie may have completed */
	struct xarray pins; /* granule -> enum itme_tier; under pin_mutex */
	struct itme_pin_user *pin_user; /* NULL without pins; under pin_mutex */
	struct list_head pin_node; /* among the user's open files */
	bool sequential; /* advised so */
};

/* A range of granules that a hint wants, all accepted. Under queue_lock. */
struct itme_request {
	struct rb_node node; /* in instance->queue until all is begun */
	struct rb_node expiry_node; /* in instance->expiries for as long, with a deadline */
	struct list_head finishing_node;
	struct list_head opened_node;
	struct itme_opened *opened;
	struct itme_cookie *cookie; /* or NULL */
	u64 deadline_ns; /* U64_MAX: none */
	u64 seq; /* order of submission */
	u64 first, next, last; /* granules; those before @next are begun */
	enum itme_hint_class hint_class;
	enum itme_tier tier;
	bool pin; /* of a PIN: may move what is pinned */
};

/* The list that folio->lru links a frame into, kept in folio->private. */
enum itme_list {
	ITME_LIST_NONE, /* somebody owns the frame */
	ITME_LIST_FREE,
	ITME_LIST_WINDOW,
	ITME_LIST_SETTLED,
	ITME_LIST_AHEAD,
	ITME_LIST_PINNED,
	ITME_LISTS
};

/* Whom a victim is for: what may be taken from others, most first. */
enum itme_taker {
	ITME_TAKER_HINT_MAYBE, /* nothing */
	ITME_TAKER_HINT_LIKELY, /* what the window has been read past */
	ITME_TAKER_HINT_EXACT, /* also settled residents */
	ITME_TAKER_PRESSURE, /* anything but pins, and only without waiting */
	ITME_TAKER_BUDGET, /* anything but pins: the budget has become smaller */
	ITME_TAKER_DEMAND, /* the same, by the rule of victim.c */
	ITME_TAKER_FAULT, /* the same, unless it takes a copy */
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

/* Frames of a budget, less what the host was given of it under pressure. */
static inline unsigned long itme_pool_frames(const struct itme_pool *pool)
{
	unsigned long target = READ_ONCE(pool->target);

	return target - min(target, READ_ONCE(pool->lent));
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
int itme_instance_set_inflight(struct itme_instance *inst, u64 bytes);
int itme_instance_set_floor(struct itme_instance *inst, u64 bytes);

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
u64 itme_region_granule_last(u64 granule);
struct itme_granule *itme_region_granule_alloc(struct itme_region *region, u64 granule);
void itme_region_busy_get(struct itme_region *region);
void itme_region_busy_put(struct itme_region *region);

/* granule.c */
#define ITME_GET_NOWAIT 0x01 /* -EAGAIN instead of a wait */
#define ITME_GET_NOFILL 0x02 /* -ENODATA where absent */
#define ITME_GET_READ 0x04 /* the caller reads it now, and does not map it later */
#define ITME_GET_WRITE 0x08 /* the caller is going to write to it */
struct itme_fill;
struct folio *itme_granule_get(struct itme_region *region, u64 granule, unsigned int flags,
			       u32 *cause, struct itme_fill **fill);
int itme_granule_wait(struct itme_region *region, struct itme_granule *g);
int itme_granule_wait_idle(struct itme_granule *g, long *timeout);
#define ITME_CLAIM_UNSEEN 0x01 /* also what a waiter has not mapped or read yet */
#define ITME_CLAIM_PINNED 0x02 /* also what is pinned */
#define ITME_CLAIM_DIRTY 0x04 /* also what the store does not have */
#define ITME_CLAIM_NOWAIT 0x08 /* only without waiting: -EAGAIN else */
int itme_granule_claim(struct itme_region *region, struct itme_granule *g, struct folio *folio,
		       unsigned int claim);
u16 itme_granule_resident(struct itme_region *region, struct itme_granule *g,
			  struct folio *folio, enum itme_tier tier, u16 flags);
u16 itme_granule_absent(struct itme_region *region, struct itme_granule *g, u16 flags);
bool itme_granule_mapped(struct itme_granule *g, struct folio *folio, u16 *used);
void itme_granule_used(struct itme_region *region, u64 granule, struct folio *folio, u16 used,
		       u64 *lead_ns);
bool itme_granule_start_fill(struct itme_region *region, struct itme_granule *g, u16 flags,
			     enum itme_tier keep, bool *promised);
bool itme_granule_enqueue(struct itme_granule *g, enum itme_tier tier);
void itme_granule_dequeue(struct itme_region *region, struct itme_granule *g);
bool itme_granule_busy(struct itme_granule *g);
bool itme_granule_failed(struct itme_granule *g);
u16 itme_granule_set(struct itme_granule *g, u16 set, u16 clear);
struct itme_granule itme_granule_snapshot(struct itme_granule *g);
struct folio *itme_granule_frame(struct itme_granule *g, enum itme_tier *tier);
u8 itme_granule_residency(struct itme_granule *g);
spinlock_t *itme_granule_lock(struct itme_granule *g);
void itme_granule_init_locks(void);

/* fault.c */
extern const struct vm_operations_struct itme_vm_ops;
extern const struct vm_operations_struct itme_tiered_vm_ops;
extern const struct vm_operations_struct itme_pinnable_vm_ops;

/* read.c */
ssize_t itme_read_iter(struct kiocb *iocb, struct iov_iter *to);

/* write.c */
ssize_t itme_write_iter(struct kiocb *iocb, struct iov_iter *from);
int itme_fsync(struct file *file, loff_t start, loff_t end, int datasync);
int itme_write_zeros(struct itme_region *region, u64 pos, u64 bytes);

/* seal.c */
int itme_seal(struct file *file);

/* punch.c */
long itme_fallocate(struct file *file, int mode, loff_t offset, loff_t bytes);

/* dirty.c */
void itme_dirty_setup(struct itme_instance *inst);
unsigned long itme_dirty_limit(const struct itme_instance *inst);
unsigned long itme_dirty_background(const struct itme_instance *inst);
int itme_dirty_mark(struct itme_region *region, struct itme_granule *g, struct folio *folio);
void itme_dirty_note(struct itme_region *region, struct itme_granule *g);
bool itme_dirty_forget(struct itme_region *region, struct itme_granule *g);
int itme_dirty_may_write(struct itme_region *region, struct itme_granule *g);
int itme_dirty_wait(struct itme_region *region, struct itme_granule *g);
bool itme_dirty_gave_up(const struct itme_region *region);
bool itme_dirty_referenced(const struct folio *folio, int own);
bool itme_dirty_stays(struct itme_region *region, const struct folio *folio, int own);
void itme_dirty_protect(struct itme_region *region, struct folio *folio);
bool itme_dirty_any(const struct itme_instance *inst);
void itme_dirty_clean_locked(struct itme_region *region, struct itme_granule *g);

/* writeback.c */
int itme_writeback_flush(struct itme_region *region);
int itme_writeback_sync(struct itme_region *region, u64 first, u64 last, bool killable);
void itme_writeback_start(struct itme_region *region, u64 granule);
void itme_writeback_kick(struct itme_instance *inst, unsigned long delay);
void itme_writeback_read_begins(struct itme_instance *inst);
void itme_writeback_read_ended(struct itme_instance *inst);
void itme_writeback_want_frame(struct itme_instance *inst);
struct folio *itme_writeback_own(struct itme_region *region, struct itme_granule *g);
void itme_writeback_disown(struct itme_region *region, struct itme_granule *g,
			   struct folio *folio, int err);
int itme_writeback_wait(struct itme_region *region, struct itme_granule *g, bool killable);
int itme_writeback_setup(struct itme_instance *inst);
void itme_writeback_teardown(struct itme_instance *inst);
void itme_writeback_add_region(struct itme_region *region);
void itme_writeback_remove_region(struct itme_region *region);
int itme_writeback_all(struct itme_instance *inst, bool wait);

/* fill.c */
int itme_fill_init(void);
void itme_fill_exit(void);
struct itme_fill *itme_fill_prepare(struct itme_region *region, u64 granule,
				    struct itme_granule *g, enum itme_tier tier,
				    enum itme_hint_class hint_class, bool promised);
void itme_fill_for_write(struct itme_fill *fill);
void itme_fill_begin(struct itme_fill *fill);
void itme_fill_queue(struct itme_fill *fill);

/* reserve.c */
unsigned long itme_reserve_frames(const struct itme_instance *inst);
bool itme_reserve_fits(const struct itme_instance *inst, u64 frames, unsigned long window);
int itme_reserve_take(struct itme_region *region);
void itme_reserve_release(struct itme_region *region);

/* frame.c */
int itme_frames_check(struct fs_context *fc, enum itme_tier tier, u64 bytes,
		      const nodemask_t *nodes);
int itme_frames_resize(struct itme_instance *inst, enum itme_tier tier, u64 bytes);
void itme_frames_trim(struct itme_instance *inst);
unsigned long itme_frames_spare(struct itme_instance *inst);
void itme_frames_refill(struct itme_instance *inst, enum itme_tier tier);
void itme_frames_free(struct itme_instance *inst);
struct folio *itme_frame_pop(struct itme_instance *inst, enum itme_tier tier);
struct folio *itme_frame_pop_promised(struct itme_instance *inst, enum itme_tier tier);
void itme_frame_put(struct itme_instance *inst, enum itme_tier tier, struct folio *folio);
bool itme_frame_give(struct itme_instance *inst);
void itme_frame_lost(struct itme_instance *inst, enum itme_tier tier);
void itme_frame_bind(struct folio *folio, struct itme_region *region, u64 granule);
void itme_frame_unbind(struct folio *folio);
void itme_frame_retire(struct itme_instance *inst, enum itme_tier tier);

/* drain.c */
void itme_drain_report(struct itme_instance *inst, enum itme_tier tier);

/* shrinker.c */
int itme_shrinker_add(struct itme_instance *inst);
void itme_shrinker_remove(struct itme_instance *inst);

/* victim.c */
enum itme_tier itme_victim_top_tier(const struct itme_instance *inst);
enum itme_taker itme_victim_taker(enum itme_hint_class hint_class);
bool itme_victim_promise(struct itme_instance *inst, enum itme_tier tier,
			 enum itme_taker taker);
void itme_victim_unpromise(struct itme_instance *inst, enum itme_tier tier);
struct folio *itme_victim_obtain(struct itme_instance *inst, enum itme_tier *tier);
struct folio *itme_victim_obtain_quick(struct itme_instance *inst, enum itme_tier *tier);
struct folio *itme_victim_obtain_now(struct itme_instance *inst, enum itme_tier tier,
				     enum itme_taker taker);
void itme_victim_abandon(struct itme_instance *inst, struct folio *folio,
			 enum itme_tier tier);
void itme_victim_admit(struct itme_instance *inst, struct folio *folio,
		       enum itme_tier tier);
void itme_victim_settle_window(struct itme_instance *inst);
void itme_victim_list(struct itme_instance *inst, struct folio *folio, enum itme_tier tier,
		      enum itme_list list);
void itme_victim_relist(struct itme_instance *inst, struct folio *folio, enum itme_tier tier);
void itme_victim_next(struct itme_instance *inst, struct folio *folio, enum itme_tier tier);
struct folio *itme_victim_take_granule(struct itme_instance *inst, struct itme_granule *g,
				       enum itme_tier *tier);
struct folio *itme_victim_await_granule(struct itme_instance *inst, struct itme_granule *g,
					enum itme_tier *tier);
struct folio *itme_victim_reclaim(struct itme_instance *inst, enum itme_tier tier,
				  enum itme_taker taker);

/* migrate.c */
int itme_migrate_drop(struct itme_region *region, u64 granule, struct folio *folio,
		      unsigned int claim);
int itme_migrate_move(struct itme_region *region, u64 granule, struct folio *from,
		      struct folio *to, enum itme_tier to_tier, unsigned int claim,
		      enum itme_hint_class hint_class);
int itme_migrate_start(struct itme_region *region, u64 granule, enum itme_tier tier,
		       enum itme_hint_class hint_class, bool pin);

/* poison.c */
bool itme_poison_in_frame(struct folio *folio);
bool itme_poison_at(struct folio *folio, size_t offset, size_t bytes);
int itme_poison_retire(struct itme_region *region, u64 granule, struct folio *folio);
void itme_poison_retire_claimed(struct itme_region *region, u64 granule, struct folio *folio);
bool itme_poison_copy_fails(void);
void itme_poison_init(void);
void itme_poison_exit(void);

/* store.c */
int itme_store_open(struct itme_region *region, int fd, bool writable);
void itme_store_close(struct itme_region *region);
ssize_t itme_store_submit(struct itme_region *region, struct kiocb *iocb,
			  struct iov_iter *to, loff_t pos, int flags);
bool itme_store_wait_unlocked(struct itme_region *region);
int itme_store_write(struct itme_region *region, loff_t pos, struct iov_iter *from);
int itme_store_punch(struct itme_region *region, loff_t pos, u64 bytes);
int itme_store_sync(struct itme_region *region, loff_t start, loff_t end, int datasync);
ssize_t itme_store_read_direct(struct itme_region *region, loff_t pos, struct iov_iter *to,
			       int flags);

/* queue.c */
int itme_queue_init(void);
void itme_queue_exit(void);
void itme_queue_setup(struct itme_instance *inst);
void itme_queue_teardown(struct itme_instance *inst);
unsigned long itme_queue_limit(const struct itme_instance *inst);
struct itme_request *itme_queue_prepare(struct itme_opened *opened);
void itme_queue_discard(struct itme_request *request);
void itme_queue_submit(struct itme_request *request);
u64 itme_queue_cancel(struct itme_opened *opened, u64 first, u64 last);
u64 itme_queue_cancel_cookie(struct itme_opened *opened, u64 number);
void itme_queue_end_all(struct itme_opened *opened);
void itme_queue_kick(struct itme_instance *inst);
void itme_queue_ended(struct itme_instance *inst);

/* cookie.c */
struct itme_cookie;

/* What came of a cookie, in bytes. */
struct itme_outcome {
	u64 ready, failed, expired, lost;
};
struct itme_cookie *itme_cookie_get(struct itme_opened *opened, u64 number,
				    struct file *eventfd);
void itme_cookie_hold(struct itme_cookie *cookie);
void itme_cookie_put(struct itme_opened *opened, struct itme_cookie *cookie,
		     const struct itme_outcome *outcome);
void itme_cookie_add(struct itme_cookie *cookie, const struct itme_outcome *outcome);
bool itme_cookie_outstanding(struct itme_opened *opened, u64 number);
u64 itme_cookie_number(const struct itme_cookie *cookie);
int itme_cookie_wait(struct itme_opened *opened, u64 number, long timeout,
		     struct itme_outcome *outcome);
void itme_cookie_forget_all(struct itme_opened *opened);

/* opened.c */
int itme_opened_open(struct inode *inode, struct file *file);
int itme_opened_release(struct inode *inode, struct file *file);

/* pin.c */
void itme_pin_setup(struct itme_instance *inst);
u64 itme_pin_limit(const struct itme_instance *inst);
int itme_pin_add(struct itme_opened *opened, u64 granule, enum itme_tier *tier, bool *added);
bool itme_pin_remove(struct itme_opened *opened, u64 granule);
void itme_pin_remove_all(struct itme_opened *opened);
void itme_pin_enforce(struct itme_instance *inst);
int itme_pin_set_limit(struct itme_instance *inst, u64 bytes);

/* watch.c */
int itme_watch_add(struct itme_opened *opened, u64 granule);
u64 itme_watch_remove(struct itme_opened *opened, u64 first, u64 last);

/* hint.c */
long itme_hint(struct itme_opened *opened, struct itme_hint_vec *vec);
long itme_wait(struct itme_opened *opened, struct itme_wait *args);
void itme_hint_prefetch(struct itme_opened *opened, u64 first, u64 last,
			enum itme_hint_class hint_class, bool nowait);
void itme_hint_release(struct itme_opened *opened, u64 first, u64 last);

/* advice.c */
int itme_fadvise(struct file *file, loff_t offset, loff_t len, int advice);
void itme_advice_missed(struct file *file, u64 granule, bool sequential);

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
