// SPDX-License-Identifier: GPL-2.0-only
// An instance with one mapped region, for a test.
#pragma once

#include "lib/device.hpp"
#include "lib/probe.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

inline constexpr std::uint64_t granule_bytes = 2 << 20;

class World {
public:
	struct Options {
		std::string mount = "dram=64M";
		std::uint64_t granules = 24;
		unsigned delay_ms = 0; // that each read of the store takes longer
	};
	// What cannot be done is a failure of the test; ready() tells.
	explicit World(const Options &options);
	World(const World &) = delete;
	World &operator=(const World &) = delete;
	~World();

	[[nodiscard]] bool ready() const { return address_ != nullptr; }
	[[nodiscard]] const itme::Fd &region() const { return region_; }
	[[nodiscard]] const std::string &path() const { return path_; }
	[[nodiscard]] itme::RegionId id() const { return id_; }
	[[nodiscard]] const char *at(std::uint64_t granule) const
	{
		return address_ + granule * granule_bytes;
	}

	// Reads a byte of the granule: the ns that it took.
	std::uint64_t touch(std::uint64_t granule) const;
	// All page tables of the mapping are forgotten: the next touches fault.
	void unmap_pages() const;
	void hint(itme::HintOp op, std::uint64_t granule, std::uint64_t count = 1,
		  itme::HintClass hint_class = itme::HintClass::exact,
		  itme::Tier tier = itme::Tier::dram) const;
	// Until fills and moves of these granules have ended.
	void wait(std::uint64_t granule, std::uint64_t count = 1) const;
	[[nodiscard]] std::uint64_t counter(const std::string &name) const;
	// Attaches a second region of the same size, slower to make: its path.
	std::string second_region();

private:
	std::string directory_, store_, path_;
	bool mounted_ = false, delayed_ = false;
	std::string loop_;
	std::uint64_t bytes_ = 0;
	itme::Fd root_, region_;
	itme::RegionId id_;
	char *address_ = nullptr;
};

// The node of CXL memory, as "8M@1" in mount options; nothing without one.
std::optional<std::string> cxl_node();
// A shell command: did it end with 0?
bool shell(const std::string &command);

// The counts of one region in a snapshot; empty where it has none.
itme::RegionCounts counts_of(const itme::Snapshot &snapshot, itme::RegionId id);
bool says(const std::vector<std::string> &sentences, const std::string &text);
// Drops whose reason contains the text.
std::uint64_t drops(const itme::Snapshot &snapshot, const std::string &text);
