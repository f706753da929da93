// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cookies: the names that a client gives to its hints, to hear when they have
 * completed and what came of them.
 */
#include <linux/eventfd.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "itme.h"

/* All fields are protected by the instance's queue_lock. */
struct itme_cookie {
	struct rb_node node; /* in opened->cookies, by number */
	struct list_head completed_node; /* in opened->completed, or empty */
	u64 number;
	unsigned long outstanding; /* requests, and a submission under way */
	struct eventfd_ctx *eventfd; /* or NULL */
	struct itme_outcome outcome;
};

static struct itme_cookie *to_cookie(struct rb_node *node)
{
	return rb_entry(node, struct itme_cookie, node);
}

static int compare_number(const void *key, const struct rb_node *node)
{
	u64 a = *(const u64 *)key, b = rb_entry(node, struct itme_cookie, node)->number;

	return a < b ? -1 : a > b;
}

static bool goes_before(struct rb_node *a, const struct rb_node *b)
{
	return to_cookie(a)->number < rb_entry(b, struct itme_cookie, node)->number;
}

static struct itme_cookie *find(struct itme_opened *opened, u64 number)
{
	struct rb_node *node = rb_find(&number, &opened->cookies, compare_number);

	lockdep_assert_held(&opened->region->inst->queue_lock);
	return node ? to_cookie(node) : NULL;
}

static void free_cookie(struct itme_cookie *cookie)
{
	if (cookie->eventfd)
		eventfd_ctx_put(cookie->eventfd);
	kfree(cookie);
}

static void forget(struct itme_opened *opened, struct itme_cookie *cookie)
{
	if (!list_empty(&cookie->completed_node)) {
		list_del(&cookie->completed_node);
		opened->nr_completed--;
	}
	rb_erase(&cookie->node, &opened->cookies);
	free_cookie(cookie);
}

static void set_eventfd(struct itme_cookie *cookie, struct file *eventfd)
{
	if (!eventfd)
		return;
	if (cookie->eventfd)
		eventfd_ctx_put(cookie->eventfd);
	cookie->eventfd = eventfd_ctx_fileget(eventfd); /* of an eventfd this cannot fail */
}

/* Find the cookie and hold it: no longer completed, if it was. */
static struct itme_cookie *revive(struct itme_opened *opened, u64 number,
				  struct file *eventfd)
{
	struct itme_instance *inst = opened->region->inst;
	struct itme_cookie *cookie;

	spin_lock(&inst->queue_lock);
	cookie = find(opened, number);
	if (cookie) {
		cookie->outstanding++;
		set_eventfd(cookie, eventfd);
		if (!list_empty(&cookie->completed_node)) {
			list_del_init(&cookie->completed_node);
			opened->nr_completed--;
		}
	}
	spin_unlock(&inst->queue_lock);
	return cookie;
}

/**
 * itme_cookie_get - a submission under a cookie begins
 * @opened: the open file; its mutex is held
 * @number: the cookie, not zero
 * @eventfd: an eventfd, signalled when it completes, in place of one given before;
 *	or NULL
 *
 * Return: the cookie, held until itme_cookie_put(); NULL without memory.
 */
struct itme_cookie *itme_cookie_get(struct itme_opened *opened, u64 number,
				    struct file *eventfd)
{
	struct itme_cookie *cookie = revive(opened, number, eventfd);
	struct itme_instance *inst = opened->region->inst;

	if (cookie)
		return cookie;
	cookie = kzalloc(sizeof(*cookie), GFP_KERNEL_ACCOUNT);
	if (!cookie)
		return NULL;
	cookie->number = number;
	cookie->outstanding = 1;
	INIT_LIST_HEAD(&cookie->completed_node);
	set_eventfd(cookie, eventfd);
	/* The mutex has kept another submission from adding the same. */
	spin_lock(&inst->queue_lock);
	rb_add(&cookie->node, &opened->cookies, goes_before);
	spin_unlock(&inst->queue_lock);
	return cookie;
}

/**
 * itme_cookie_hold - a request keeps its cookie from completing
 * @cookie: the cookie; queue_lock is held
 */
void itme_cookie_hold(struct itme_cookie *cookie)
{
	cookie->outstanding++;
}

/**
 * itme_cookie_add - tell what came of a part of it
 * @cookie: a cookie that is held; queue_lock is held
 * @outcome: bytes
 */
void itme_cookie_add(struct itme_cookie *cookie, const struct itme_outcome *outcome)
{
	cookie->outcome.ready += outcome->ready;
	cookie->outcome.failed += outcome->failed;
	cookie->outcome.expired += outcome->expired;
	cookie->outcome.lost += outcome->lost;
}

/**
 * itme_cookie_put - undo itme_cookie_get() or itme_cookie_hold(); it may complete
 * @opened: the open file
 * @cookie: the cookie; queue_lock is held
 * @outcome: bytes to add
 */
void itme_cookie_put(struct itme_opened *opened, struct itme_cookie *cookie,
		     const struct itme_outcome *outcome)
{
	lockdep_assert_held(&opened->region->inst->queue_lock);
	itme_cookie_add(cookie, outcome);
	if (--cookie->outstanding)
		return;
	if (cookie->eventfd)
		eventfd_signal(cookie->eventfd);
	list_add_tail(&cookie->completed_node, &opened->completed);
	if (++opened->nr_completed > ITME_COOKIE_MAX)
		forget(opened, list_first_entry(&opened->completed, struct itme_cookie,
						completed_node));
	wake_up_all(&opened->wait);
}

/**
 * itme_cookie_number - the client's name of a cookie
 * @cookie: the cookie
 *
 * Return: the number.
 */
u64 itme_cookie_number(const struct itme_cookie *cookie)
{
	return cookie->number;
}

/**
 * itme_cookie_outstanding - is anything that was accepted under a cookie not over yet?
 * @opened: the open file
 * @number: the cookie
 *
 * Return: whether it is; also false for a cookie that is not known.
 */
bool itme_cookie_outstanding(struct itme_opened *opened, u64 number)
{
	struct itme_instance *inst = opened->region->inst;
	struct itme_cookie *cookie;
	bool outstanding;

	spin_lock(&inst->queue_lock);
	cookie = find(opened, number);
	outstanding = cookie && cookie->outstanding;
	spin_unlock(&inst->queue_lock);
	return outstanding;
}

/* Take the outcome of a completed cookie: 0, -ETIMEDOUT where it is not, -ENOENT. */
static int collect(struct itme_opened *opened, u64 number, struct itme_outcome *outcome)
{
	struct itme_instance *inst = opened->region->inst;
	struct itme_cookie *cookie;
	int err = -ENOENT;

	spin_lock(&inst->queue_lock);
	cookie = find(opened, number);
	if (cookie && cookie->outstanding) {
		err = -ETIMEDOUT;
	} else if (cookie) {
		*outcome = cookie->outcome;
		forget(opened, cookie);
		err = 0;
	}
	spin_unlock(&inst->queue_lock);
	return err;
}

/**
 * itme_cookie_wait - wait until a cookie has completed, and forget it
 * @opened: the open file
 * @number: the cookie
 * @timeout: jiffies
 * @outcome: (out) what came of it
 *
 * Return: 0, -ENOENT for a cookie that is not known, -ETIMEDOUT, -ERESTARTSYS.
 */
int itme_cookie_wait(struct itme_opened *opened, u64 number, long timeout,
		     struct itme_outcome *outcome)
{
	int err = -ETIMEDOUT;
	long left = wait_event_interruptible_timeout(opened->wait,
			(err = collect(opened, number, outcome)) != -ETIMEDOUT, timeout);

	return left < 0 ? left : err;
}

/**
 * itme_cookie_forget_all - the open file goes
 * @opened: the open file; it has no requests any more
 */
void itme_cookie_forget_all(struct itme_opened *opened)
{
	struct itme_cookie *cookie, *tmp;

	rbtree_postorder_for_each_entry_safe(cookie, tmp, &opened->cookies, node)
		free_cookie(cookie);
}
