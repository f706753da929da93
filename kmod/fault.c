// SPDX-License-Identifier: GPL-2.0-only
/* Page faults on a mapped region. */
#include <linux/ktime.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "itme.h"
#include "trace.h"

static vm_fault_t error_to_fault(int err)
{
	if (err == -ENOMEM)
		return VM_FAULT_OOM;
	return VM_FAULT_SIGBUS;
}

/*
 * A plain fault waits for nothing and is the first use of nothing, and takes so little
 * time that telling of it would show. (A prime, so that who touches a round number of
 * granules in turn is not always met at the same ones.)
 */
static unsigned int fault_sample = 127;
module_param(fault_sample, uint, 0644);
MODULE_PARM_DESC(fault_sample, "of plain faults, report one of so many, for all of them");

#ifdef NOTRACE
static u32 sample_plain(void)
{
	return 0;
}
#else
static DEFINE_PER_CPU(u32, plain_faults); /* since the last sample */

/*
 * For how many plain faults this one is to be reported; 0: it is not. They are counted
 * whether somebody listens or not: so a plain fault costs the same either way.
 */
static u32 sample_plain(void)
{
	u32 sample = READ_ONCE(fault_sample);
	u32 count = this_cpu_inc_return(plain_faults);

	if (likely(count < sample))
		return 0;
	this_cpu_write(plain_faults, 0);
	return min(count, max(sample, 1)); /* the sample may have been a larger one */
}
#endif

/* Out of line: a plain fault that is not to be reported is all that has to be fast. */
static noinline void report(struct itme_region *region, u64 granule, u32 cause, u64 start_ns,
			    u64 lead_ns, u32 count)
{
	struct itme_granule *g = itme_region_granule(region, granule);

	trace_fault(region, granule, READ_ONCE(g->tier), cause,
		    start_ns ? ktime_get_ns() - start_ns : 0, lead_ns, count);
}

/*
 * The granule is filling or moving. Where the fault allows it the lock is
 * dropped for the wait: the fill may need the store's i_rwsem, whose holder may
 * be waiting for mmap_lock.
 *
 * Return: 0 to look again; else what the fault returns.
 */
static vm_fault_t wait_for_frame(struct vm_fault *vmf, struct itme_region *region, u64 granule,
				 u32 cause, struct itme_fill *fill, u64 start_ns)
{
	unsigned int may_drop_lock = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT;
	struct itme_granule *g = itme_region_granule(region, granule);
	struct file *file;
	int err;

	if (fill && (vmf->flags & may_drop_lock) != FAULT_FLAG_ALLOW_RETRY)
		itme_fill_queue(fill);
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (cause & ITME_CAUSE_MISS)
		itme_count_one(region, miss_count);
	if (cause & ITME_CAUSE_LATE)
		itme_count_one(region, late_count);
	if (cause & (ITME_CAUSE_MISS | ITME_CAUSE_LATE))
		itme_advice_missed(vmf->vma->vm_file, granule, vmf->vma->vm_flags & VM_SEQ_READ);
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		err = itme_granule_wait(region, g);
		return err || itme_granule_failed(g) ? VM_FAULT_SIGBUS : 0;
	}
	file = get_file(vmf->vma->vm_file); /* the region, once the VMA may be gone */
	release_fault_lock(vmf);
	if (fill)
		itme_fill_begin(fill);
	itme_granule_wait(region, g);
	report(region, granule, cause, start_ns, 0, 1);
	fput(file);
	/* MAJOR makes the core set FAULT_FLAG_TRIED for the next attempt. */
	return VM_FAULT_RETRY | VM_FAULT_MAJOR;
}

/*
 * Only a fault that waits is timed: to read the clock twice costs as much as all else
 * that reporting one does.
 */
static void start_clock(u64 *start_ns)
{
	if (trace_fault_enabled() && !*start_ns)
		*start_ns = ktime_get_ns();
}

/* Lock the frame and make sure that it is still the granule's. */
static bool lock_frame(struct itme_granule *g, struct folio *folio, bool nowait, u16 *used,
		       u64 *start_ns)
{
	bool locked = folio_trylock(folio);

	if (!locked && !nowait) {
		start_clock(start_ns);
		folio_lock(folio);
		locked = true;
	}
	if (locked && itme_granule_mapped(g, folio, used))
		return true;
	if (locked)
		folio_unlock(folio);
	folio_put(folio);
	return false;
}

/* The core does not map what is known to be poisoned, and would kill for it. */
static bool is_poisoned(struct folio *folio, struct page *page)
{
	return PageHWPoison(page) || folio_contain_hwpoisoned_page(folio);
}

/* A write that the store is to see; one by a private mapping is not. */
static bool is_shared_write(const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_FLAG_WRITE) && (vmf->vma->vm_flags & VM_SHARED);
}

static vm_fault_t region_fault(struct vm_fault *vmf)
{
	struct itme_region *region = itme_region_of(file_inode(vmf->vma->vm_file));
	unsigned int order = itme_granule_order(region->inst);
	bool nowait = vmf->flags & FAULT_FLAG_RETRY_NOWAIT;
	bool tried = vmf->flags & FAULT_FLAG_TRIED;
	u64 granule = vmf->pgoff >> order;
	unsigned int flags = ITME_GET_NOWAIT;
	u64 start_ns = 0, lead_ns = 0;
	struct itme_granule *g;
	struct folio *folio;
	u32 cause = 0, count;
	u16 used;

	if (vmf->pgoff >= DIV_ROUND_UP_ULL(region->bytes, PAGE_SIZE))
		return VM_FAULT_SIGBUS;
	g = itme_region_granule_alloc(region, granule);
	if (!g)
		return VM_FAULT_OOM;
	if (is_shared_write(vmf))
		flags |= ITME_GET_WRITE;
	/* To find a frame for it is part of the wait. */
	if (READ_ONCE(g->state) != ITME_RESIDENT)
		start_clock(&start_ns);
	if (tried && itme_granule_failed(g))
		return VM_FAULT_SIGBUS;
	for (;;) {
		struct itme_fill *fill = NULL;
		u32 why = 0;
		vm_fault_t ret;

		folio = itme_granule_get(region, granule, flags, &why, &fill);
		if (!IS_ERR(folio)) {
			vmf->page = folio_page(folio, vmf->pgoff & ((1UL << order) - 1));
			if (unlikely(is_poisoned(folio, vmf->page))) {
				int err = itme_poison_retire(region, granule, folio);

				folio_put(folio);
				cond_resched();
				if (err == -EUCLEAN) { /* the only copy */
					vmf->page = NULL;
					return VM_FAULT_SIGBUS;
				}
			} else if (lock_frame(g, folio, nowait, &used, &start_ns)) {
				break;
			}
			vmf->page = NULL;
			if (nowait)
				return VM_FAULT_RETRY;
			if (fatal_signal_pending(current))
				return VM_FAULT_SIGBUS;
			continue;
		}
		if (PTR_ERR(folio) != -EAGAIN)
			return error_to_fault(PTR_ERR(folio));
		start_clock(&start_ns);
		ret = wait_for_frame(vmf, region, granule, why, fill, start_ns);
		if (ret)
			return ret;
		cause |= why;
	}
	if (unlikely(used)) {
		itme_granule_used(region, granule, folio, used, &lead_ns);
		if (used & ITME_GRANULE_AHEAD)
			cause |= ITME_CAUSE_AHEAD;
	}
	itme_count_one(region, fault_count);
	if (tried && !lead_ns)
		return VM_FAULT_LOCKED; /* the wait was reported */
	count = cause || start_ns ? 1 : sample_plain();
	if (count)
		report(region, granule, cause, start_ns, lead_ns, count);
	return VM_FAULT_LOCKED;
}

/*
 * Somebody is about to write by a shared mapping: whatever it has to wait for, it
 * waits for here, where mmap_lock can be let go of. 0: go on.
 */
static vm_fault_t wait_to_write(struct vm_fault *vmf)
{
	struct itme_region *region = itme_region_of(file_inode(vmf->vma->vm_file));
	u64 granule = vmf->pgoff >> itme_granule_order(region->inst);
	struct itme_granule *g;
	struct file *file;
	int err;

	if (vmf->pgoff >= DIV_ROUND_UP_ULL(region->bytes, PAGE_SIZE))
		return VM_FAULT_SIGBUS;
	g = itme_region_granule_alloc(region, granule);
	if (!g)
		return VM_FAULT_OOM;
	err = itme_dirty_may_write(region, g);
	if (err == -EAGAIN && (vmf->flags & FAULT_FLAG_TRIED) && itme_dirty_gave_up(region))
		return VM_FAULT_SIGBUS;
	if (err == -EAGAIN && (vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		return VM_FAULT_RETRY;
	if (err == -EAGAIN && (vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		file = get_file(vmf->vma->vm_file);
		release_fault_lock(vmf);
		itme_dirty_wait(region, g); /* the next attempt finds its error again */
		fput(file);
		return VM_FAULT_RETRY | VM_FAULT_MAJOR;
	}
	if (err == -EAGAIN)
		err = itme_dirty_wait(region, g);
	return err ? VM_FAULT_SIGBUS : 0;
}

/*
 * Whoever maps a granule of a pinnable region, and could write to it one day, may do so
 * from now on: a read fault maps it for writing too, and mprotect causes no fault.
 */
static vm_fault_t pinnable_fault(struct vm_fault *vmf)
{
	struct itme_region *region = itme_region_of(file_inode(vmf->vma->vm_file));
	struct itme_granule *g;
	struct folio *folio;
	vm_fault_t ret;

	if ((vmf->vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE))
		return region_fault(vmf);
	if (vmf->flags & FAULT_FLAG_WRITE)
		file_update_time(vmf->vma->vm_file);
	ret = wait_to_write(vmf) ?: region_fault(vmf);
	if (!(ret & VM_FAULT_LOCKED))
		return ret;
	folio = page_folio(vmf->page);
	g = itme_region_granule(region, vmf->pgoff >> itme_granule_order(region->inst));
	if (!itme_dirty_mark(region, g, folio))
		return ret;
	/* On its way to the store: the next attempt waits. */
	folio_unlock(folio);
	folio_put(folio);
	vmf->page = NULL;
	return VM_FAULT_NOPAGE;
}

static vm_fault_t tiered_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = 0;

	if (is_shared_write(vmf))
		ret = wait_to_write(vmf);
	return ret ?: region_fault(vmf);
}

/*
 * What is mapped read-only is about to be mapped for writing. Where that has to wait
 * it is unmapped, so that the next attempt comes to tiered_fault().
 */
static vm_fault_t tiered_page_mkwrite(struct vm_fault *vmf)
{
	struct itme_region *region = itme_region_of(file_inode(vmf->vma->vm_file));
	struct folio *folio = page_folio(vmf->page);
	struct itme_granule *g;
	int err;

	file_update_time(vmf->vma->vm_file);
	g = itme_region_granule(region, vmf->pgoff >> itme_granule_order(region->inst));
	folio_lock(folio);
	err = itme_dirty_mark(region, g, folio);
	if (!err)
		return VM_FAULT_LOCKED;
	if (err != -ENOENT)
		unmap_mapping_pages(region->inode.i_mapping, vmf->pgoff, 1, false);
	folio_unlock(folio);
	return VM_FAULT_NOPAGE;
}

/*
 * Nothing is mapped ahead here: a granule is one PMD. Having the method keeps
 * read faults under the per-VMA lock.
 */
static vm_fault_t region_map_pages(struct vm_fault *vmf, pgoff_t start, pgoff_t end)
{
	return 0;
}

/*
 * A policy without MPOL_F_MOF keeps NUMA balancing from unmapping the region
 * to see who touches it: placement is ITME's.
 */
static struct mempolicy local_policy = {
	.refcnt = ATOMIC_INIT(1),
	.mode = MPOL_LOCAL,
};

static struct mempolicy *region_get_policy(struct vm_area_struct *vma, unsigned long addr,
					   pgoff_t *index)
{
	*index = 0;
	return &local_policy;
}

const struct vm_operations_struct itme_vm_ops = {
	.fault = region_fault,
	.map_pages = region_map_pages,
	.get_policy = region_get_policy,
};

/* Without page_mkwrite the core does not refuse pins for writing that last. */
const struct vm_operations_struct itme_pinnable_vm_ops = {
	.fault = pinnable_fault,
	.map_pages = region_map_pages,
	.get_policy = region_get_policy,
};

/* With page_mkwrite the core also refuses pins for writing that last. */
const struct vm_operations_struct itme_tiered_vm_ops = {
	.fault = tiered_fault,
	.map_pages = region_map_pages,
	.page_mkwrite = tiered_page_mkwrite,
	.get_policy = region_get_policy,
};
