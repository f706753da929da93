// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tracepoints of the module tell, counted by region, thread and granule.
 * Each has a program on the typed tracepoint and one on the classic tracepoint, for
 * a module without BTF; the agent loads one of them.
 *
 * Of faults that did not wait, which are the common case, the module tells a few, and for
 * how many each stands. Threads are looked up when they wait.
 */
#include <vmlinux.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "itme_events.h"
#include "itme_record.h"

_Static_assert(sizeof(struct itme_record_region) == ITME_RECORD_REGION_BYTES, "record size");
_Static_assert(sizeof(struct itme_record_thread) == ITME_RECORD_THREAD_BYTES, "record size");
_Static_assert(sizeof(struct itme_record_granule) == ITME_RECORD_GRANULE_BYTES, "record size");
_Static_assert(sizeof(struct itme_record_event) == ITME_RECORD_EVENT_BYTES, "record size");

char LICENSE[] SEC("license") = "GPL";

/* Whether there is a count by granule. */
const volatile bool by_granule = true;

/* The agent sets max_entries of all of them. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct itme_record_region_key);
	__type(value, struct itme_record_region);
} regions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct itme_record_thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct itme_record_granule_key);
	__type(value, struct itme_record_granule);
} granules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* In .bss and not in a map, so that counting a drop cannot fail itself. */
__u64 drop_count[ITME_RECORD_DROP_REASONS];

/* A granule, as an event names it. Without BTF its sizes are not known: 0. */
struct place {
	struct itme_record_granule_key key;
	__u64 bytes;         /* of the granule, inside the region */
	__u64 granule_bytes; /* of all of them but the last */
	__u64 region_bytes;
};

/* New records begin as copies of these: too large for the stack. */
static const struct itme_record_region no_region;
static const struct itme_record_granule no_granule;

static void drop(enum itme_record_drop reason)
{
	__sync_fetch_and_add(&drop_count[reason], 1);
}

/*
 * An index below @entries, a power of two, as the verifier can see it: what the
 * compiler knows of it from elsewhere is lost on the way there.
 */
static __always_inline __u32 cut(__u32 index, __u32 entries)
{
	barrier_var(index);
	return index & (entries - 1);
}

static __u32 log2_bucket(__u64 value)
{
	__u32 bucket = 0;

	for (__u32 shift = ITME_RECORD_LOG2_BUCKETS / 2; shift; shift /= 2) {
		if (value >> shift) {
			value >>= shift;
			bucket += shift;
		}
	}
	return bucket;
}

static void count_in(struct itme_record_histogram *histogram, __u64 value)
{
	__u32 bucket = log2_bucket(value);

	histogram->sum += value;
	histogram->log2_count[cut(bucket, ITME_RECORD_LOG2_BUCKETS)]++;
}

static struct itme_record_region *region_of(const struct place *place)
{
	const struct itme_record_region_key *key = &place->key.region;
	struct itme_record_region *region = bpf_map_lookup_elem(&regions, key);

	if (region)
		return region;
	bpf_map_update_elem(&regions, key, &no_region, BPF_NOEXIST);
	region = bpf_map_lookup_elem(&regions, key);
	if (!region)
		drop(ITME_RECORD_DROP_REGIONS_FULL);
	return region;
}

static struct itme_record_granule *granule_of(struct place *place)
{
	struct itme_record_granule *granule;

	if (!by_granule)
		return NULL;
	granule = bpf_map_lookup_elem(&granules, &place->key);
	if (granule)
		goto known;
	bpf_map_update_elem(&granules, &place->key, &no_granule, BPF_NOEXIST);
	granule = bpf_map_lookup_elem(&granules, &place->key);
	if (!granule) {
		drop(ITME_RECORD_DROP_GRANULES_FULL);
		return NULL;
	}
known:
	if (place->bytes)
		granule->bytes = place->bytes;
	else
		place->bytes = granule->bytes; /* an earlier event has told */
	return granule;
}

/* Bytes that are to be added to a sum: counted where they are not known. */
static __u64 bytes_of(const struct place *place)
{
	if (!place->bytes)
		drop(ITME_RECORD_DROP_NO_BYTES);
	return place->bytes;
}

static void tell(enum itme_record_event_kind kind, const struct place *place, __s64 value,
		 __u32 cause)
{
	struct itme_record_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u64 id = bpf_get_current_pid_tgid();

	if (!event) {
		drop(ITME_RECORD_DROP_RING_FULL);
		return;
	}
	event->time_ns = bpf_ktime_get_ns();
	event->kind = kind;
	event->pid = id >> 32;
	event->tid = (__u32)id;
	event->dev = place ? place->key.region.dev : 0;
	event->inode = place ? place->key.region.inode : 0;
	event->granule = place ? place->key.granule : 0;
	event->value = value;
	event->cause = cause;
	event->zero = 0;
	bpf_ringbuf_submit(event, 0);
}

static void add_stall(struct itme_record_stall *stall, __u64 bytes, __u64 ns)
{
	stall->count++;
	stall->bytes += bytes;
	stall->ns += ns;
}

/* Only the thread itself changes its record. */
static void count_thread(const struct place *place, __u32 why, __u64 ns)
{
	__u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	struct itme_record_thread *thread = bpf_map_lookup_elem(&threads, &id);

	if (!thread) {
		struct itme_record_thread first = {
			.first_ns = now - ns,
			.cgroup_id = bpf_get_current_cgroup_id(),
		};

		bpf_get_current_comm(first.comm, sizeof(first.comm));
		bpf_map_update_elem(&threads, &id, &first, BPF_NOEXIST);
		thread = bpf_map_lookup_elem(&threads, &id);
	}
	if (!thread) {
		drop(ITME_RECORD_DROP_THREADS_FULL);
		return;
	}
	thread->last_ns = now;
	if (why < ITME_RECORD_STALLS)
		add_stall(&thread->stall[cut(why, ITME_RECORD_STALLS)], place->bytes, ns);
}

/* The index of enum itme_record_stall_cause, or ITME_RECORD_STALLS for no wait. */
static __u32 stall_cause(__u32 cause, __u32 tier)
{
	if (cause & ITME_RECORD_CAUSE_MISS)
		return ITME_RECORD_STALL_MISS;
	if (cause & ITME_RECORD_CAUSE_LATE)
		return ITME_RECORD_STALL_LATE;
	if (cause & ITME_RECORD_CAUSE_MOVE)
		return tier == ITME_RECORD_DRAM ? ITME_RECORD_STALL_PROMOTE
						: ITME_RECORD_STALL_DEMOTE;
	return ITME_RECORD_STALLS;
}

static void count_useful(struct itme_record_region *region, struct itme_record_granule *granule,
			 const struct place *place)
{
	__u32 hint_class = granule ? granule->fetched_class : 0;

	if (hint_class < ITME_RECORD_CLASSES)
		region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].useful_bytes +=
			bytes_of(place);
}

/* What the module tells of a fault, or of a read. */
struct fault {
	__u32 tier;
	__u32 cause;
	__u64 latency_ns;
	__u64 lead_ns;
	__u32 count;
};

static int count_fault(struct place *place, const struct fault *fault)
{
	struct itme_record_granule *granule = granule_of(place);
	struct itme_record_region *region = region_of(place);
	__u32 why = stall_cause(fault->cause, fault->tier);
	bool waited = why < ITME_RECORD_STALLS;
	bool ahead = fault->cause & ITME_RECORD_CAUSE_AHEAD;
	bool read = fault->cause & ITME_RECORD_CAUSE_READ;

	if (!region)
		return 0;
	/* What was fetched while somebody waited for it is used by his wait. */
	if (ahead || (why == ITME_RECORD_STALL_LATE && granule && granule->fetched_class))
		count_useful(region, granule, place);
	if (ahead && !waited)
		tell(ITME_RECORD_EVENT_USE, place, fault->lead_ns, 0);
	if (granule)
		__sync_fetch_and_add(&granule->fault_count, fault->count);
	if (ahead && !waited && !read)
		count_in(&region->lead_ns, fault->lead_ns);
	if (read && !waited)
		return 0;
	if (!region->granule_bytes) {
		region->granule_bytes = place->granule_bytes;
		region->region_bytes = place->region_bytes;
	}
	if (fault->latency_ns)
		count_in(&region->latency_ns, fault->latency_ns);
	if (read)
		region->waited_read_count++;
	else
		region->fault_count += fault->count;
	if (waited) {
		add_stall(&region->stall[cut(why, ITME_RECORD_STALLS)], bytes_of(place),
			  fault->latency_ns);
		count_thread(place, why, fault->latency_ns);
		if (granule)
			__sync_fetch_and_add(&granule->stall_ns[cut(why, ITME_RECORD_STALLS)],
					     fault->latency_ns);
		tell(ITME_RECORD_EVENT_STALL, place, fault->latency_ns, why);
	}
	return 0;
}

static int count_fill(struct place *place, __u32 tier, __u64 latency_ns, __s32 error,
		      __u32 hint_class)
{
	struct itme_record_granule *granule = granule_of(place);
	struct itme_record_region *region = region_of(place);

	if (!region || error || tier >= ITME_RECORD_TIERS || hint_class >= ITME_RECORD_CLASSES)
		return 0;
	if (granule) {
		__sync_fetch_and_add(&granule->fill_count, 1);
		granule->fetched_class = hint_class;
	}
	count_in(&region->fill_ns, latency_ns);
	region->tier_bytes[cut(tier, ITME_RECORD_TIERS)][cut(hint_class, ITME_RECORD_CLASSES)] +=
		place->bytes;
	if (hint_class)
		region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].fetched_bytes +=
			place->bytes;
	return 0;
}

static int count_move(struct place *place, __u32 to, __s32 error, __u64 latency_ns,
		      __u32 hint_class)
{
	struct itme_record_granule *granule = granule_of(place);
	struct itme_record_region *region = region_of(place);

	if (!region || to >= ITME_RECORD_TIERS || hint_class >= ITME_RECORD_CLASSES)
		return 0;
	if (error) {
		region->held_count++;
		return 0;
	}
	if (to != ITME_RECORD_DRAM) {
		region->tier_bytes[cut(to, ITME_RECORD_TIERS)][ITME_RECORD_BYTES_DEMOTE] +=
			bytes_of(place);
		region->demote_ns += latency_ns;
		return 0;
	}
	region->tier_bytes[cut(to, ITME_RECORD_TIERS)][ITME_RECORD_BYTES_PROMOTE] +=
		bytes_of(place);
	region->promote_ns += latency_ns;
	if (!hint_class)
		return 0;
	region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].fetched_bytes += place->bytes;
	if (granule)
		granule->fetched_class = hint_class;
	return 0;
}

static int count_drop(struct place *place, __u32 tier, bool wasted)
{
	struct itme_record_granule *granule = granule_of(place);
	struct itme_record_region *region = region_of(place);
	__u32 hint_class = granule ? granule->fetched_class : 0;

	if (!region || tier >= ITME_RECORD_TIERS || hint_class >= ITME_RECORD_CLASSES)
		return 0;
	region->dropped_bytes[cut(tier, ITME_RECORD_TIERS)] += bytes_of(place);
	if (wasted)
		region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].wasted_bytes += place->bytes;
	return 0;
}

static int count_hint(const struct place *place, __u32 hint_class, __u64 accepted_bytes,
		      __u64 clipped_bytes)
{
	struct itme_record_region *region = region_of(place);

	if (!region || hint_class >= ITME_RECORD_CLASSES)
		return 0;
	region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].accepted_bytes += accepted_bytes;
	region->prefetch[cut(hint_class, ITME_RECORD_CLASSES)].clipped_bytes += clipped_bytes;
	return 0;
}

static int count_touch(struct place *place)
{
	struct itme_record_granule *granule = granule_of(place);
	struct itme_record_region *region = region_of(place);

	if (granule)
		__sync_fetch_and_add(&granule->touch_count, 1);
	if (region)
		region->touch_count++;
	tell(ITME_RECORD_EVENT_TOUCH, place, 0, 0);
	return 0;
}

static int count_error(const struct place *place)
{
	struct itme_record_region *region = region_of(place);

	if (region)
		region->error_count++;
	return 0;
}

/* ---- typed tracepoints: the module's own structs, as its BTF lays them out ---- */

static bool find(const struct itme_region *region, __u64 granule, struct place *place)
{
	__u32 shift;

	if (!region) { /* the verifier holds it possible */
		drop(ITME_RECORD_DROP_NO_REGION);
		return false;
	}
	shift = region->inst->granule_shift & 63;
	place->key.region.dev = region->inode.i_sb->s_dev;
	place->key.region.inode = region->inode.i_ino;
	place->key.granule = granule;
	place->granule_bytes = 1ULL << shift;
	place->region_bytes = region->bytes;
	place->bytes = place->region_bytes - (granule << shift);
	if (place->bytes > place->granule_bytes)
		place->bytes = place->granule_bytes;
	return true;
}

SEC("tp_btf/fault")
int BPF_PROG(fault_typed, const struct itme_region *region, __u64 granule, __u32 tier, __u32 cause,
	     __u64 latency_ns, __u64 lead_ns, __u32 count)
{
	const struct fault fault = {tier, cause, latency_ns, lead_ns, count};
	struct place place = {};

	return find(region, granule, &place) ? count_fault(&place, &fault) : 0;
}

SEC("tp_btf/fill")
int BPF_PROG(fill_typed, const struct itme_region *region, __u64 granule, __u32 tier, __u64 bytes,
	     __u64 latency_ns, int error, __u32 hint_class)
{
	struct place place = {};

	return find(region, granule, &place)
		       ? count_fill(&place, tier, latency_ns, error, hint_class)
		       : 0;
}

SEC("tp_btf/migrate")
int BPF_PROG(migrate_typed, const struct itme_region *region, __u64 granule, __u32 from, __u32 to,
	     int error, __u64 latency_ns, __u32 hint_class)
{
	struct place place = {};

	return find(region, granule, &place) ? count_move(&place, to, error, latency_ns, hint_class)
					     : 0;
}

SEC("tp_btf/evict")
int BPF_PROG(evict_typed, const struct itme_region *region, __u64 granule, __u32 tier, bool wasted)
{
	struct place place = {};

	return find(region, granule, &place) ? count_drop(&place, tier, wasted) : 0;
}

SEC("tp_btf/hint")
int BPF_PROG(hint_typed, const struct itme_region *region, const struct itme_hint *hint)
{
	struct place place = {};

	if (!hint || !find(region, 0, &place))
		return 0;
	return count_hint(&place, hint->hint_class, hint->accepted_bytes, hint->clipped_bytes);
}

SEC("tp_btf/touch")
int BPF_PROG(touch_typed, const struct itme_region *region, __u64 granule, __u32 tier)
{
	struct place place = {};

	return find(region, granule, &place) ? count_touch(&place) : 0;
}

SEC("tp_btf/error")
int BPF_PROG(error_typed, const struct itme_region *region, __u64 granule, int error)
{
	struct place place = {};

	return find(region, granule, &place) ? count_error(&place) : 0;
}

/* ---- classic tracepoints ---- */

#define PLACE(event)                                                                               \
	{                                                                                          \
		.key.region.dev = (event)->dev,                                                    \
		.key.region.inode = (event)->region,                                               \
		.key.granule = (event)->granule,                                                   \
	}

SEC("tracepoint/itme/fault")
int fault_classic(struct itme_event_fault *event)
{
	const struct fault fault = {event->tier, event->cause, event->latency_ns, event->lead_ns,
				    event->count};
	struct place place = PLACE(event);

	return count_fault(&place, &fault);
}

SEC("tracepoint/itme/fill")
int fill_classic(struct itme_event_fill *event)
{
	struct place place = PLACE(event);

	place.bytes = event->bytes;
	return count_fill(&place, event->tier, event->latency_ns, event->error, event->hint_class);
}

SEC("tracepoint/itme/migrate")
int migrate_classic(struct itme_event_migrate *event)
{
	struct place place = PLACE(event);

	return count_move(&place, event->to, event->error, event->latency_ns, event->hint_class);
}

SEC("tracepoint/itme/evict")
int evict_classic(struct itme_event_evict *event)
{
	struct place place = PLACE(event);

	return count_drop(&place, event->tier, event->wasted);
}

SEC("tracepoint/itme/hint")
int hint_classic(struct itme_event_hint *event)
{
	struct place place = {
		.key.region.dev = event->dev,
		.key.region.inode = event->region,
	};

	return count_hint(&place, event->hint_class, event->accepted_bytes, event->clipped_bytes);
}

SEC("tracepoint/itme/touch")
int touch_classic(struct itme_event_touch *event)
{
	struct place place = PLACE(event);

	return count_touch(&place);
}

SEC("tracepoint/itme/error")
int error_classic(struct itme_event_error *event)
{
	struct place place = PLACE(event);

	return count_error(&place);
}

/* ---- a runtime's step function ---- */

/*
 * int32_t llama_decode(struct llama_context *, struct llama_batch): the batch is
 * passed in memory, above the return address, and begins with the number of tokens.
 */
SEC("uprobe")
int pass_begin(struct pt_regs *regs)
{
	__s32 tokens = 0;

	if (bpf_probe_read_user(&tokens, sizeof(tokens), (void *)(PT_REGS_SP(regs) + 8)))
		tokens = 0;
	tell(ITME_RECORD_EVENT_PASS_BEGIN, NULL, tokens, 0);
	return 0;
}

SEC("uretprobe")
int pass_end(struct pt_regs *regs)
{
	tell(ITME_RECORD_EVENT_PASS_END, NULL, (__s32)PT_REGS_RC(regs), 0);
	return 0;
}
