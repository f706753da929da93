// SPDX-License-Identifier: GPL-2.0-only
/* A region: the file, its granule table, and its end. */
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include "itme.h"

/*
 * Granules are described in chunks of one page, allocated when the first of
 * them is touched: 16 bytes each, and 8 bytes of @chunks for every 256.
 */
#define CHUNK_GRANULES (PAGE_SIZE / sizeof(struct itme_granule))

static_assert(sizeof(struct itme_granule) == 16);

static u64 nr_chunk_slots(const struct itme_region *region)
{
	return DIV_ROUND_UP_ULL(region->nr_granules, CHUNK_GRANULES);
}

/**
 * itme_region_init - size the granule table of a new region
 * @region: with its instance set
 * @bytes: size, above zero
 *
 * Return: 0 or -ENOMEM.
 */
int itme_region_init(struct itme_region *region, u64 bytes)
{
	region->bytes = bytes;
	xa_init_flags(&region->pins, XA_FLAGS_ACCOUNT);
	xa_init_flags(&region->watches, XA_FLAGS_ACCOUNT);
	region->nr_granules = DIV_ROUND_UP_ULL(bytes, itme_granule_bytes(region->inst));
	region->chunks = kvcalloc(nr_chunk_slots(region), sizeof(*region->chunks),
				  GFP_KERNEL | __GFP_NOWARN);
	return region->chunks ? 0 : -ENOMEM;
}

/**
 * itme_region_granule - look a granule up
 * @region: the region
 * @granule: its number, inside the region
 *
 * Return: NULL where neither it nor a neighbour was ever touched.
 */
struct itme_granule *itme_region_granule(struct itme_region *region, u64 granule)
{
	/* Pairs with cmpxchg() below: a chunk is seen zeroed. */
	struct itme_granule *chunk = smp_load_acquire(&region->chunks[granule / CHUNK_GRANULES]);

	return chunk ? &chunk[granule % CHUNK_GRANULES] : NULL;
}

/**
 * itme_region_granule_alloc - look a granule up, making its description
 * @region: the region
 * @granule: its number, inside the region
 *
 * Return: the granule, or NULL without memory.
 */
struct itme_granule *itme_region_granule_alloc(struct itme_region *region, u64 granule)
{
	struct itme_granule *g = itme_region_granule(region, granule);
	struct itme_granule *chunk;

	if (g)
		return g;
	chunk = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (!chunk)
		return NULL;
	if (cmpxchg(&region->chunks[granule / CHUNK_GRANULES], NULL, chunk))
		kfree(chunk);
	else
		atomic_long_inc(&region->nr_chunks);
	return itme_region_granule(region, granule);
}

/**
 * itme_region_granule_last - the last granule that is described together with another
 * @granule: a granule
 *
 * Return: a number; for loops that skip what was never touched.
 */
u64 itme_region_granule_last(u64 granule)
{
	return round_down(granule, CHUNK_GRANULES) + CHUNK_GRANULES - 1;
}

/**
 * itme_region_metadata_bytes - memory that describes the region's granules
 * @region: the region
 *
 * Return: bytes.
 */
u64 itme_region_metadata_bytes(struct itme_region *region)
{
	return nr_chunk_slots(region) * sizeof(*region->chunks) +
	       (u64)atomic_long_read(&region->nr_chunks) * PAGE_SIZE;
}

/**
 * itme_region_busy_get - a fill or a move of one of the region's granules begins
 * @region: a region that cannot be evicted yet
 */
void itme_region_busy_get(struct itme_region *region)
{
	atomic_inc(&region->busy);
}

/**
 * itme_region_busy_put - it has ended; the region may be gone after this
 * @region: the region
 *
 * Any context.
 */
void itme_region_busy_put(struct itme_region *region)
{
	/*
	 * Waking by address needs no look at the region after the decrement,
	 * which may be its last moment.
	 */
	if (atomic_dec_and_test(&region->busy))
		wake_up_var(&region->busy);
}

/*
 * Take the frame of a granule that nobody maps or reads any more. References
 * of others (DMA, vmsplice) may outlive the region: they keep the frame.
 */
static void evict_granule(struct itme_region *region, u64 granule, struct itme_granule *g)
{
	struct itme_instance *inst = region->inst;
	enum itme_tier tier;
	struct folio *folio;

	folio = itme_victim_take_granule(inst, g, &tier);
	if (!folio)
		return; /* a mover owns it; it is listed or gone when the mover ends */
	if (region->writable && folio_test_dirty(folio)) /* all has been tried */
		itme_count_add(region, lost_bytes, itme_granule_valid_bytes(region, granule));
	if (itme_migrate_drop(region, granule, folio,
			      ITME_CLAIM_UNSEEN | ITME_CLAIM_PINNED | ITME_CLAIM_DIRTY) == 0) {
		itme_frame_put(inst, tier, folio);
		return;
	}
	folio_lock(folio);
	itme_frame_unbind(folio);
	folio_unlock(folio);
	itme_dirty_forget(region, g);
	itme_granule_absent(region, g, 0);
	atomic_long_dec(&region->resident[tier]);
	folio->private = NULL;
	folio_put(folio);
	itme_frame_lost(inst, tier);
	itme_frames_refill(inst, tier);
}

static bool evict_all(struct itme_region *region)
{
	bool empty = true;
	u64 granule;

	for (granule = 0; granule < region->nr_granules; granule++) {
		struct itme_granule *g = itme_region_granule(region, granule);

		if (!g) {
			granule = itme_region_granule_last(granule);
			cond_resched();
			continue;
		}
		if (READ_ONCE(g->state) == ITME_ABSENT)
			continue;
		evict_granule(region, granule, g);
		empty = empty && READ_ONCE(g->state) == ITME_ABSENT;
		cond_resched();
	}
	return empty;
}

static void report_lost(struct itme_region *region)
{
	s64 lost = atomic64_read(&region->counters.value[ITME_COUNTER_lost_bytes]);

	if (lost)
		pr_err("%s: region %lu: %lld bytes that the store did not take are lost\n",
		       region->inst->name, region->inode.i_ino, lost);
}

/**
 * itme_region_evict - the last user is gone: give back frames and store
 * @region: a region whose inode is being evicted
 *
 * Fills under way end with the store's answer, at the latest with its time-out.
 */
void itme_region_evict(struct itme_region *region)
{
	u64 slot;

	itme_sysfs_del_region(region); /* it must not look at what goes away below */
	if (!list_empty(&region->writable_node))
		itme_writeback_remove_region(region);
	if (region->chunks) {
		do {
			wait_var_event(&region->busy, !atomic_read(&region->busy));
		} while (!evict_all(region));
		report_lost(region);
		/* An evictor may still be putting the frame that it took. */
		wait_var_event(&region->busy, !atomic_read(&region->busy));
		for (slot = 0; slot < nr_chunk_slots(region); slot++) {
			kfree(region->chunks[slot]);
			cond_resched();
		}
		kvfree(region->chunks);
		xa_destroy(&region->watches);
		xa_destroy(&region->pins);
	}
	if (region->store)
		itme_store_close(region);
}

static int region_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct itme_region *region = itme_region_of(file_inode(file));

	/* No VM_PFNMAP, no VM_MIXEDMAP: ordinary pages that GUP can take. */
	if (READ_ONCE(region->sealed) && (vma->vm_flags & VM_SHARED)) {
		if (vma->vm_flags & VM_WRITE)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vma->vm_ops = region->writable ? &itme_tiered_vm_ops : &itme_vm_ops;
	file_accessed(file);
	return 0;
}

static int region_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct itme_region *region = itme_region_of(d_inode(dentry));

	/* Its size is its store's. What writes a file anew finds it as large as it was. */
	if ((attr->ia_valid & ATTR_SIZE) && attr->ia_size != region->bytes)
		return region->writable ? -EINVAL : -EROFS;
	if ((attr->ia_valid & ATTR_SIZE) && !region->writable)
		return -EROFS;
	return simple_setattr(idmap, dentry, attr);
}

const struct file_operations itme_region_file_operations = {
	.open = itme_opened_open,
	.release = itme_opened_release,
	.llseek = generic_file_llseek,
	.read_iter = itme_read_iter,
	.write_iter = itme_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = region_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.fsync = itme_fsync,
	.fallocate = itme_fallocate,
	.fadvise = itme_fadvise,
	.unlocked_ioctl = itme_region_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

const struct inode_operations itme_region_inode_operations = {
	.setattr = region_setattr,
};

const struct address_space_operations itme_region_aops = {
	.dirty_folio = noop_dirty_folio,
};
