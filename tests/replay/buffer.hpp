// SPDX-License-Identifier: GPL-2.0-only
// Memory and mappings that end with their owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace itme::replay {

constexpr uint64_t page_bytes = 4096;
constexpr uint64_t huge_bytes = 2 << 20;

// A mapping of its own.
class Mapping {
public:
	Mapping() = default;
	Mapping(void *start, size_t bytes) : start_(start), bytes_(bytes) {}
	Mapping(const Mapping &) = delete;
	Mapping &operator=(const Mapping &) = delete;
	Mapping(Mapping &&other) noexcept
	    : start_(std::exchange(other.start_, nullptr)), bytes_(other.bytes_)
	{
	}
	Mapping &operator=(Mapping &&other) noexcept
	{
		if (this != &other) {
			reset();
			start_ = std::exchange(other.start_, nullptr);
			bytes_ = other.bytes_;
		}
		return *this;
	}
	~Mapping() { reset(); }

	[[nodiscard]] static Mapping of_file(int fd, uint64_t offset, size_t bytes,
					     int protection = PROT_READ)
	{
		void *start = mmap(nullptr, bytes, protection, MAP_SHARED, fd,
				   static_cast<off_t>(offset));
		return start == MAP_FAILED ? Mapping{} : Mapping{start, bytes};
	}

	explicit operator bool() const { return start_ != nullptr; }
	[[nodiscard]] std::byte *data() const { return static_cast<std::byte *>(start_); }
	[[nodiscard]] size_t size() const { return bytes_; }

	void reset()
	{
		if (start_ != nullptr)
			munmap(std::exchange(start_, nullptr), bytes_);
	}

private:
	void *start_ = nullptr;
	size_t bytes_ = 0;
};

// Memory in huge pages where there are any, all of it there already: a peer that
// reads into it does not pay for faults.
class Buffer {
public:
	explicit Buffer(size_t bytes) : bytes_((bytes + huge_bytes - 1) / huge_bytes * huge_bytes)
	{
		data_ = static_cast<std::byte *>(
			::operator new(bytes_, std::align_val_t{huge_bytes}));
		madvise(data_, bytes_, MADV_HUGEPAGE);
		for (size_t i = 0; i < bytes_; i += page_bytes)
			data_[i] = std::byte{1};
	}
	Buffer(const Buffer &) = delete;
	Buffer &operator=(const Buffer &) = delete;
	Buffer(Buffer &&other) noexcept
	    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_)
	{
	}
	Buffer &operator=(Buffer &&) = delete;
	~Buffer() { ::operator delete(data_, std::align_val_t{huge_bytes}); }

	[[nodiscard]] std::byte *data() const { return data_; }
	[[nodiscard]] size_t size() const { return bytes_; }

private:
	std::byte *data_ = nullptr;
	size_t bytes_ = 0;
};

// One byte of each page, so that all of it is mapped.
inline void touch_pages(const std::byte *data, size_t bytes, size_t step = page_bytes)
{
	for (size_t i = 0; i < bytes; i += step)
		(void)*const_cast<const volatile std::byte *>(data + i);
}

} // namespace itme::replay
