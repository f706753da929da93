// SPDX-License-Identifier: GPL-2.0-only
// The peer that does in user space what ITME does in the kernel: a resident set,
// and slots through which the rest is streamed by direct I/O.
#include "replay/buffer.hpp"
#include "replay/source.hpp"

#include "lib/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <fcntl.h>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>

namespace itme::replay {

namespace {

struct Slot {
	explicit Slot(size_t bytes) : buffer(bytes) {}

	Buffer buffer;
	std::optional<size_t> ready; // which of the streamed positions it holds
	int err = 0;
	bool stop = false;
	std::mutex mutex;
	std::condition_variable changed;
	std::jthread thread; // last: it ends before what it uses
};

class Ring : public Source {
public:
	Ring(Fd fd, const Reading &reading, size_t most, size_t slots,
	     const std::vector<uint32_t> &kept)
	    : fd_(std::move(fd)), reading_(reading), kept_(reading.items->size())
	{
		for (const uint32_t item : kept)
			kept_[item] = std::make_unique<Buffer>((*reading.items)[item].length);
		for (size_t i = 0; i < reading.sequence->size(); i++)
			if (!kept_[(*reading.sequence)[i]])
				streamed_.push_back(i);
		for (size_t i = 0; i < slots; i++)
			slots_.emplace_back(most);
	}

	~Ring() override
	{
		for (auto &slot : slots_) {
			const std::scoped_lock lock{slot.mutex};
			slot.stop = true;
			slot.changed.notify_all();
		}
	}

	// What is kept is read now, then the slots begin with the first positions.
	Result<void> start()
	{
		for (size_t item = 0; item < kept_.size(); item++)
			if (kept_[item])
				if (const int err = read_item(fd_.get(), (*reading_.items)[item],
							      kept_[item]->data()))
					return failed(err);

		size_t first = 0;
		for (auto &slot : slots_)
			slot.thread = std::jthread{[this, &slot, at = first++] { fill(slot, at); }};
		return {};
	}

	Result<std::span<const std::byte>> fetch(size_t position) override
	{
		const uint32_t item = (*reading_.sequence)[position];
		const size_t length = (*reading_.items)[item].length;

		give_back();
		if (kept_[item])
			return std::span<const std::byte>{kept_[item]->data(), length};

		held_ = &*std::next(slots_.begin(),
				    static_cast<std::ptrdiff_t>(next_ % slots_.size()));
		std::unique_lock lock{held_->mutex};
		held_->changed.wait(lock, [&] { return held_->ready == next_; });
		if (held_->err != 0)
			return std::unexpected(failed(held_->err).error());
		next_++;
		return std::span<const std::byte>{held_->buffer.data(), length};
	}

private:
	// The slot of the last position may be filled again.
	void give_back()
	{
		if (held_ == nullptr)
			return;
		const std::scoped_lock lock{held_->mutex};
		held_->ready.reset();
		held_->changed.notify_all();
		held_ = nullptr;
	}

	// A slot's thread: every so manyth of the streamed positions.
	void fill(Slot &slot, size_t at)
	{
		for (; at < streamed_.size(); at += slots_.size()) {
			{
				std::unique_lock lock{slot.mutex};
				slot.changed.wait(lock, [&] { return slot.stop || !slot.ready; });
				if (slot.stop)
					return;
			}
			const uint32_t item = (*reading_.sequence)[streamed_[at]];
			const int err =
				read_item(fd_.get(), (*reading_.items)[item], slot.buffer.data());
			const std::scoped_lock lock{slot.mutex};
			slot.err = err;
			slot.ready = at;
			slot.changed.notify_all();
		}
	}

	[[nodiscard]] Result<void> failed(int err) const
	{
		return fail(reading_.path.string() + ": " + errno_text(err));
	}

	Fd fd_;
	Reading reading_;
	std::vector<std::unique_ptr<Buffer>> kept_; // by item
	std::vector<size_t> streamed_;              // positions that are not kept
	size_t next_ = 0;                           // of streamed_, to be fetched next
	Slot *held_ = nullptr;
	std::list<Slot> slots_; // last: its threads end before what they use
};

} // namespace

Result<std::unique_ptr<Source>> open_ring(const Reading &reading, size_t slots,
					  const std::vector<uint32_t> &kept)
{
	Fd fd{open(reading.path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT)};
	if (!fd)
		return fail(reading.path.string() + ": " + errno_text(errno));

	const size_t most = std::ranges::max(*reading.items, {}, &Item::length).length;
	auto ring = std::make_unique<Ring>(std::move(fd), reading, most, slots, kept);
	if (auto started = ring->start(); !started)
		return std::unexpected(started.error());
	return ring;
}

} // namespace itme::replay
