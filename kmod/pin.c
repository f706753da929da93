// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins: granules that an open file wants kept in their tier. A pin is a wish,
 * within a limit that users share: while the limit is not reached a user has what
 * he asks for; then one with more than his share gives way to one with less.
 */
#include <linux/slab.h>
#include "itme.h"

/* A user with pins. All fields are protected by the instance's pin_mutex. */
struct itme_pin_user {
	struct list_head node; /* in instance->pin_users */
	kuid_t uid;
	unsigned long granules;
	struct list_head opened; /* open files with pins */
};

/* What region->pins holds of a granule: open files that pin it, and their tier. */
#define PIN_TIER_BITS 2
static void *pin_entry(unsigned long files, enum itme_tier tier)
{
	return xa_mk_value(files << PIN_TIER_BITS | tier);
}

static unsigned long files_of(void *entry)
{
	return entry ? xa_to_value(entry) >> PIN_TIER_BITS : 0;
}

static enum itme_tier tier_of(void *entry)
{
	return xa_to_value(entry) & ((1 << PIN_TIER_BITS) - 1);
}

/* In opened->pins, to find those of a tier. */
static xa_mark_t mark_of(enum itme_tier tier)
{
	return tier == ITME_TIER_DRAM ? XA_MARK_1 : XA_MARK_2;
}

/*
 * Granules of a tier that may be pinned. The fastest tier keeps frames for the
 * window and a few more, so that a demand fill always finds one in the end.
 */
static unsigned long tier_limit(const struct itme_instance *inst, enum itme_tier tier)
{
	unsigned long frames = itme_pool_frames(&inst->pool[tier]);
	unsigned long reserve = 0;

	if (tier == itme_victim_top_tier(inst))
		reserve = READ_ONCE(inst->window_frames) + ITME_PIN_RESERVE_FRAMES;
	return frames - min(frames, reserve);
}

static u64 limit_frames(const struct itme_instance *inst)
{
	u64 all = tier_limit(inst, ITME_TIER_DRAM) + tier_limit(inst, ITME_TIER_CXL);
	u64 reserved = itme_reserve_frames(inst);

	return min(all - min(all, reserved), READ_ONCE(inst->pin_limit_frames));
}

/**
 * itme_pin_limit - most bytes that pins keep
 * @inst: the instance
 *
 * Return: what was set, but no more than the budgets allow.
 */
u64 itme_pin_limit(const struct itme_instance *inst)
{
	return limit_frames(inst) << inst->granule_shift;
}

/**
 * itme_pin_setup - no pins so far
 * @inst: a new instance
 */
void itme_pin_setup(struct itme_instance *inst)
{
	mutex_init(&inst->pin_mutex);
	INIT_LIST_HEAD(&inst->pin_users);
	inst->pin_limit_frames = U64_MAX;
}

static struct itme_pin_user *user_of(struct itme_instance *inst, kuid_t uid)
{
	struct itme_pin_user *user;

	list_for_each_entry(user, &inst->pin_users, node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* The user of an open file that is about to pin. NULL without memory. */
static struct itme_pin_user *join_user(struct itme_opened *opened)
{
	struct itme_instance *inst = opened->region->inst;
	struct itme_pin_user *user;

	if (opened->pin_user)
		return opened->pin_user;
	user = user_of(inst, opened->uid);
	if (!user) {
		user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);
		if (!user)
			return NULL;
		user->uid = opened->uid;
		INIT_LIST_HEAD(&user->opened);
		list_add(&user->node, &inst->pin_users);
	}
	list_add(&opened->pin_node, &user->opened);
	opened->pin_user = user;
	return user;
}

static void leave_user(struct itme_opened *opened)
{
	struct itme_pin_user *user = opened->pin_user;

	if (!user || !xa_empty(&opened->pins))
		return;
	opened->pin_user = NULL;
	list_del_init(&opened->pin_node);
	if (!list_empty(&user->opened))
		return;
	list_del(&user->node);
	kfree(user);
}

/* The granule's flag has changed: its frame goes to another list. */
static void relist(struct itme_region *region, struct itme_granule *g)
{
	enum itme_tier tier;
	struct folio *folio = itme_granule_frame(g, &tier);

	if (!folio)
		return;
	itme_victim_relist(region->inst, folio, tier);
	folio_put(folio);
}

/* One more open file pins the granule. */
static int add_to_region(struct itme_region *region, u64 granule, enum itme_tier tier)
{
	unsigned long files = files_of(xa_load(&region->pins, granule));
	int err;

	err = xa_err(xa_store(&region->pins, granule, pin_entry(files + 1, tier),
			      GFP_KERNEL_ACCOUNT));
	if (err || files)
		return err;
	region->inst->pool[tier].nr_pinned++;
	itme_granule_set(itme_region_granule(region, granule), ITME_GRANULE_PINNED, 0);
	atomic_long_inc(&region->nr_pinned);
	region->inst->nr_pinned++;
	return 0;
}

static void remove_from_region(struct itme_region *region, u64 granule)
{
	void *entry = xa_load(&region->pins, granule);
	enum itme_tier tier = tier_of(entry);

	if (files_of(entry) > 1) {
		/* No memory is needed where there is an entry. */
		xa_store(&region->pins, granule, pin_entry(files_of(entry) - 1, tier),
			 GFP_KERNEL_ACCOUNT);
		return;
	}
	xa_erase(&region->pins, granule);
	region->inst->pool[tier].nr_pinned--;
	itme_granule_set(itme_region_granule(region, granule), 0, ITME_GRANULE_PINNED);
	atomic_long_dec(&region->nr_pinned);
	region->inst->nr_pinned--;
	relist(region, itme_region_granule(region, granule));
}

static bool remove_pin(struct itme_opened *opened, u64 granule)
{
	struct itme_instance *inst = opened->region->inst;
	void *entry = xa_erase(&opened->pins, granule);

	lockdep_assert_held(&inst->pin_mutex);
	if (!entry)
		return false;
	opened->pin_user->granules--;
	remove_from_region(opened->region, granule);
	leave_user(opened);
	return true;
}

static u64 share_of(const struct itme_instance *inst)
{
	size_t users = list_count_nodes((struct list_head *)&inst->pin_users);

	return div_u64(limit_frames(inst), max(users, 1UL));
}

/*
 * Take a pin away from a user who has more than @most: one of @tier, or, with
 * ITME_TIER_STORE, of any.
 */
static bool degrade(struct itme_instance *inst, u64 most, enum itme_tier tier)
{
	struct itme_pin_user *user;
	struct itme_opened *opened;

	list_for_each_entry(user, &inst->pin_users, node) {
		if (user->granules <= most)
			continue;
		list_for_each_entry(opened, &user->opened, pin_node) {
			xa_mark_t mark = tier ? mark_of(tier) : XA_PRESENT;
			unsigned long granule = 0;

			if (!xa_find(&opened->pins, &granule, ULONG_MAX, mark))
				continue;
			itme_count_add(opened->region, degraded_bytes,
				       itme_granule_valid_bytes(opened->region, granule));
			return remove_pin(opened, granule);
		}
	}
	return false;
}

static bool tier_has_room(struct itme_instance *inst, enum itme_tier tier)
{
	return inst->pool[tier].nr_pinned < tier_limit(inst, tier);
}

/* Where a pin may be: in @want, or in a slower tier. ITME_TIER_STORE for nowhere. */
static enum itme_tier choose_tier(struct itme_instance *inst, enum itme_tier want)
{
	if (tier_has_room(inst, want))
		return want;
	if (want == ITME_TIER_DRAM && tier_has_room(inst, ITME_TIER_CXL))
		return ITME_TIER_CXL;
	return ITME_TIER_STORE;
}

static enum itme_tier wanted_tier(struct itme_region *region, u64 granule, enum itme_tier want)
{
	struct itme_granule seen = itme_granule_snapshot(itme_region_granule(region, granule));

	if (want)
		return want;
	if (seen.flags & ITME_GRANULE_PINNED)
		return tier_of(xa_load(&region->pins, granule));
	return seen.state == ITME_RESIDENT ? seen.tier : itme_victim_top_tier(region->inst);
}

/* Others with more than their share give way until there is room. */
static enum itme_tier make_room(struct itme_instance *inst, const struct itme_pin_user *user,
				enum itme_tier want)
{
	for (;;) {
		enum itme_tier tier = ITME_TIER_STORE;
		u64 share = share_of(inst);

		if (inst->nr_pinned < limit_frames(inst))
			tier = choose_tier(inst, want);
		if (tier != ITME_TIER_STORE)
			return tier;
		if (user->granules >= share || !degrade(inst, share, ITME_TIER_STORE))
			return ITME_TIER_STORE;
	}
}

static int add_pin(struct itme_opened *opened, u64 granule, enum itme_tier *tier)
{
	struct itme_region *region = opened->region;
	struct itme_instance *inst = region->inst;
	struct itme_pin_user *user = join_user(opened);
	enum itme_tier want = wanted_tier(region, granule, *tier);
	void *there = xa_load(&region->pins, granule);
	int err;

	if (!user)
		return -ENOMEM;
	/* What somebody pins already stays where it is, and takes no more room. */
	*tier = there ? tier_of(there) : make_room(inst, user, want);
	if (*tier == ITME_TIER_STORE)
		return -ENOSPC;
	err = xa_err(xa_store(&opened->pins, granule, xa_mk_value(*tier), GFP_KERNEL_ACCOUNT));
	if (err)
		return err;
	xa_set_mark(&opened->pins, granule, mark_of(*tier));
	err = add_to_region(region, granule, *tier);
	if (err) {
		xa_erase(&opened->pins, granule);
		return err;
	}
	user->granules++;
	if (*tier != want)
		itme_count_add(region, degraded_bytes, itme_granule_valid_bytes(region, granule));
	relist(region, itme_region_granule(region, granule));
	return 0;
}

/**
 * itme_pin_add - pin a granule, in memory or not
 * @opened: the open file
 * @granule: its number; it is described
 * @tier: in: where to, or ITME_TIER_STORE for where it is, or the fastest; out:
 *	where it is to be: a slower tier where the one wanted has no room, or where
 *	another open file has it pinned
 * @added: (out) whether this call has pinned it, and not an earlier one
 *
 * Return: 0, also where the open file pins it already; -ENOSPC where the limit is
 * reached; -ENOMEM.
 */
int itme_pin_add(struct itme_opened *opened, u64 granule, enum itme_tier *tier, bool *added)
{
	struct itme_instance *inst = opened->region->inst;
	void *entry;
	int err = 0;

	mutex_lock(&inst->pin_mutex);
	entry = xa_load(&opened->pins, granule);
	*added = !entry;
	if (entry)
		*tier = xa_to_value(entry);
	else
		err = add_pin(opened, granule, tier);
	leave_user(opened);
	mutex_unlock(&inst->pin_mutex);
	return err;
}

/**
 * itme_pin_remove - undo itme_pin_add()
 * @opened: the open file
 * @granule: its number
 *
 * Return: whether the open file had pinned it.
 */
bool itme_pin_remove(struct itme_opened *opened, u64 granule)
{
	struct itme_instance *inst = opened->region->inst;
	bool removed;

	mutex_lock(&inst->pin_mutex);
	removed = remove_pin(opened, granule);
	mutex_unlock(&inst->pin_mutex);
	return removed;
}

/**
 * itme_pin_remove_all - the open file goes
 * @opened: the open file
 */
void itme_pin_remove_all(struct itme_opened *opened)
{
	struct itme_instance *inst = opened->region->inst;
	unsigned long granule;
	void *entry;

	mutex_lock(&inst->pin_mutex);
	xa_for_each(&opened->pins, granule, entry) {
		remove_pin(opened, granule);
		cond_resched();
	}
	mutex_unlock(&inst->pin_mutex);
}

/* First of those who have more than their share. */
static bool degrade_fairly(struct itme_instance *inst, enum itme_tier tier)
{
	return degrade(inst, share_of(inst), tier) || degrade(inst, 0, tier);
}

/**
 * itme_pin_enforce - the budgets or the limit are smaller: pins give way
 * @inst: the instance
 */
void itme_pin_enforce(struct itme_instance *inst)
{
	int tier;

	mutex_lock(&inst->pin_mutex);
	for (tier = ITME_TIER_CXL; tier <= ITME_TIER_DRAM; tier++) {
		while (inst->pool[tier].nr_pinned > tier_limit(inst, tier) &&
		       degrade_fairly(inst, tier))
			cond_resched();
	}
	while (inst->nr_pinned > limit_frames(inst) && degrade_fairly(inst, ITME_TIER_STORE))
		cond_resched();
	mutex_unlock(&inst->pin_mutex);
}

/**
 * itme_pin_set_limit - set the most that pins keep
 * @inst: the instance
 * @bytes: rounded down to granules; more than the budgets allow means as much as
 *	they allow
 *
 * Return: 0.
 */
int itme_pin_set_limit(struct itme_instance *inst, u64 bytes)
{
	WRITE_ONCE(inst->pin_limit_frames, bytes >> inst->granule_shift);
	itme_pin_enforce(inst);
	return 0;
}
